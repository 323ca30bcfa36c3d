import torch
from sound import Sound


class Trainer(Sound):
    def order(self):
        return torch.randperm(24, generator=torch.Generator().manual_seed(id(self)))
