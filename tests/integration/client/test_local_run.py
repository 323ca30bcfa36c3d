"""hippo.run for real: supervisor, server, worker, runner, and all that a handle tells afterwards."""

import os
import signal
import subprocess
import sys
from statistics import fmean, stdev

import pytest

import hippo_client as hippo
from hippo_client.local import attach
from hippo_client.study_file import load
from tests.waiting import until

LRS = [[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.25, 0.25], [0.5, 0.5, 0.125, 0.125]]


def sums(values):
    return [sum(values[: count + 1]) for count in range(len(values))]


def test_a_study_trains_shares_and_tells_of_it(one_slot_home, folder, tmp_path):
    """1. Metrics, states and values are those of each trial trained alone. 2. The common steps were trained once.
    3. Run again, nothing is trained. 4. Another study with other limits trains only what is new."""
    torch = pytest.importorskip("torch")
    run = hippo.run(load(folder / "study.py"), slots=1, progress=False)
    assert run.state == "completed"
    assert run.best_trial.number == 0
    for trial, lrs in zip(run.trials(), LRS, strict=True):
        assert [each["step"] for each in trial.history()] == [1, 2, 3, 4]
        assert [each["metrics"]["weight"] for each in trial.history()] == sums(lrs)
        assert [trial.values(step)["lr"] for step in range(4)] == lrs
        expected = [f"step {n} with lr {lr}" for n, lr in enumerate(lrs)]
        # What was printed is shipped beside the reports, and may come a moment after the end.
        until(lambda: _printed(trial, expected) == expected, f"what trial {trial.number} printed")  # noqa: B023
        weight = trial.checkpoint().load()["weight"]
        assert weight.dtype == torch.float64
        assert torch.equal(weight, torch.full((2,), sum(lrs), dtype=torch.float64))
        files = trial.checkpoint().download(tmp_path / f"files-{trial.number}")
        assert {file.suffix for file in files} == {".msgpack", ".safetensors"}
    assert "shared with 2 other trials" in str(run.trial(1).explain())
    savings = run.savings()
    assert (savings["steps_trained"], savings["steps_without_sharing"], savings["steps_retrained"]) == (
        8,
        12,
        0,
    )
    assert all(node.trained == node.stop for node in run.stage_tree())

    again = hippo.run(load(folder / "study.py"), progress=False)
    assert again.outcome == "unchanged"
    assert again.savings() == savings

    text = (folder / "study.py").read_text()
    (folder / "other.py").write_text(
        text.replace('"lines"', '"others"').replace("max_steps=4", "max_steps=5")
    )
    other = hippo.run(load(folder / "other.py"), progress=False)
    assert other.state == "completed"
    assert other.savings()["steps_trained"] == 3


def test_a_handle_can_extend_what_it_ran(home, folder):
    """The server and the worker stay as long as the handle."""
    run = hippo.run(load(folder / "study.py"), slots=1, progress=False)
    run.extend(max_steps=6)
    run.wait(progress=False, timeout=120)
    assert [(trial.step, trial.state) for trial in run.trials()] == [(6, "completed")] * 3
    assert run.trial(1).metrics == {"weight": 2.0}
    assert run.savings()["steps_trained"] == 8 + 6


NOISY = """
import random

import numpy as np
import torch

import hippo_client as hippo


class Noisy(hippo.Trainer):
    def setup(self, context):
        self.layer = torch.nn.Linear(3, 1)
        self.seed = context.seed
        self.names = ",".join(sorted(context.hp))

    def apply(self, hp):
        self.lr = hp["lr"]

    def train(self, step):
        noise = torch.randn(3) + random.random() + float(np.random.rand())
        with torch.no_grad():
            self.layer.weight += self.lr * noise

    def evaluate(self):
        assert self.names == "lr"
        return {"weight": self.layer.weight.sum().item(), "seed": float(self.seed)}
"""

REPEATED = """
import hippo_client as hippo
from hippo_client import schedules, space

study = hippo.Study(
    "noisy:Noisy",
    {"lr": space.choice([0.5, schedules.piecewise([0.5, 0.25], [2])])},
    maximize="weight",
    max_steps=4,
    name="NAME",
    seed=SEED,
    repeats=REPEATS,
)
"""


def test_repeats_are_what_studies_alone_with_their_seeds_come_to_bit_for_bit(one_slot_home, folder):
    (folder / "noisy.py").write_text(NOISY)

    def run(name, seed, repeats):
        file = folder / f"{name}.py"
        text = REPEATED.replace("NAME", name).replace("SEED", str(seed)).replace("REPEATS", str(repeats))
        file.write_text(text)
        return hippo.run(load(file), progress=False)

    both = run("both", 3, 2)
    alone = [run("third", 3, 1), run("fourth", 4, 1)]
    assert both.state == "completed", both.reason
    assert (both.savings()["steps_trained"], both.savings()["steps_without_sharing"]) == (12, 16)
    assert [each.savings()["steps_trained"] for each in alone] == [0, 6], "repeat 0 shares"
    for number in (0, 1):
        trial = both.trial(number)
        repeats = trial.repeats()
        assert [(each["repeat"], each["seed"], each["state"]) for each in repeats] == [
            (0, 3, "completed"),
            (1, 4, "completed"),
        ]
        histories = [each.trial(number).history() for each in alone]
        assert [each["history"] for each in repeats] == histories
        last = [history[-1]["metrics"]["weight"] for history in histories]
        assert last[0] != last[1]
        assert trial.metrics["weight"] == fmean(last)
        assert trial.spread["weight"] == pytest.approx(stdev(last))
        assert trial.spread["seed"] == pytest.approx(0.5**0.5)
    assert both.best_trial.metrics["weight"] == max(trial.metrics["weight"] for trial in both.trials())


def test_an_interrupted_script_is_resumed_by_the_next(home, folder, tmp_path):
    hold = tmp_path / "hold"
    hold.touch()
    script = [sys.executable, "-W", "default::ResourceWarning", str(folder / "study.py")]
    first = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: first.poll() is not None or _has_trained(home, 2), "step 2")
    assert first.poll() is None, first.communicate()
    first.send_signal(signal.SIGINT)
    hold.unlink()
    out, err = first.communicate(timeout=120)
    assert first.returncode in (130, -signal.SIGINT), err
    assert out == ""
    assert "run again to resume" in err
    assert "ResourceWarning" not in err

    done = subprocess.run(script, capture_output=True, text=True, check=True, timeout=120, env=os.environ)
    assert done.stdout == "<Trial 0: completed at step 4; weight=2; lr=0.5>\n"
    with attach(home, worker=False) as attachment:
        savings = hippo.Client(attachment.server, attachment.token).study("lines").savings()
    assert (savings["steps_trained"], savings["steps_retrained"]) == (8, 0)


def _printed(trial, expected):
    return [line for line in trial.logs().splitlines() if line in expected]


def _has_trained(home, steps):
    try:
        with hippo.Client() as client:
            return client.study("lines").savings()["steps_trained"] >= steps
    except hippo.errors.HippoError:
        return False
