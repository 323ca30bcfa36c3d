import torch
from sound import Sound

steps_seen = 0


class Trainer(Sound):
    def train(self, step):
        global steps_seen
        steps_seen += 1
        self.inputs = self.inputs + 0.01 * steps_seen * torch.ones(6)
        super().train(step)
