import torch
from sound import Sound
from torch import nn


class Trainer(Sound):
    @torch.no_grad()
    def evaluate(self):
        self.model.train()
        return {"loss": nn.functional.cross_entropy(self.model(self.inputs), self.labels)}
