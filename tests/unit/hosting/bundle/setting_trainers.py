"""A trainer that changes torch's settings of the whole process."""

import torch

import hippo_client as hippo


class Setting(hippo.Trainer):
    """Rounds products where it is told so from the start, and has kernels chosen by trying them from step 1 on."""

    def setup(self, context):
        if context.hp["rounded"]:
            torch.set_float32_matmul_precision("high")

    def apply(self, hp):
        pass

    def train(self, step):
        if step == 1:
            torch.backends.cudnn.benchmark = True

    def evaluate(self):
        return {
            "rounded": torch.get_float32_matmul_precision() == "high",
            "tried": torch.backends.cudnn.benchmark,
        }
