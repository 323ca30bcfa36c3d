"""Paths cut short for others: when, for whom, and that nothing is lost by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers, space
from hippo_core.engine import courses, cutting
from hippo_core.engine.cutting import LONGER, OUTRANKED
from hippo_core.engine.decision import EngineSettings
from hippo_core.engine.events import Event, LeaseGranted, LeaseStateChanged, LeaseStopped
from hippo_core.engine.states import LeaseState, StudyState
from hippo_core.engine.study_views import study_view
from hippo_core.simulation import Costs, Host, Simulated, simulate
from hippo_core.study import StudySpec
from hippo_core.study_changes import extended
from tests import oracle, strategies
from tests.studies import grid, grid_of_options, study
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import (
    FAULTS,
    PIECES,
    distinct_prefixes,
    expect_as_trained_alone,
    let_time_pass,
    spec,
    submit,
)


@contextmanager
def cuts_that_cost_nothing() -> Iterator[None]:
    """Paths yield whenever another is longer by a step, however soon they end anyway."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(courses, "MARGIN_COSTS", 0.0)
        patched.setattr(cutting, "LAXITY_SHARE", 0.0)
        yield


def cuts(events: list[Event], reason: str = LONGER) -> list[LeaseStopped]:
    return [event for event in events if isinstance(event, LeaseStopped) and event.reason == reason]


def apart(count: int, steps: int, name: str = "study", **changes: Any) -> StudySpec:
    """Trials that share nothing."""
    return grid(
        {"lr": space.choice([0.1 / (n + 1) for n in range(count)])}, name=name, max_steps=steps, **changes
    )


def simulated(*studies: StudySpec, slots: int, **arguments: Any) -> tuple[Simulated, list[Event]]:
    events: list[Event] = []
    told: set[int] = set()

    def watch(event: Event) -> None:
        events.append(event)
        if isinstance(event, LeaseStopped):
            assert event.fence not in told, "a path that yields already is told to"
            told.add(event.fence)

    found = simulate(list(studies), [Host(name="host", slots=slots)], watch=watch, checked=True, **arguments)
    return found, events


def test_three_equal_trials_end_on_two_slots_in_half_their_work() -> None:
    """Whole paths would take 60: two, and then one, while a slot idles."""
    whole, _ = simulated(apart(3, 30), slots=2, settings=EngineSettings(cutting=False))
    assert whole.makespan_seconds == 60.0
    found, events = simulated(apart(3, 30), slots=2)
    assert found.lower_bound_seconds == 45.0
    assert found.makespan_seconds <= 1.05 * 45.0
    assert found.steps_trained == 90
    assert found.steps_retrained == 0
    assert all(event.save for event in cuts(events))
    assert 1 <= len(cuts(events)) <= 6


def test_all_that_are_cut_at_once_are_found_by_one_look_at_all_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    found_by = cutting._yielding

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal looks
        looks += 1
        return found_by(*args, **kwargs)

    monkeypatch.setattr(cutting, "_yielding", counted)
    _, events = simulated(apart(60, 30), slots=40)
    assert looks
    assert len(cuts(events)) > looks


def test_a_path_that_yielded_goes_on_from_where_it_was() -> None:
    _, events = simulated(apart(3, 30), slots=2)
    released = [
        event.fence
        for event in events
        if isinstance(event, LeaseStateChanged) and event.state is LeaseState.RELEASED
    ]
    starts = [event.start for event in events if isinstance(event, LeaseGranted) and event.start is not None]
    assert released == [event.fence for event in cuts(events)]
    assert sorted(start[2] for start in starts) == sorted(released)


def test_nothing_is_cut_that_gains_less_than_it_costs() -> None:
    """What would be won at most is 15 seconds; a start was seen to cost 8."""
    _, events = simulated(apart(3, 30), slots=2, costs=Costs(setup_seconds=8.0))
    assert not cuts(events)


def test_nothing_is_cut_while_a_slot_idles_or_before_a_step_is_measured() -> None:
    _, events = simulated(apart(4, 30), slots=4)
    assert not cuts(events)
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec())
    submit(cluster, spec("longer", max_steps=90))
    with cuts_that_cost_nothing():
        let_time_pass(cluster, 60.0)
    assert not cuts(cluster.journal)


def test_paths_of_another_program_are_left_alone_but_for_a_higher_priority() -> None:
    """1. Two trials of 20 steps run. 2. A study of another program comes, with trials of 100 steps. 3. It waits for
    its turn; with a higher priority it does not."""
    short = apart(2, 20, "short")
    for priority in (0, 1):
        other = apart(2, 100, "other", priority=priority, program_changes={"seed": 1})
        found, events = simulated(short, other, slots=2, arrivals=[0.0, 4.5])
        assert found.steps_trained == 2 * 20 + 2 * 100
        assert found.steps_retrained == 0
        assert len(cuts(events, OUTRANKED)) == (2 if priority else 0)
        assert not cuts(events)
        begins = min(span.begin for span in found.spans if span.study == "other")
        assert begins == (5e9 if priority else 20e9)


def test_a_study_of_higher_priority_takes_slots_of_the_same_program_too() -> None:
    """1. Two trials of 20 steps run. 2. One of 5 steps comes that is more urgent. 3. It begins at the next step."""
    urgent = grid({"lr": space.choice([0.3])}, name="urgent", max_steps=5, priority=3)
    found, events = simulated(apart(2, 20), urgent, slots=2, arrivals=[0.0, 4.5])
    assert len(cuts(events, OUTRANKED)) == 1
    assert found.steps_retrained == 0
    assert min(span.begin for span in found.spans if span.study == "urgent") == 5e9
    assert found.makespan_seconds == found.lower_bound_seconds == 23.0


def test_a_path_that_is_nearly_done_is_waited_for_by_one_of_higher_priority() -> None:
    urgent = grid({"lr": space.choice([0.3])}, name="urgent", max_steps=5, priority=3)
    _, events = simulated(apart(1, 20), urgent, slots=1, arrivals=[0.0, 19.5])
    assert not cuts(events, OUTRANKED)


def test_asha_and_samplers_that_learn_keep_their_order_until_trials_end() -> None:
    """Whom ASHA promotes depends on who comes first, so that only paths to the last step are cut."""
    searched = {"lr": space.choice(PIECES), "batch": space.choice([32, 64, 128])}
    asha = grid(searched, max_steps=27, policy=policies.asha(min_steps=3, reduction_factor=3))
    ends: dict[int, int] = {}
    _, events = simulated(asha, slots=3)
    for event in events:
        if isinstance(event, LeaseGranted):
            ends[event.fence] = event.stages[-1][2]
    assert {ends[event.fence] for event in cuts(events)} <= {27}
    learning = study({"lr": space.loguniform(1e-4, 1e-1)}, max_trials=9, max_steps=9, sampler=samplers.tpe())
    _, events = simulated(learning, slots=2)
    assert not cuts(events)


@settings(max_examples=80)
@given(
    strategies.grids(),
    st.integers(4, 12),
    st.integers(1, 4),
    st.floats(0.0, 1.5),
    st.floats(0.0, 1.5),
    st.floats(0.0, 2.0),
)
def test_cuts_cost_no_step_and_no_bound_is_beaten(
    options: dict[str, Any], steps: int, slots: int, save: float, load: float, publish: float
) -> None:
    made = grid_of_options(options, max_trials=1, max_steps=steps)
    trials = samplers.grid().count(made.space)
    assert trials is not None
    trials = min(trials, 24)
    made = extended(made, max_trials=trials)
    costs = Costs(save_seconds=save, load_seconds=load, publish_seconds=publish)
    histories = list(oracle.histories(options, lambda chosen: steps))[:trials]
    with cuts_that_cost_nothing():
        found, _ = simulated(made, slots=slots, costs=costs)
    assert found.steps_retrained == 0
    assert found.steps_trained == oracle.distinct_prefixes(histories)
    assert found.lower_bound_seconds <= found.makespan_seconds
    assert {each.state for each in found.studies} == {"completed"}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("workers", [{"a": 1}, {"a": 2, "b": 1}])
def test_every_history_is_exact_however_often_paths_are_cut(seed: int, workers: dict[str, int]) -> None:
    cluster = Cluster(seed, workers)
    with cuts_that_cost_nothing():
        submit(cluster, spec())
        cluster.run()
    assert len(cuts(cluster.journal)) > 10
    expect_as_trained_alone(cluster, "study")
    savings = study_view(cluster.engine, "default", "study").savings
    assert savings.steps_trained == cluster.trained == distinct_prefixes(cluster, "study")
    assert savings.steps_retrained == 0


@settings(max_examples=40)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(st.integers(1, 120), st.sampled_from(FAULTS), st.sampled_from(["a", "b"])), max_size=6
    ),
    st.sampled_from([None, 2]),
)
def test_after_faults_among_cuts_every_history_is_exact(
    seed: int, faults: list[tuple[int, str, str]], checkpoint_every: int | None
) -> None:
    cluster = Cluster(seed, {"a": 2, "b": 1})
    with cuts_that_cost_nothing():
        submit(cluster, spec("first", PIECES[:3], checkpoint_every=checkpoint_every))
        for count, fault, worker in faults:
            for _ in range(count):
                cluster.act()
            getattr(cluster, fault)(*([worker] if fault not in {"restart_server", "lose_checkpoint"} else []))
        submit(cluster, spec("second", PIECES, checkpoint_every=checkpoint_every))
        cluster.run()
    for name in ("first", "second"):
        expect_as_trained_alone(cluster, name)
        assert study_view(cluster.engine, "default", name).state is StudyState.COMPLETED


def test_a_rung_on_which_more_depends_goes_before_the_last_path_of_another_study() -> None:
    """1. Of a study under SHA the last trial is on its way to step 64. 2. Another comes, whose trials have 4 steps to
    their first rung, and one of them 60 more after that. 3. The first study's path yields to it."""
    sha = policies.sha(min_steps=4, reduction_factor=4)
    first, second = (
        grid({"lr": space.choice([base * n for n in (1, 2, 3, 4)])}, name=name, max_steps=64, policy=sha)
        for name, base in (("first", 0.1), ("second", 0.7))
    )
    found, events = simulated(first, second, slots=1, arrivals=[0.0, 30.5])
    ends = {event.fence: event.stages[-1][2] for event in events if isinstance(event, LeaseGranted)}
    assert next(ends[event.fence] for event in cuts(events)) == 64
    rung = next(span for span in found.spans if span.study == "second")
    assert rung.begin < 45e9, "the first study alone would end at 76"
    assert found.steps_retrained == 0


def test_of_paths_that_yield_none_is_told_twice_though_others_end_before_it() -> None:
    """Those of a study that decides by when trials arrive are left alone, and end first."""
    awaited = apart(4, 60, "awaited", policy=policies.asha(min_steps=9, reduction_factor=3))
    _, events = simulated(awaited, apart(6, 30, "others"), slots=4)
    assert cuts(events)
