"""A study under a budget that holds next to nothing, by the commands as processes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hippo_client.cli.main import call
from hippo_client.handles.study import StudyHandle
from hippo_client.study_file import load
from hippo_core.study import StudySpec
from tests.acceptance.conftest import Pool, checkpoint_folders, until
from tests.acceptance.oracle import GRID, STEPS, bare, digest, study_file

ASHA = f"max_steps={STEPS}, policy=policies.asha(min_steps=1, reduction_factor=2)"


def stored(pool: Pool) -> set[str]:
    """The checkpoints that lie in the storage."""
    return {"/".join(folder.parts[-4:]) for folder in checkpoint_folders(pool.path / "storage")}


def recorded(pool: Pool) -> set[str]:
    rows = pool.query(
        "SELECT plan, node, step, fence FROM checkpoints JOIN nodes ON nodes.id = node WHERE checkpoints.state = 'kept'"
    )
    return {"/".join(map(str, row)) for row in rows}


def values_of(handle: StudyHandle) -> dict[int, list[dict[str, Any]]]:
    spec = StudySpec.from_json(json.loads(handle.refresh().spec_json))
    sequences = {trial.number: spec.sequence(spec.point(trial.number)) for trial in handle.trials()}
    return {
        number: [dict(sequence.values(step)) for step in range(STEPS)]
        for number, sequence in sequences.items()
    }


def test_what_was_evicted_is_trained_again_with_equal_bits(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """1. ASHA under a budget of 1 KiB: states go as they come, and promotions train them again. 2. All histories, and
    the best trial's weights, are those of a plain loop. 3. What is left on disk is what the rows tell. 4. It is listed,
    fetched and pinned; it stays when all else is let go. 5. A trial whose states have all gone is trained again."""
    pool.end("server")
    pool.start_server("--checkpoint-budget", "1KiB")
    pool.start_worker("one", slots=2)
    (pool.folder / "asha.py").write_text(study_file("Dropout", "asha", ASHA))
    client = pool.client()
    handle = client.submit(load(str(pool.folder / "asha.py")))
    until(lambda: handle.state == "completed", "the end of the study")
    until(lambda: not pool.query("SELECT 1 FROM leases WHERE ended_at IS NULL"), "the end of all saves")

    alone = {repr(values): found for values, found in zip(GRID, bare("Dropout", GRID), strict=True)}
    values = values_of(handle)
    for trial in handle.trials():
        expected = alone[repr(values[trial.number])]["metrics"][: trial.step]
        assert [entry["metrics"] for entry in trial.history()] == expected
    best = handle.best_trial
    assert best is not None
    assert best.step == STEPS
    weights = alone[repr(values[best.number])]["weights"]
    assert digest(best.checkpoint().load()["objects"]["model"]) == weights
    until(lambda: stored(pool) == recorded(pool), "no files but those of what is kept")
    (kept,) = handle.checkpoints()
    assert (kept["need"], kept["step"]) == ("kept", STEPS)
    assert handle.refresh().over_budget.startswith("storage over budget: ")

    monkeypatch.setenv("HIPPO_SERVER", pool.address)
    monkeypatch.setenv("HIPPO_TOKEN_FILE", str(pool.path / "server" / "admin.token"))
    monkeypatch.chdir(pool.folder)

    def told(*arguments: str) -> Any:
        assert call([*arguments, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    pinned = told("checkpoint", "pin", "asha")
    assert (pinned["trial"], pinned["step"]) == (best.number, STEPS)
    assert told("checkpoint", "gc", "--to", "0")["count"] == 0
    (listed,) = told("checkpoint", "ls", "asha")
    assert (listed["need"], listed["bytes"]) == ("pinned", pinned["bytes"])
    pulled = told("checkpoint", "pull", "asha")
    assert all((pool.folder / file).is_file() for file in pulled["files"])
    assert call(["checkpoint", "pull", "asha"]) == 2
    assert "is not empty; choose another with --to." in capsys.readouterr().err
    assert told("checkpoint", "unpin", "asha")["unpinned"] == 1

    # No state of the trial that went least far is left: its steps are trained again, up to where it is to go on.
    before = handle.savings()["steps_retrained"]
    least = min(handle.trials(), key=lambda trial: trial.step)
    reached = least.step
    least.extend(to=STEPS)
    until(lambda: least.refresh().step == STEPS, "the extended trial")
    assert handle.savings()["steps_retrained"] >= before + reached
    expected = alone[repr(values[least.number])]["metrics"]
    assert [entry["metrics"] for entry in least.history()] == expected
    assert pool.query("SELECT count(*) FROM nodes WHERE not_reproducible IS NOT NULL") == [(0,)]
