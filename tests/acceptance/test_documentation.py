"""The examples come to what they are there to show, and the pages' code does what it asks a server for.

Steps are exact. Bounds on what is learnt are those that three seeds keep with room to spare: on another processor
training takes another course. What takes more than a few seconds runs in `make soak`.
"""

from __future__ import annotations

import contextlib
import runpy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hippo_client import Client
from hippo_client.handles.study import StudyHandle
from hippo_client.study_file import load
from tests.acceptance.conftest import LocalHome
from tests.code_blocks import Block, asks_a_server, blocks, execute
from tests.unit.docs.test_code_blocks import PRELUDE
from tests.waiting import until

EXAMPLES = Path(__file__).parents[2] / "examples"


TRAINER = '''
import torch

import hippo_client as hippo


class DigitsTrainer(hippo.Trainer):
    """Next to no training, with all that the pages speak of."""

    def setup(self, context):
        self.model = torch.nn.Linear(2, 1)

    def apply(self, hp):
        self.values = [hp["lr"], hp["batch_size"], hp["momentum"]]

    def train(self, step):
        with torch.no_grad():
            self.model.weight += self.values[0]

    def evaluate(self):
        return {"accuracy": self.model.weight.sum().item(), "loss": -self.values[0]}
'''
STEPS = 9


@pytest.fixture(scope="module")
def client(shared_home: LocalHome) -> Iterator[Client]:
    pytest.importorskip("sklearn")
    with shared_home.client() as made:
        yield made


def train(client: Client, example: str) -> StudyHandle:
    """Trains an example's study to its end."""
    return client.submit(load(str(EXAMPLES / example))).wait(progress=False)


def defined(example: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What an example defines, as a script that lies beside its trainer."""
    monkeypatch.syspath_prepend(str((EXAMPLES / example).parent))
    return runpy.run_path(str(EXAMPLES / example))


def steps(run: StudyHandle) -> tuple[int, int, int]:
    """Of its trials trained alone; trained; trained again."""
    savings = run.savings()
    return savings["steps_without_sharing"], savings["steps_trained"], savings["steps_retrained"]


def best(run: StudyHandle, metric: str) -> float:
    """The best trial's value."""
    assert run.best_trial is not None, run.reason
    value = run.best_trial.metrics[metric]
    assert value is not None
    return value


def test_a_plain_loop_comes_to_the_same_bits_by_hippo(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine schedules in 155 epochs of 270; each trial's losses are those of the loop with its rates."""
    torch = pytest.importorskip("torch")
    run = train(client, "plain_loop/study.py")
    assert steps(run) == (270, 155, 0)
    assert best(run, "loss") < 0.08
    threads = torch.get_num_threads()
    with contextlib.ExitStack() as after:
        after.callback(torch.set_num_threads, threads)
        torch.set_num_threads(1)  # as a trial has by default
        loop = defined("plain_loop/loop.py", monkeypatch)["train"]
        for trial in run.trials():
            rates = [trial.values(step=step)["lr"] for step in range(30)]
            assert [each["metrics"]["loss"] for each in trial.history()] == loop(rates)


def test_a_search_of_ones_own_shares_the_beginning(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight points that nobody knew beforehand, and their first three epochs once."""
    run = client.submit(load(str(EXAMPLES / "digits/own_sampler.py")))
    defined("digits/own_sampler.py", monkeypatch)["drive"](run)
    run.wait(progress=False)
    assert steps(run) == (8 * 6, 3 + 8 * 3, 0)
    assert best(run, "accuracy") > 0.88


@pytest.mark.soak
def test_a_second_study_goes_on_from_the_first(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second trains its last six epochs alone: the first six are the first study's."""
    example = "digits/warm_start.py"
    first = train(client, f"{example}:first")
    assert steps(first) == (4 * 6, 4 * 6, 0)
    second = client.submit(defined(example, monkeypatch)["second"](first.best_trial)).wait(progress=False)
    assert steps(second) == (6 * 12, 6 * 6, 0)
    assert best(second, "accuracy") > 0.91


@pytest.mark.soak
def test_two_objectives_have_a_front(client: Client) -> None:
    """Nearly as many are told apart by fewer pixels, down to where accuracy goes."""
    run = train(client, "two_objectives/study.py")
    assert steps(run) == (12 * 25, 2 * 10 + 12 * 15, 0)
    front = sorted((trial.metrics["pixels"], trial.metrics["accuracy"]) for trial in run.best_trials)
    assert [accuracy for _, accuracy in front] == sorted({accuracy for _, accuracy in front})
    assert front[0][0] < 45 < 55 < front[-1][0]
    assert front[0][1] > 0.65
    assert 0.85 < front[-1][1] < 0.95


@pytest.mark.soak
@pytest.mark.parametrize(
    ("example", "alone", "trained", "accuracy"),
    [("dataloader/study.py", 144, 69, 0.88), ("digits/population.py", 90, 72, 0.9)],
)
def test_what_draws_random_numbers_is_shared(
    client: Client, example: str, alone: int, trained: int, accuracy: float
) -> None:
    """Of a population three forks take others' places, with six, nine and twelve epochs behind or before them."""
    run = train(client, example)
    assert steps(run) == (alone, trained, 0)
    assert best(run, "accuracy") > accuracy


@pytest.mark.soak
def test_a_study_in_yaml_is_that_of_the_python_file(client: Client) -> None:
    """ASHA decides by the order in which results come: at most what 64 trials take, and of the best all 27 epochs."""
    run = train(client, "digits/study.yaml")
    assert best(run, "accuracy") > 0.95
    assert run.best_trial is not None
    assert run.best_trial.step == 27
    assert run.savings()["merge_rate"] > 2
    assert client.submit(load(str(EXAMPLES / "digits/study.py"))).outcome == "unchanged"


@pytest.mark.soak
def test_a_policy_of_ones_own_trains_the_best_to_the_end(client: Client) -> None:
    run = train(client, "digits/own_policy_study.py")
    assert best(run, "accuracy") > 0.95
    alone, trained, again = steps(run)
    assert alone < 16 * 27
    assert trained < alone
    assert again == 0


@pytest.mark.soak
def test_a_language_model_has_one_trunk_and_three_cooldowns_for_each_rate(client: Client) -> None:
    """4 trunks of 640 batches up to where the longest decays, and cooldowns of 40, 80 and 160."""
    run = train(client, "language_model/study.py")
    assert steps(run) == (4 * (200 + 400 + 800), 4 * (640 + 40 + 80 + 160), 0)
    losses = [trial.metrics["loss"] for trial in run.best_by_horizon.values()]
    assert losses == sorted(losses, reverse=True)
    assert 2.0 < losses[-1] < 2.3
    assert losses[0] < 2.7


class Algorithm:
    """What a reader brings: an optimiser that asks and tells, an algorithm that proposes and decides."""

    def __init__(self) -> None:
        self.made = 0
        self.heard: list[float] = []

    def ask(self) -> dict[str, Any]:
        self.made += 1
        return {"lr": 0.001 * self.made, "momentum": 0.5}

    propose = ask

    def tell(self, point: dict[str, Any], metrics: dict[str, float]) -> None:
        self.heard.append(metrics["accuracy"])

    def decide(self, number: int, step: int, metrics: dict[str, float]) -> int:
        self.heard.append(metrics["accuracy"])
        return STEPS if number % 2 else step


def test_what_the_pages_ask_of_a_server_it_does(
    shared_home: LocalHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page, each with a study named digits that was trained; where trials are to rest, one whose trials do."""
    pytest.importorskip("optuna")
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    pytest.importorskip("plotly")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIPPO_HOME", str(shared_home.path))
    for name in ("HIPPO_SERVER", "HIPPO_TOKEN", "HIPPO_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "trainer.py").write_text(TRAINER)
    file = str(tmp_path / "study.py")
    optimizer, algorithm = Algorithm(), Algorithm()
    with shared_home.client() as client:
        names: dict[str, Any] = {
            **PRELUDE,
            "__name__": "study",
            "__file__": file,
            "client": client,
            "time": time,
            "optimizer": optimizer,
            "algorithm": algorithm,
        }
        found = [block for block in blocks("python") if asks_a_server(block) and not block.reason]
        assert len(found) >= 11
        for page in dict.fromkeys(block.page for block in found):
            execute(_study("digits", page, "max_trials=6", f"max_steps={STEPS}"), names)
            names["run"] = client.submit(names["study"]).wait(progress=False)
            names["run"].export("digits.json")
            for block in blocks("python"):
                if block.page != page or block.reason:
                    continue
                if "run.trial(3)" in block.text or "run.state ==" in block.text:
                    sampler = "outside" if "run.ask" in block.text else "random"
                    steps = 27 if sampler == "random" else STEPS
                    more = ("policy=policies.manual(min_steps=1)", "max_trials=6", f"max_steps={steps}")
                    execute(_study(f"resting-{sampler}", page, f"sampler=samplers.{sampler}()", *more), names)
                    names["run"] = client.submit(names["study"])
                    if sampler == "random":
                        until(lambda: _all_rest(names["run"]), "trials that rest")
                execute(block, names)
            for study in client.studies():
                if study.name == "digits" or study.name.startswith("resting"):
                    if study.state == "running":
                        study.stop()
                    study.delete()
    assert (optimizer.made, algorithm.made) == (40, 6)


def _all_rest(run: StudyHandle) -> bool:
    return {trial.state for trial in run.trials()} == {"paused"}


def _study(name: str, page: Path, *more: str) -> Block:
    return Block(page, 0, "python", f"study = hippo.Study(..., name={name!r}, {', '.join(more)})", "")
