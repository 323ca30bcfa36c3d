"""Policies come back from the rows knowing and deciding the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hippo_core import policies
from hippo_core.engine.commands import EditStudy, ExtendStudy, StopStudy
from hippo_core.engine.engine import Engine
from hippo_core.engine.study_views import study_view
from hippo_core.engine.worker_views import worker_views
from hippo_server.store import Store
from tests.integration.store.stored_cluster import StoredCluster
from tests.probing import known, scouts
from tests.unit.engine.cluster import SETTINGS
from tests.unit.engine.policy_comparison import expect_same_policies
from tests.unit.engine.test_cluster import PIECES, expect_as_trained_alone, spec, submit
from tests.unit.engine.test_populations import made


class ComparingCluster(StoredCluster):
    """Compares policies, too, whenever an engine is rebuilt from the rows."""

    def expect_equal_from_rows(self) -> None:
        super().expect_equal_from_rows()
        expect_same_policies(self.engine, Engine.restore(self.store.load(), SETTINGS, self.now))


def test_repeats_come_back_from_the_rows_and_the_overviews_count_points(store: Store) -> None:
    """1. Halving over repeats, whose worker dies. 2. Rows are read back now and then. 3. A point counts once."""
    cluster = ComparingCluster(2, {"a": 2, "b": 1}, store, 5)
    submit(cluster, replace(spec(rates=PIECES[:2], policy=policies.sha(1, 3)), repeats=2))
    for moment in range(8):
        for _ in range(25):
            cluster.act()
        if moment == 3:
            cluster.kill_worker("a")
        cluster.expect_equal_from_rows()
        if moment % 3 == 2:
            cluster.restart_server()
    cluster.run()
    cluster.expect_equal_from_rows()
    expect_as_trained_alone(cluster, "study")
    view = study_view(cluster.engine, "default", "study")
    best = view.best_trial
    assert best is not None
    with store._database.reading() as rows:
        ((completed, stopped, value),) = rows("SELECT completed, stopped, best FROM study_overview")
        repeats = list(
            rows("SELECT trial, array_agg(repeat) FROM trial_overview GROUP BY trial ORDER BY trial")
        )
    assert (completed, stopped) == (view.trial_counts["completed"], view.trial_counts["stopped"])
    assert float(value) == pytest.approx(best.metrics["accuracy"], abs=1e-5)
    assert repeats == [(number, [0, 1]) for number in range(12)]


def expect_slots_as_told(cluster: StoredCluster, store: Store) -> set[int | None]:
    """The overview tells whose probes slots train as the engine does; returns those trials."""
    cluster.write()
    told = {
        (worker.name, slot.index): slot.probe_of
        for worker in worker_views(cluster.engine)
        for slot in worker.slots
    }
    with store._database.reading() as rows:
        found = rows("SELECT worker, slot, probe_of FROM worker_overview")
        assert {(worker, slot): probe_of for worker, slot, probe_of in found} == told
    return set(told.values())


def test_probes_come_back_from_the_rows_and_the_overviews_tell_them_from_trials(store: Store) -> None:
    """1. Probed trials with two repeats, whose worker dies. 2. The study is stopped and taken up. 3. Views agree."""
    with known():
        cluster = ComparingCluster(2, {"a": 2, "b": 1}, store, 5)
        submit(cluster, replace(spec(rates=PIECES[:2], policy=scouts()), repeats=2))
        probed: set[int | None] = set()
        for _ in range(60):
            cluster.act()
            probed |= expect_slots_as_told(cluster, store)
        assert len(probed) > 2
        for moment in range(3, 8):
            for _ in range(20):
                cluster.act()
            if moment == 3:
                cluster.kill_worker("a")
            if moment == 5:
                cluster.tell(StopStudy(project="default", name="study"))
            cluster.expect_equal_from_rows()
            if moment == 5:
                cluster.tell(ExtendStudy(project="default", name="study", max_steps=12))
            if moment % 3 == 2:
                cluster.restart_server()
        cluster.run()
        cluster.expect_equal_from_rows()
        expect_as_trained_alone(cluster, "study")
        view = study_view(cluster.engine, "default", "study")
    with store._database.reading() as rows:
        ((completed, trained, rate, best),) = rows(
            "SELECT completed, trained, merge_rate, best FROM study_overview"
        )
        trials = [number for (number,) in rows("SELECT DISTINCT trial FROM trial_overview ORDER BY trial")]
        probes = list(
            rows(
                """
                SELECT trial, repeat, at, until, step, value, factors, state FROM probe_overview
                ORDER BY trial, repeat
                """
            )
        )
    assert best is not None
    assert (completed, trained) == (view.trial_counts["completed"], view.savings.steps_trained)
    assert float(rate) == pytest.approx(view.savings.merge_rate, abs=0.01)
    assert trials == list(range(12))
    study = cluster.engine.state.study_named("default", "study")
    assert study is not None
    assert probes == [
        (probe.fork["trial"], probe.repeat, 3, 4, 4, probe.value, {"lr": 0.1}, "completed")
        for probe in sorted(
            study.probes.values(), key=lambda probe: ((probe.fork or {})["trial"], probe.repeat)
        )
        if probe.fork is not None
    ]


@pytest.mark.parametrize(
    "policy",
    [
        policies.sha(1, 3),
        policies.asha(1, 2, brackets=2, compare="models"),
        policies.asha(1, 3, stopping=True),
        policies.hyperband(1, 3),
        policies.pasha(1, 2),
        policies.median_stopping(min_trials=2),
        policies.patience(2),
        policies.threshold_stopping(0.2),
        policies.pbt(2),
        policies.pbt(2, asynchronous=True),
        policies.pb2(2),
    ],
    ids=lambda policy: str(policy.name),
)
def test_verdicts_are_the_same_from_the_rows_at_any_moment(store: Store, policy: policies.PolicySpec) -> None:
    """1. A study on two workers, of which one dies. 2. It is extended, and edited. 3. Rows are read back."""
    cluster = ComparingCluster(3, {"a": 2, "b": 1}, store, 5)
    if policy.name in {"pbt", "pb2"}:
        submit(cluster, made(policy, max_steps=6))
    else:
        submit(cluster, spec(rates=PIECES[:4], max_steps=6, policy=policy))
    for moment in range(12):
        for _ in range(20):
            cluster.act()
        if moment == 4:
            cluster.kill_worker("a")
        if moment == 8:
            cluster.tell(ExtendStudy(project="default", name="study", max_steps=9))
        if moment == 10:
            edited = replace(spec(rates=PIECES[:4], max_steps=9), policy=policies.hyperband(1, 2))
            cluster.tell(EditStudy(project="default", name="study", spec=edited))
        cluster.expect_equal_from_rows()
        if moment % 3 == 2:
            cluster.restart_server()
    cluster.run()
    cluster.expect_equal_from_rows()
    expect_as_trained_alone(cluster, "study")
