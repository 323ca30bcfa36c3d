import itertools

import torch
from sound import Sound

shifts = itertools.count(1)


class Trainer(Sound):
    def order(self):
        return (torch.arange(24) * 5 + next(shifts)) % 24
