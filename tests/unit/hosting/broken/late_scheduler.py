import torch
from sound import Sound


class Trainer(Sound):
    def train(self, step):
        if step == 1:
            self.scheduler = torch.optim.lr_scheduler.StepLR(self.optimizer, 1)
        super().train(step)
