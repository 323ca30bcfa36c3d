"""``hippo-worker check`` passes sound trainers and names what is wrong with broken ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hippo_core import schedules, space
from hippo_core.study import StudySpec
from hippo_worker import check
from hippo_worker.check.processes import Zygotes
from tests.studies import study
from tests.unit.hosting.secretive import SECRET, SECRETIVE, write_secrets

FOLDER = Path(__file__).parent
LATE = schedules.piecewise([0.1, 0.01], milestones=[20])


def make_spec(trainer: str, **program: Any) -> StudySpec:
    return study({"lr": LATE, "momentum": 0.9}, program_changes={"trainer": trainer, **program})


@pytest.fixture(scope="module")
def zygotes() -> Iterator[Zygotes]:
    """Processes that have imported torch, for all tests here."""
    made = Zygotes()
    yield made
    made.close()


def run_check(
    spec: StudySpec, code: Path, folder: Path, capsys: Any, zygotes: Zygotes, *more: str
) -> tuple[int, dict[str, Any]]:
    """The exit status, and the last line of what the command prints."""
    file = folder / "spec.json"
    file.write_text(json.dumps(spec.to_json()))
    status = check.main(["--spec", str(file), "--code", str(code), *more], zygotes)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return status, lines[-1]


@pytest.mark.parametrize(
    "trainer", ["BatchNorm", "Scheduled", "NoisyEvaluation", "Accumulating", "Iterations"]
)
def test_a_sound_trainer_passes(trainer: str, tmp_path: Path, capsys: Any, zygotes: Zygotes) -> None:
    spec = study(
        {"lr": LATE, "batch_size": schedules.piecewise([8, 12], milestones=[21])},
        program_changes={"trainer": f"exact_trainers:{trainer}", "unit": "iteration"},
    )
    status, result = run_check(spec, FOLDER / "bundle", tmp_path, capsys, zygotes)
    assert (status, result["problems"], result["passed"]) == (0, [], True)


def test_a_trainer_gets_its_secrets_and_its_variables(tmp_path: Path, capsys: Any, zygotes: Zygotes) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "secretive.py").write_text(SECRETIVE)
    spec = study(
        {"lr": LATE, "batch_size": 8},
        program_changes={"trainer": "secretive:Secretive", "env": {"MY_PROJECT": "failing"}},
        secrets=("MY_API_KEY",),
    )
    secrets = write_secrets(tmp_path / "secrets.env")
    status, result = run_check(
        spec, tmp_path / "code", tmp_path, capsys, zygotes, "--secrets-file", str(secrets)
    )
    assert status == 1
    assert f"ValueError: {'*' * len(SECRET)} is refused" in result["problems"][0]["message"]
    secrets.write_text("")
    status, result = run_check(
        spec, tmp_path / "code", tmp_path, capsys, zygotes, "--secrets-file", str(secrets)
    )
    assert (status, result["error"]["code"]) == (2, "INVALID")


#: By file: the check that fails, and words that its message has.
BROKEN = {
    "module_global": ("fresh", "the global steps_seen of module_global.py"),
    "closure": ("fresh", "calls in the closure of self.noise"),
    "own_generator": ("fresh", "the global generator of own_generator.py"),
    "class_cache": ("fresh", "the class attribute Trainer.cache in class_cache.py"),
    "held_iterator": ("train", "batches: An iterator"),
    "hidden_iterator": ("fresh", "the global shifts of hidden_iterator.py"),
    "setup_only": ("train", "lr changes by step 2, but apply() never reads it"),
    "drawing_apply": ("apply", "random state of torch"),
    "resetting_apply": ("apply", "optimizer.state"),
    "evaluation_updates": ("evaluate", "model.1.running_mean"),
    "evaluation_draws": ("evaluate", "generator"),
    "own_threads": ("train", "set torch to 3 threads; the study says 1"),
    "processor_count": ("repeat", "the number of processors"),
    "wall_clock": ("repeat", "the clock"),
    "forgotten_optimizer": ("fresh", "load_state_dict() does not bring back: optimizer.state"),
    "hash_order": ("repeat", "hash()"),
    # Addresses may differ between two equal runs already, or only where they are made to differ: id() is named in both.
    "address_order": ("repeat", "id()"),
    "own_address": ("repeat", "id()"),
    "unseeded": ("repeat", "Two equal runs differ"),
    "saving_changes": ("save", "Saving changes training"),
    "late_scheduler": ("train", "scheduler: A StepLR was made after setup()"),
    "file_state": ("repeat", "Two equal runs differ"),
    "dying": ("train", "SIGSEGV"),
    "warm_cache": ("warm", "in a process that has trained before"),
    "setups_counted": ("warm", "the global setups of setups_counted.py"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_trainer_fails_and_the_cause_is_named(
    name: str, tmp_path: Path, capsys: Any, zygotes: Zygotes
) -> None:
    status, result = run_check(make_spec(f"{name}:Trainer"), FOLDER / "broken", tmp_path, capsys, zygotes)
    assert status == 1
    assert not result["passed"]
    wanted, words = BROKEN[name]
    problem = result["problems"][0]
    told = f"{problem['message']} {problem['remedy']}"
    assert (problem["check"], words) == (wanted, words if words in told else told)


def test_constants_can_be_set(tmp_path: Path, capsys: Any, zygotes: Zygotes) -> None:
    spec = make_spec("setup_only:Trainer")
    status, result = run_check(spec, FOLDER / "broken", tmp_path, capsys, zygotes, "--set", "lr=0.1")
    assert (status, result["problems"]) == (0, [])


def test_the_trial_with_changes_is_the_one_that_is_checked(
    tmp_path: Path, capsys: Any, zygotes: Zygotes
) -> None:
    spec = study(
        {"lr": space.choice([0.1, LATE]), "momentum": 0.9},
        max_trials=12,
        program_changes={"trainer": "setup_only:Trainer"},
    )
    status, result = run_check(spec, FOLDER / "broken", tmp_path, capsys, zygotes)
    assert status == 1
    assert "lr changes" in result["problems"][0]["message"]


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("lr", "'lr' is not name=value"),
        ("rate=1", "the study has no 'rate'"),
        ("lr=abc", "'abc' is not a number"),
        ('lr={"schedule": "cosine"}', "is to be a constant"),
    ],
)
def test_a_wrong_setting_is_refused_with_words(
    argument: str, words: str, tmp_path: Path, capsys: Any
) -> None:
    status, result = run_check(
        make_spec("sound:Sound"), FOLDER / "broken", tmp_path, capsys, zygotes, "--set", argument
    )
    assert status == 2
    assert words in result["error"]["message"]
