"""``hippo-worker verify`` trains a trial alone and compares it with what it is given."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hippo_core import schedules
from hippo_core.study import StudySpec
from hippo_worker.hosting.host import PathHost
from hippo_worker.hosting.link import Trained
from tests.studies import study
from tests.unit.hosting.bare_loops import train_alone
from tests.unit.hosting.memory_link import MemoryLink
from tests.unit.hosting.orders import BUNDLE, make_order
from tests.unit.hosting.secretive import SECRET, SECRETIVE, write_secrets
from tests.unit.hosting.untouched import untouched

STEPS = 5
VALUES = [*[{"lr": 0.1, "batch_size": 8}] * 2, *[{"lr": 0.01, "batch_size": 8}] * 3]


def make_spec(trainer: str) -> StudySpec:
    space = {"lr": schedules.piecewise([0.1, 0.01], milestones=[2]), "batch_size": 8}
    return study(space, program_changes={"trainer": trainer, "seed": 7}, max_steps=STEPS)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state at step 4 of the trial, as a path wrote it that was cut at 2."""
    folder = tmp_path_factory.mktemp("shared")
    host, link = PathHost("cpu", 1), MemoryLink()
    order = make_order(folder, "exact_trainers:Dropout", VALUES, [(1, 0, 2), (2, 2, 4)])
    with untouched():
        assert host.run(order, link) == Trained()
        host.close()
    return link.folder(2, 4)


def verify(folder: Path, **changes: Any) -> tuple[int, dict[str, Any]]:
    """The exit status, and the last line of what the command prints."""
    spec = make_spec("exact_trainers:Dropout")
    metrics, _ = train_alone("Dropout", VALUES, 1)
    request = {
        "spec": spec.to_json(),
        "hyperparameters": spec.hyperparameters(spec.point(0)),
        "step": STEPS,
        "code": str(BUNDLE),
        "history": [{"step": step, "metrics": found} for step, found in metrics.items()],
        "checkpoint": None,
        **changes,
    }
    file = folder / "request.json"
    file.write_text(json.dumps(request))
    command = [sys.executable, "-m", "hippo_worker.main", "verify", "--request", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


def test_an_equal_trial_passes(tmp_path: Path, checkpoint: Path) -> None:
    status, result = verify(tmp_path, checkpoint={"step": 4, "folder": str(checkpoint)})
    assert (status, result["differences"], result["failure"], result["passed"]) == (0, [], "", True)
    assert result["compared"]["metrics"] == STEPS
    assert result["compared"]["tensors"] >= 8


def test_a_last_bit_of_a_metric_and_of_a_weight_is_noticed(tmp_path: Path, checkpoint: Path) -> None:
    """1. One metric is changed in its last bit. 2. The checkpoint is that of step 4, given as that of step 3."""
    metrics, _ = train_alone("Dropout", VALUES, 1)
    history = [{"step": step, "metrics": dict(found)} for step, found in metrics.items()]
    right = history[2]["metrics"]["loss"]
    history[2]["metrics"]["loss"] = math.nextafter(right, 2)
    assert history[2]["metrics"]["loss"] != right
    status, result = verify(tmp_path, history=history, checkpoint={"step": 3, "folder": str(checkpoint)})
    assert status == 1
    assert not result["passed"]
    first, *others = result["differences"]
    assert first == {"step": 3, "name": "loss", "shared": history[2]["metrics"]["loss"], "alone": right}
    assert {"objects.model.0.weight", "objects.model.0.bias"} <= {each["name"] for each in others}


def test_a_trainer_that_fails_says_so_and_is_not_compared(tmp_path: Path) -> None:
    spec = make_spec("exact_trainers:Missing")
    status, result = verify(tmp_path, spec=spec.to_json())
    assert (status, result["differences"]) == (1, [])
    assert result["compared"] == {"metrics": 0, "tensors": 0}
    assert "exact_trainers has no Missing. Trainers in it: Accumulating" in result["failure"]


@pytest.mark.parametrize("project", ["vision", "failing"])
def test_a_trainer_gets_what_it_gets_from_a_worker_and_its_secrets_are_not_told(
    project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The secrets of the home's worker, and the study's variables; a secret that names a metric is hidden."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "secretive.py").write_text(SECRETIVE)
    (tmp_path / "worker").mkdir()
    write_secrets(tmp_path / "worker" / "secrets.env")
    monkeypatch.setenv("HIPPO_HOME", str(tmp_path))
    changes = {"trainer": "secretive:Secretive", "env": {"MY_PROJECT": project}}
    spec = replace(make_spec("secretive:Secretive"), secrets=("MY_API_KEY",))
    spec = replace(spec, program=replace(spec.program, **changes))
    history = [{"step": step, "metrics": {"*" * len(SECRET): 1.0}} for step in range(1, STEPS + 1)]
    status, result = verify(tmp_path, spec=spec.to_json(), code=str(tmp_path / "code"), history=history)
    if project == "failing":
        assert (status, result["differences"]) == (1, [])
        assert f"{'*' * len(SECRET)} is refused" in result["failure"]
    else:
        assert (status, result["failure"], result["compared"]["metrics"]) == (0, "", STEPS)


def test_a_secret_that_lacks_is_told_with_where_it_belongs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIPPO_HOME", str(tmp_path))
    spec = replace(make_spec("exact_trainers:Dropout"), secrets=("MY_API_KEY",))
    status, result = verify(tmp_path, spec=spec.to_json())
    assert status == 2
    assert f"Write MY_API_KEY=... into {tmp_path / 'worker' / 'secrets.env'}" in result["error"]["hint"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"step": 0}, "request.step"),
        ({"hyperparameters": {"rate": 1.0}}, "request.hyperparameters['rate']"),
        ({"spec": {}}, "is missing"),
    ],
)
def test_a_wrong_request_is_refused_with_words(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    status, result = verify(tmp_path, **changes)
    assert status == 2
    assert words in result["error"]["message"]
