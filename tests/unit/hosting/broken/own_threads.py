import torch
from sound import Sound


class Trainer(Sound):
    def setup(self, context):
        super().setup(context)
        torch.set_num_threads(3)
