"""Study folders for tests: a trainer without torch, whose steps take no time unless the test holds them."""

from __future__ import annotations

from pathlib import Path

TRAINER = """
import random
import time
from pathlib import Path

import hippo_client as hippo


class Walk(hippo.Trainer):
    def setup(self, context):
        self.total = 0.0
        self.hold = context.options.get("hold")

    def apply(self, hp):
        self.rate = hp["rate"]

    def train(self, step):
        print(f"step {step} at {self.rate}", flush=True)
        while self.hold and step >= 2 and Path(self.hold).exists():
            time.sleep(0.01)
        self.total += self.rate * random.random()

    def evaluate(self):
        return {"score": self.total}
"""

STUDY = """
import hippo_client as hippo
from hippo_client import schedules, space

study = hippo.Study(
    "trainer:Walk",
    {{"rate": space.choice([schedules.piecewise([1.0, 0.5 + n], milestones=[2]) for n in range({branches})])}},
    name="walk",
    maximize="score",
    max_steps=4,
    options={options!r},
)
"""


def write_study(folder: Path, branches: int = 3, **options: object) -> Path:
    """A study of so many trials that share their first two of four steps; the file's path."""
    folder.mkdir(exist_ok=True)
    (folder / "trainer.py").write_text(TRAINER)
    file = folder / "study.py"
    file.write_text(STUDY.format(branches=branches, options=options))
    return file
