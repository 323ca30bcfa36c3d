"""What endings look at, and which one holds, comes back from the rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hippo_core import endings
from hippo_core.engine.commands import ExtendStudy, ExtendTrial, FailJudgement, GiveJudgement
from hippo_core.engine.terminators import MakeJudgement
from hippo_server.store import Store
from tests.integration.store.stored_cluster import StoredCluster
from tests.unit.engine.test_cluster import expect_as_trained_alone, let_time_pass, spec, submit
from tests.unit.engine.test_policies import study_of


@pytest.mark.parametrize(
    "ending",
    [
        endings.timeout(seconds=40),
        endings.max_slot_hours(0.4 / 3600),
        endings.max_trained_steps(59),
        endings.target(0.9),
        endings.plateau(3, 0.01),
    ],
    ids=lambda ending: str(ending.word),
)
def test_totals_and_reasons_are_the_same_from_the_rows(store: Store, ending: endings.Ending) -> None:
    """1. A study runs over restarts until its ending holds. 2. One trial goes on. 3. The ending is taken away."""
    cluster = StoredCluster(1, {"a": 2}, store, 3)
    submit(cluster, replace(spec(), endings=(ending,)))
    moment = 0
    while cluster.engine.state.active:
        cluster.act()
        moment += 1
        if moment % 25 == 0:
            let_time_pass(cluster, 20.0)
            cluster.restart_server()
    cluster.restart_server()
    reason = study_of(cluster).reason
    assert (study_of(cluster).ending, study_of(cluster).ending_reason) == (ending.word, reason)
    cluster.run()
    cluster.tell(ExtendTrial(project="default", name="study", trial=0, to=12))
    for _ in range(5):
        cluster.act()
    cluster.restart_server()
    cluster.run()
    assert study_of(cluster).reason == reason
    cluster.tell(
        ExtendStudy(project="default", name="study", endings=(endings.max_slot_hours(9), endings.target(2)))
    )
    if ending.word in {"timeout", "plateau", "max_trained_steps"}:
        assert study_of(cluster).ending == ending.word, "it still holds"
        return
    cluster.expect_equal_from_rows()
    cluster.run()
    cluster.expect_equal_from_rows()
    assert study_of(cluster).ending == ""
    expect_as_trained_alone(cluster, "study")


def test_what_a_terminator_was_asked_and_said_comes_back(store: Store) -> None:
    cluster = StoredCluster(1, {"a": 2}, store)
    terminator = endings.terminator("emmr", threshold=0.1, min_trials=2)
    submit(cluster, replace(spec(), endings=(terminator,)))
    for answer in ("fail", "go on", "end"):
        while not (wanted := [each for each in cluster.engine.wanted() if isinstance(each, MakeJudgement)]):
            cluster.act()
        task = cluster.engine.judgement_task(wanted[0])
        cluster.restart_server()
        assert [each for each in cluster.engine.wanted() if isinstance(each, MakeJudgement)] == wanted
        assert cluster.engine.judgement_task(wanted[0]) == task
        asked = {"study": wanted[0].study, "sequence": wanted[0].sequence}
        if answer == "fail":
            cluster.tell(FailJudgement(**asked, reason="it died"))
        else:
            cluster.tell(GiveJudgement(**asked, gain=1.0 if answer == "go on" else 0.01, threshold=0.1))
        cluster.restart_server()
    assert study_of(cluster).ending == "terminator"
