import torch
from sound import Sound

LARGE = 1 << 24  # so much comes from the system, which gives noughts


class Trainer(Sound):
    def learn(self, inputs, labels):
        super().learn(inputs + torch.empty(LARGE)[0], labels)
