"""Shared training gives, bit for bit, what each trial gives when it is trained alone by a plain PyTorch loop."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from hippo_client import Client
from hippo_client.study_file import load
from tests.acceptance.conftest import LocalHome, Pool, until
from tests.acceptance.oracle import GRID, SPACE, STEPS, bare, digest, distinct_prefixes, study_file

EPOCH_TRAINERS = ["Dropout", "BatchNormAdam", "OwnScheduler", "Autocast", "RandomEvaluation"]


def expect_as_alone(
    client: Client,
    study: str,
    trainer: str,
    weights: bool = True,
    evaluate_every: int = 1,
    device: str = "cpu",
) -> list[Any]:
    """Every trial's metrics at every step, and its final weights, equal those of the plain loop."""
    handle = client.study(study)
    trials = handle.trials()
    taken = [[trial.values(step=step) for step in range(STEPS)] for trial in trials]
    assert sorted(map(repr, taken)) == sorted(map(repr, GRID))
    for trial, alone in zip(trials, bare(trainer, taken, device=device), strict=True):
        steps = list(range(evaluate_every, STEPS + 1, evaluate_every))
        assert [entry["step"] for entry in trial.history()] == steps
        assert [entry["metrics"] for entry in trial.history()] == [
            alone["metrics"][step - 1] for step in steps
        ]
        if weights:
            assert digest(trial.checkpoint().load()["objects"]["model"]) == alone["weights"]
    return taken


@pytest.mark.parametrize("trainer", EPOCH_TRAINERS)
def test_a_grid_equals_plain_loops(shared_home: LocalHome, trainer: str) -> None:
    result = shared_home.json("run", shared_home.write("grid.py", study_file(trainer, trainer)))
    assert result["trials"]["completed"] == len(GRID)
    with shared_home.client() as client:
        taken = expect_as_alone(client, trainer, trainer)
    assert result["savings"]["steps_trained"] == distinct_prefixes(taken)
    assert result["savings"]["steps_retrained"] == 0
    assert result["savings"]["steps_without_sharing"] == len(GRID) * 8


def test_the_winner_of_a_population_is_retrained_alone_with_equal_bits(shared_home: LocalHome) -> None:
    """1. Forks of the best take the places of the worst; no step is trained twice. 2. The whole lineage of the best is
    read as ordinary schedules, and trained alone by a plain loop: equal metrics and weights. 3. `hippo verify`, too."""
    text = study_file("Dropout", "population", "max_trials=4, max_steps=8, policy=policies.pbt(interval=2)")
    searched = """{
        "lr": space.loguniform(1e-2, 1.0), "batch_size": space.choice([16, 32]), "momentum": space.uniform(0.0, 0.9),
    }"""
    result = shared_home.json("run", shared_home.write("population.py", text.replace(SPACE, searched)))
    assert result["trials"]["completed"] == 4
    assert result["trials"]["stopped"] == 3, "one is replaced at each of the steps 2, 4 and 6"
    assert result["savings"]["steps_trained"] == 4 * 8
    assert result["savings"]["steps_retrained"] == 0
    with shared_home.client() as client:
        trials = client.study("population").trials()
        lineages = {trial.number: trial.lineage() for trial in trials if trial.state == "completed"}
        best = max(lineages, key=lambda number: (len(lineages[number]), -number))
        trial = trials[best]
        assert trial.parent is not None
        values = [trial.values(step) for step in range(8)]
        for part in lineages[best]:
            owner = trials[part["trial"]]
            assert owner.values(part["start"]) == values[part["start"]]
        (alone,) = bare("Dropout", [values])
        assert [entry["metrics"] for entry in trial.history()] == alone["metrics"]
        assert digest(trial.checkpoint().load()["objects"]["model"]) == alone["weights"]
        assert "in place of trial" in str(trial.explain())
    shown = shared_home.json("trial", "show", "population", str(best))
    assert shown["values"] == values
    assert shown["fork"]["trial"] == trial.parent
    assert any(
        each["schedule"] == "piecewise"
        for each in shown["hyperparameters"].values()
        if isinstance(each, dict)
    )
    verified = shared_home.json("verify", "population", "--trial", str(best))
    assert verified["passed"]
    assert verified["compared"]["tensors"] > 0


def test_iterations_with_forks_inside_an_epoch_equal_a_plain_loop(shared_home: LocalHome) -> None:
    """Batches come from two processes, their size changes, and trials part in the middle of a pass over the data."""
    text = study_file("Iterations", "iterations", "max_steps=8, unit='iteration', evaluate_every=2")
    result = shared_home.json("run", shared_home.write("iterations.py", text))
    assert result["savings"]["steps_trained"] == distinct_prefixes(GRID)
    with shared_home.client() as client:
        expect_as_alone(client, "iterations", "Iterations", evaluate_every=2)


def test_one_slot_and_two_workers_give_the_same_bits(pool: Pool) -> None:
    """1. Two workers with caches of their own train a grid. 2. A fork crossed from one to the other, to a cold and to
    a warm runner. 3. All trials equal the plain loop."""
    pool.end("server")
    pool.start_server("--lease-seconds", "30")  # no worker is lost, should it have to wait for the processor
    pool.start_worker("one")
    pool.start_worker("two")
    until(lambda: pool.query("SELECT count(*) FROM workers WHERE state = 'live'") == [(2,)], "two workers")
    # Steps so long that no worker takes paths ahead: each takes the next one that is ready, whoever trained before it.
    study = _study(pool, "first", extra="max_steps=8, options={'pause': 0.1}")
    handle = pool.client().submit(study)
    handle.wait()
    expect_as_alone(pool.client(), "first", "Dropout")
    assert handle.savings()["steps_trained"] == distinct_prefixes(GRID)
    crossed = pool.query(
        """
        SELECT count(*) FROM leases l JOIN leases writer ON writer.fence = l.start_fence
        WHERE writer.worker <> l.worker AND NOT l.in_memory
        """
    )
    assert crossed[0][0] > 0


def _study(pool: Pool, name: str, trainer: str = "Dropout", extra: str = "max_steps=8") -> Any:
    file = pool.folder / f"{name}.py"
    file.write_text(study_file(trainer, name, extra))
    return load(str(file))


def test_a_second_study_after_a_restart_trains_only_what_is_new(pool: Pool) -> None:
    """1. A study trains 6 steps. 2. Everything is ended and started again. 3. Another study file of the same folder
    asks for 8 steps. 4. Only the last two are trained. 5. An equal one trains nothing."""
    pool.start_worker("one")
    pool.client().submit(_study(pool, "first", extra="max_steps=6")).wait()
    pool.end("one")
    pool.end("server")
    pool.start_server()
    pool.start_worker("one")
    second = pool.client().submit(_study(pool, "second"))
    second.wait()
    expect_as_alone(pool.client(), "second", "Dropout")
    shorter = [values[:6] for values in GRID]
    assert second.savings()["steps_trained"] == distinct_prefixes(GRID) - distinct_prefixes(shorter)
    assert second.savings()["steps_retrained"] == 0
    pool.end("one")
    third = pool.client().submit(_study(pool, "third"))
    third.wait(timeout=120)
    assert third.savings()["steps_trained"] == 0
    expect_as_alone(pool.client(), "third", "Dropout", weights=False)


def test_a_changed_line_in_the_trainer_or_what_it_imports_shares_nothing(
    shared_home: LocalHome, tmp_path: Path
) -> None:
    folder = shutil.copytree(shared_home.folder, tmp_path / "work")
    with shared_home.client() as client:
        for changed in ("trainers.py", "models.py"):
            (folder / changed).write_text((folder / changed).read_text() + "\nCHANGED = True\n")
            name = changed.replace(".", "-")
            (folder / f"{name}.py").write_text(study_file("Dropout", name))
            study = client.submit(load(str(folder / f"{name}.py")))
            study.wait(progress=False)
            assert study.savings()["steps_trained"] == distinct_prefixes(GRID)


def test_a_fork_inside_a_running_stage_is_joined_or_caught_up(pool: Pool) -> None:
    """1. A trial runs. 2. While it stands before its fifth step, trials come that fork from steps it has yet to reach,
    or has passed. 3. It saves where it can; the gap before the others is trained again, and counted. 4. All equal the
    plain loop."""
    pool.start_worker("one", slots=2)
    gate = pool.folder / "gate"
    gate.touch()
    # Of a step that waits, all before it is told: steps take longer than a runner gathers what it tells at once, as it
    # does where an ending looks at each evaluation.
    options = {"pause": 0.1, "gate": str(gate), "gate_steps": [4]}
    slow = f"max_steps=8, endings=[hippo.endings.target(2.0)], options={options}"
    alone = f"{slow}, max_trials=1, sampler=samplers.grid()"
    first = pool.client().submit(_study(pool, "first", extra=alone))
    until(lambda: first.trials()[0].step == 4, "the trial before its fifth step")
    late = pool.client().submit(_study(pool, "late", extra=slow))
    until(lambda: pool.query("SELECT 1 FROM save_points WHERE offered"), "an offer to save on the way")
    gate.unlink()
    first.wait()
    late.wait()
    expect_as_alone(pool.client(), "late", "Dropout")
    assert pool.query("SELECT step, answer FROM save_points WHERE offered AND fence = 1") == [(5, "will")]
    trained = pool.query("SELECT sum(trained - start)::bigint FROM lease_stages")[0][0]
    again = trained - distinct_prefixes(GRID)
    assert again > 0
    assert late.savings()["steps_retrained"] == again
