import torch
from sound import Sound


class Trainer(Sound):
    def learn(self, inputs, labels):
        kinds = {torch.float16, torch.float32, torch.float64, torch.bfloat16, torch.int8, torch.int16}
        for number, kind in enumerate(kinds):
            inputs = inputs + 0.001 * number * kind.itemsize
        super().learn(inputs, labels)
