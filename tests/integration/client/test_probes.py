"""Probes with a real server and a real worker: a trial's bits are the same with and without, and people see both."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import hippo_client as hippo
from hippo_client.study_file import load
from tests.integration.server.conftest import RunningServer
from tests.probing import known
from tests.waiting import until

TRAINER = """
import random

import torch

import hippo_client as hippo


class Noisy(hippo.Trainer):
    '''Every step draws from all generators: state that a probe left behind would show.'''

    def setup(self, context):
        self.model = torch.nn.Linear(4, 2)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.seen = 0

    def apply(self, hp):
        for group in self.optimizer.param_groups:
            group["lr"] = hp["lr"]

    def train(self, step):
        batch = torch.randn(8, 4) * random.random()
        loss = torch.nn.functional.dropout(self.model(batch), 0.5).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.seen += 1

    def evaluate(self):
        return {"loss": self.model(torch.ones(1, 4)).square().sum().item(), "seen": float(self.seen)}
"""

STUDY = """
import hippo_client as hippo
from hippo_client import policies, schedules, space
from tests.probing import scouts

RATES = [
    schedules.piecewise([0.2, 0.05], [4]),
    schedules.piecewise([0.2, 0.01], [4]),
    schedules.cosine(0.1, 0.01, 6),
    0.02,
]
study = hippo.Study(
    "trainer:Noisy",
    {"lr": space.choice(RATES)},
    minimize="loss",
    max_steps=6,
    name="NAME",
    policy=POLICY,
    code_version="NAME",
)
"""


def made(folder: Path, name: str, policy: str) -> hippo.Study:
    file = folder / f"{name}.py"
    file.write_text(STUDY.replace("NAME", name).replace("POLICY", policy))
    return load(file)


@pytest.fixture
def worker(server: RunningServer, tmp_path: Path) -> Iterator[None]:
    """A real worker with one slot, which trains probes and trials in one process, warm."""
    from hippo_worker.folder import leftovers

    folder = tmp_path / "worker"
    arguments = ["--server", server.address, "--data-dir", str(folder), "--slots", "1", "--name", "real"]
    environment = {**os.environ, "HIPPO_TOKEN": server.token("worker"), "CUDA_VISIBLE_DEVICES": ""}
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hippo_worker.main", *arguments], env=environment, stdout=log, stderr=log
        )
        yield
        process.send_signal(signal.SIGKILL)
        process.wait()
    until(lambda: not leftovers(folder), "the end of its processes")


@pytest.mark.usefixtures("worker")
def test_a_probe_changes_no_bit_of_its_trial_and_is_shown_beside_it(
    client: hippo.Client, tmp_path: Path
) -> None:
    """1. Trials are probed at step 3, where two are still one. 2. The same trials of a program of its own are trained
    without probes. 3. Metrics and weights are equal, bit for bit. 4. Probes are listed, explained and counted."""
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "trainer.py").write_text(TRAINER)
    with known():
        run = client.submit(made(folder, "probed", "scouts(waits=True, steps=2)"))
        run.wait(progress=False, timeout=240)
        plain = client.submit(made(folder, "plain", "policies.full()"))
        plain.wait(progress=False, timeout=240)
        assert (run.state, plain.state) == ("completed", "completed")
        for trial in run.trials():
            twin = plain.trial(trial.number)
            history = trial.history()
            assert history == twin.history()[: trial.step]
            assert [each["metrics"]["seen"] for each in history] == list(range(1, trial.step + 1))
            if trial.state == "completed":
                ours, theirs = trial.checkpoint().load(), twin.checkpoint().load()
                assert _tensors(ours) == _tensors(theirs) != {}
            (probe,) = trial.probes()
            assert (probe["at"], probe["to"], probe["factors"], probe["state"]) == (
                3,
                5,
                {"lr": 0.1},
                "completed",
            )
            assert probe["metrics"]["seen"] == 5.0
            told = [each for each in trial.explain() if each.event in {"probe", "probed"}]
            assert told[1].reason == f"from step 3 to 5 at lr x 0.1: loss {probe['metrics']['loss']:.6g}"
        shared = [run.trial(number).probes()[0]["metrics"] for number in (0, 1)]
        assert shared[0] == shared[1]
        savings = run.savings()
        # Up to step 3 there are three paths, a probe of two steps of each; half of the four trials go on from there.
        went_on = sum(trial.step - 3 for trial in run.trials())
        shared_after = {0, 1} <= {trial.number for trial in run.trials() if trial.step > 3}
        assert savings["steps_in_probes"] == 3 * 2
        assert savings["steps_trained"] == 3 * 3 + 3 * 2 + went_on - shared_after
        assert savings["steps_retrained"] == 0
        assert sum(run.to_json()["trials"].values()) == len(run.trials()) == 4
        assert "probe" in run.stage_tree().to_text()


def _tensors(checkpoint: object) -> dict[str, bytes]:
    """The bytes of all tensors in a state, by where they stand."""
    found: dict[str, bytes] = {}

    def collect(value: object, place: str) -> None:
        if isinstance(value, torch.Tensor):
            found[place] = value.numpy().tobytes()
        elif isinstance(value, dict):
            for key, each in value.items():
                collect(each, f"{place}/{key}")
        elif isinstance(value, list | tuple):
            for index, each in enumerate(value):
                collect(each, f"{place}/{index}")

    collect(checkpoint, "")
    return found
