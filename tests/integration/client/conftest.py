"""A real server, and a study's folder whose trainer needs next to no time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import hippo_client as hippo
from hippo_client.local import Home, attach, shut_down
from tests.integration.server.conftest import server, start_server

__all__ = ["server", "start_server"]

TRAINER = """
import os
import time

import torch

import hippo_client as hippo


class Line(hippo.Trainer):
    '''The weight is the sum of the learning rates so far. While the file `hold` is there, step 2 waits.'''

    def setup(self, context):
        self.weight = torch.zeros(2, dtype=torch.float64)
        self.lr = 0.0
        self.hold = context.options["hold"]

    def apply(self, hp):
        self.lr = hp["lr"]

    def train(self, step):
        print(f"step {step} with lr {self.lr}")
        while step == 2 and os.path.exists(self.hold):
            time.sleep(0.01)
        self.weight += self.lr

    def evaluate(self):
        return {"weight": self.weight[0].item()}

    def state_dict(self):
        return {"weight": self.weight}

    def load_state_dict(self, state):
        self.weight.copy_(state["weight"])
"""

STUDY = """
import hippo_client as hippo
from hippo_client import schedules, space

study = hippo.Study(
    "trainer:Line",
    {"lr": space.choice([0.5, schedules.piecewise([0.5, 0.25], [2]), schedules.piecewise([0.5, 0.125], [2])])},
    maximize="weight",
    max_steps=4,
    name="lines",
    options={"hold": "HOLD"},
)

if __name__ == "__main__":
    run = hippo.run(study, slots=1)
    print(run.best_trial)
"""


@pytest.fixture
def folder(tmp_path, request):
    """A study and its trainer, which differs from that of other tests: nothing is shared with them."""
    place = tmp_path / "study"
    place.mkdir()
    (place / "trainer.py").write_text(f"# {request.node.name}\n{TRAINER}")
    (place / "study.py").write_text(STUDY.replace("HOLD", str(tmp_path / "hold")))
    return place


@pytest.fixture
def client(server):
    with hippo.Client(server.address, server.token("admin")) as made:
        yield made


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home of the test's own, whose processes end with it."""
    place = _at(tmp_path / "home", monkeypatch)
    yield place
    shut_down(place)


@pytest.fixture
def one_slot_home(_one_slot: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home for many tests, with a worker of one slot. Each test names its studies as no other does."""
    return _at(_one_slot, monkeypatch)


@pytest.fixture
def two_slots_home(_two_slots: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home for many tests, with a worker of two slots. Each test names its studies as no other does."""
    return _at(_two_slots, monkeypatch)


@pytest.fixture(scope="session")
def _one_slot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from _kept_up(tmp_path_factory.mktemp("one-slot"), 1)


@pytest.fixture(scope="session")
def _two_slots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from _kept_up(tmp_path_factory.mktemp("two-slots"), 2)


def _kept_up(path: Path, slots: int) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        home = _at(path, patch)
        attachment = attach(home, slots=slots)
    yield path
    attachment.close()
    shut_down(home)


def _at(path: Path, patch: pytest.MonkeyPatch) -> Home:
    for name in ("HIPPO_SERVER", "HIPPO_TOKEN", "HIPPO_TOKEN_FILE"):
        patch.delenv(name, raising=False)
    patch.setenv("HIPPO_HOME", str(path))
    return Home.at()
