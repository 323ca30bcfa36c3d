"""A trainer that needs a secret and a variable of the study, and that makes a secret the name of a metric."""

from __future__ import annotations

from pathlib import Path

SECRET = "hf-0123456789abcdef"

SECRETIVE = """
import os

import hippo_client as hippo


class Secretive(hippo.Trainer):
    def setup(self, context):
        self.key, self.project = os.environ["MY_API_KEY"], os.environ["MY_PROJECT"]

    def apply(self, hp):
        self.rate = hp["lr"], hp["batch_size"]

    def train(self, step):
        if self.project == "failing":
            raise ValueError(f"{self.key} is refused")

    def evaluate(self):
        return {self.key: 1.0}
"""


def write_secrets(file: Path) -> Path:
    """The secrets of a worker."""
    file.write_text(f"MY_API_KEY={SECRET}\n")
    file.chmod(0o600)
    return file
