"""Trainers that do what their options say: errors, odd returns, threads, imports."""

import importlib
import sys
import time

import torch
from torch import nn

from hippo_core import training


class Plain(training.Trainer):
    """Counts steps in a tensor."""

    def setup(self, context):
        self.options = dict(context.options)
        self.total = torch.zeros(3)

    def apply(self, hp):
        self.rate = hp["lr"]

    def train(self, step):
        if self.options.get("sleep"):
            time.sleep(self.options["sleep"])
        self.total += self.rate

    def evaluate(self):
        return {"total": self.total.sum()}


class Telling(Plain):
    def train(self, step):
        return {"part": 0.5}


class Raising(Plain):
    def train(self, step):
        super().train(step)
        if step == self.options["at"]:
            kind = self.options["kind"]
            if kind == "memory":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            if kind == "exit":
                sys.exit(3)
            if kind == "import":
                import_missing()
            if kind == "deterministic":
                raise RuntimeError("put_ does not have a deterministic implementation, but you set ...")
            try:
                deeper()
            except KeyError as error:
                raise ValueError("the batch is empty.") from error


def import_missing():
    importlib.import_module("a_module_that_nobody_has")


def deeper():
    nn.Linear(2, 2)
    raise KeyError("label")


class Returning(Plain):
    def evaluate(self):
        value = {
            "number": 1.5,
            "text": "good",
            "vector": torch.ones(4),
            "tensor": torch.tensor(2.5),
            "none": None,
        }
        return (
            value[self.options["value"]] if self.options["bare"] else {"score": value[self.options["value"]]}
        )


class TrainReturning(Plain):
    def train(self, step):
        return 0.25


class LateFailing(Plain):
    """Its number cannot be read: as one that a device was still to give when it failed."""

    def train(self, step):
        super().train(step)
        return {"loss": torch.empty((), device="meta")}


class SettingThreads(Plain):
    def train(self, step):
        super().train(step)
        torch.set_num_threads(2)


class Unsavable(Plain):
    def train(self, step):
        super().train(step)
        self.callback = lambda: step


class FailingAfterwards(Plain):
    """Fails where it is evaluated, or where its state is asked for."""

    def evaluate(self):
        if self.options["where"] == "evaluate" and self.total[0] >= 1.5:
            raise RuntimeError("no validation data")
        return super().evaluate()

    def state_dict(self):
        if self.options["where"] == "save" and self.total[0] >= 1.5:
            raise RuntimeError("no state to be had")
        return super().state_dict()


class FailingSetup(Plain):
    def setup(self, context):
        raise RuntimeError("no data here")


class ForeignImport(Plain):
    def setup(self, context):
        super().setup(context)
        sys.path.insert(0, self.options["folder"])
        importlib.import_module(self.options["module"])


class UnreadChange(Plain):
    def apply(self, hp):
        pass

    def train(self, step):
        self.total += 1


class Counting(Plain):
    """Tells how often it was set up, and with what, by its class."""

    setups = 0

    def setup(self, context):
        super().setup(context)
        type(self).setups += 1
        self.first = context.hp["width"]


def not_a_class():
    return None


class NoTrainer:
    pass


class LacksEvaluate(training.Trainer):
    def setup(self, context): ...

    def apply(self, hp): ...

    def train(self, step): ...


class WrongSignature(Plain):
    def train(self):
        return None


class NeedsArguments(Plain):
    def __init__(self, width):
        self.width = width
