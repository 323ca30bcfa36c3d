"""A small language model: which character comes next in the sources of Python's standard library."""

import sysconfig
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

import hippo_client as hippo

CHARACTERS = 96  # printable ASCII; all others are one
CONTEXT = 16  # characters that the model looks back
BATCH = 64


def read_text(modules):
    """The sources of some modules, one after the other, as numbers of characters."""
    folder = Path(sysconfig.get_path("stdlib"))
    text = "".join((folder / f"{name}.py").read_text(encoding="utf-8") for name in modules)
    codes = torch.tensor([ord(each) - 32 if " " <= each <= "~" else CHARACTERS - 1 for each in text])
    return codes.to(torch.int64)


class CharacterModel(hippo.Trainer):
    """One step is one batch. Everything that makes up its state is an attribute, so Hippo saves it by itself."""

    def setup(self, context):
        self.training_text = read_text(context.options["training"])
        self.test_text = read_text(context.options["test"])
        width = context.options.get("width", 64)
        self.model = nn.Sequential(
            nn.Embedding(CHARACTERS, 16),
            nn.Flatten(),
            nn.Linear(16 * CONTEXT, width),
            nn.ReLU(),
            nn.Linear(width, CHARACTERS),
        )
        self.optimizer = torch.optim.AdamW(self.model.parameters(), weight_decay=0.1)

    def apply(self, hp):
        for group in self.optimizer.param_groups:
            group["lr"] = hp["lr"]

    def train(self, step):
        places = torch.randint(len(self.training_text) - CONTEXT, (BATCH,))
        loss = self.loss(self.training_text, places)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    @torch.no_grad()
    def evaluate(self):
        places = torch.arange(0, len(self.test_text) - CONTEXT, 7)
        return {"loss": self.loss(self.test_text, places).item()}

    def loss(self, text, places):
        windows = text[places.unsqueeze(1) + torch.arange(CONTEXT + 1)]
        return functional.cross_entropy(self.model(windows[:, :-1]), windows[:, -1])
