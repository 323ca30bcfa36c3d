import torch
from sound import Sound


class Trainer(Sound):
    def order(self):
        return torch.randperm(24).roll(id(self) // 16 % 24)
