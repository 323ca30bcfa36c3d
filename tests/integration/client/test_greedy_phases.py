"""A schedule that is found on the way, for real: server, worker and runner."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hippo_client as hippo
from hippo_client.local import Home
from hippo_client.study_file import load

STUDY = """
import hippo_client as hippo
from hippo_client import policies, schedules, space

rates = [space.uniform(0.1, 0.9), space.uniform(0.1, 0.9)]
study = hippo.Study(
    "trainer:Line",
    {"lr": schedules.piecewise(rates, [2])},
    maximize="weight",
    name="greedy",
    max_trials=12,
    max_steps=4,
    policy=policies.greedy_phases(candidates=3, probe_steps=1),
    options={"hold": ""},
)
"""


def test_the_best_rate_of_each_phase_goes_on(one_slot_home: Home, folder: Path) -> None:
    """1. The weight is the sum of the rates, so the largest of three is chosen, twice. 2. The rest is not trained.

    A slot that waits for a lineage's last candidate begins another.
    """
    pytest.importorskip("torch")
    (folder / "greedy.py").write_text(STUDY)
    run = hippo.run(load(folder / "greedy.py"), slots=1, progress=False)
    assert run.state == "completed", run.reason
    trials = run.trials()
    rounds: dict[tuple[int, int], list[hippo.Trial]] = {}
    for trial in trials:
        found = re.search(r"for phase (\d+), from step \d+, of lineage (\d+)", str(trial.explain()))
        assert found is not None
        rounds.setdefault((int(found[2]), int(found[1])), []).append(trial)
    for (lineage, phase), members in rounds.items():
        rates = [trial.values(2 * phase)["lr"] for trial in members]
        if phase == 1:
            before = [trial.values(0)["lr"] for trial in rounds[lineage, 0]]
            assert {trial.values(0)["lr"] for trial in members} == {max(before)}
            assert len(before) == 3
        if phase == 1 and len(members) == 3:
            best = members[rates.index(max(rates))]
            assert (best.step, best.state) == (4, "completed")
            assert "; it goes to the end" in str(best.explain())
    judged = [trial for trial in trials if trial.state == "stopped"]
    assert {trial.step for trial in judged} <= {1, 3}
    assert len(judged) >= 10
    assert run.savings()["steps_retrained"] == 0
