"""Looking through many trials tells of each what its view does."""

from __future__ import annotations

from hippo_core import schedules
from hippo_core.engine.commands import PauseStudy
from hippo_core.engine.reported_names import ReportedNames
from hippo_core.engine.trial_detail import forked_from
from hippo_core.engine.trial_glance import TrialGlance, glance
from hippo_core.engine.trial_views import some_trial_views, trial_views
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import spec, submit
from tests.unit.engine.test_forks import fork

PARTS = (
    "number", "state", "step", "metrics", "violation", "hyperparameters", "horizon", "parent", "reason",
)  # fmt: skip


def test_a_glance_sees_what_the_view_has_and_keeps_what_it_made() -> None:
    """Half-way, with forks, and with reasons of those that wait."""
    cluster = Cluster(0, {"a": 2})
    submit(cluster, spec())
    for _ in range(120):
        cluster.act()
    first = fork(cluster, 0, 3, lr=schedules.linear(0.05, 0.0, 4))
    second = fork(cluster, 0, 6, lr=0.03)
    cluster.tell(PauseStudy(project="default", name="study"))
    views = trial_views(cluster.engine, "default", "study")
    assert {view.state.value for view in views} >= {"waiting"}
    assert any(view.metrics for view in views)
    assert "the study is paused" in {view.reason for view in views}

    def look(trial: TrialGlance) -> dict[str, object]:
        return {part: getattr(trial, part) for part in PARTS}

    known: dict[int, object] = {}
    for _ in range(2):
        seen = glance(cluster.engine, "default", "study", range(1000), known, look)  # type: ignore[arg-type]
        assert seen == [{part: getattr(view, part) for part in PARTS} for view in views]
        assert known == {view.number: view.hyperparameters for view in views}
    assert [each["number"] for each in glance(cluster.engine, "default", "study", range(5, 8), {}, look)] == [
        5,
        6,
        7,
    ]
    assert some_trial_views(cluster.engine, "default", "study", [second, 3]) == (views[second], views[3])
    assert forked_from(cluster.engine, "default", "study", 0) == (first, second)


def test_names_of_metrics_are_found_in_all_trials_however_few_are_looked_at_at_once() -> None:
    """Those that one late trial alone reports, too; and once more only what has come since."""
    cluster = Cluster(0, {"a": 2})
    submit(cluster, spec())
    found = ReportedNames()
    study = cluster.engine.state.study_named("default", "study")
    assert study is not None
    assert (found.go_on(cluster.engine.state, study, 5), list(found.names)) == (False, [])
    while not study.closings:
        cluster.act()
    while found.go_on(cluster.engine.state, study, 1):
        pass
    assert list(found.names) == ["accuracy"]
    cluster.run()
    last = study.trials[study.closings[-1].trial]
    assert last.reached_node is not None
    last.reached_node.record(last.reached, {**last.reached_node.metrics[last.reached], "late": 1.0})
    rounds = 1
    while found.go_on(cluster.engine.state, study, 3):
        rounds += 1
    assert list(found.names) == ["accuracy", "late"]
    assert rounds > 1
