"""Two users' studies on one worker, by real processes: exact, trained once, paid by halves."""

from __future__ import annotations

import json

import pytest

from hippo_client.cli.main import call
from hippo_client.client import Client
from hippo_client.study_file import load
from tests.acceptance.conftest import Pool, until
from tests.acceptance.oracle import GRID, STEPS, bare, distinct_prefixes, study_file
from tests.acceptance.test_retention import values_of


def test_two_users_of_one_worker_pay_half_each_for_what_both_wait_for(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """1. Two users submit the same trials. 2. One worker trains what they share, once. 3. All histories are those of a
    plain loop, and each has paid half of what was trained, to the microsecond of a step."""
    monkeypatch.setenv("HIPPO_SERVER", pool.address)
    monkeypatch.setenv("HIPPO_TOKEN_FILE", str(pool.path / "server" / "admin.token"))
    tokens = {}
    for user in ("ada", "bo"):
        assert call(["token", "create", user, "--role", "editor", "--json"]) == 0
        tokens[user] = json.loads(capsys.readouterr().out)["secret"]
        (pool.folder / f"{user}.py").write_text(study_file("Dropout", user, f"max_steps={STEPS}"))
    handles = {
        user: Client(pool.address, token).submit(load(str(pool.folder / f"{user}.py")))
        for user, token in tokens.items()
    }
    pool.start_worker("one")
    for handle in handles.values():
        until(lambda: handle.state == "completed", "the end of the study")  # noqa: B023
    alone = {repr(values): found for values, found in zip(GRID, bare("Dropout", GRID), strict=True)}
    for handle in handles.values():
        values = values_of(handle)
        for trial in handle.trials():
            expected = alone[repr(values[trial.number])]["metrics"]
            assert [entry["metrics"] for entry in trial.history()] == expected
    assert pool.query("SELECT sum(steps) FROM nodes") == [(distinct_prefixes(GRID),)]
    assert call(["usage", "--json"]) == 0
    usage = json.loads(capsys.readouterr().out)
    ((trained,),) = pool.query("SELECT sum(seconds) FROM nodes")
    steps = distinct_prefixes(GRID)
    assert usage["together"]["slot_seconds"] == pytest.approx(trained, abs=steps * 1e-6)
    paid = [each["slot_seconds"] for each in usage["usage"]]
    assert paid == pytest.approx([trained / 2, trained / 2], abs=steps * 1e-6)
