import torch
from sound import Sound


class Trainer(Sound):
    def apply(self, hp):
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=hp["lr"], momentum=hp["momentum"])
