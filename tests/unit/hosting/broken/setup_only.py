import torch
from sound import Sound


class Trainer(Sound):
    def setup(self, context):
        super().setup(context)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=context.hp["lr"], momentum=0.9)

    def apply(self, hp):
        for group in self.optimizer.param_groups:
            group["momentum"] = hp["momentum"]
