"""The bound by the order of results, and why slots idled."""

from __future__ import annotations

import pytest

from benchmarks.scheduling import FREE, POOL, Run, chart, nearest_to_median, run
from benchmarks.scheduling.idle import Idle, idle
from benchmarks.scheduling.order_bound import Chronicle
from benchmarks.scheduling.studies import R3, study
from hippo_core import policies
from hippo_core.engine.events import NodeCreated, RequestClosed, RequestOpened
from hippo_core.engine.states import RequestState
from hippo_core.simulation import Costs, Host, simulate


def test_what_was_asked_for_after_an_end_begins_after_all_that_the_end_needed() -> None:
    """Two paths of 4 on two slots; when both have come, one more path of 3: 4 + 3, where Hu's bound of all says 6."""
    chronicle = Chronicle()
    for trial in (0, 1):
        chronicle.note(NodeCreated(node=trial, plan=1, parent=None, start=0, laws={}))
        chronicle.note(RequestOpened(study=1, trial=trial, step=4, node=trial))
    for trial in (0, 1):
        chronicle.note(_closed(trial, 4))
    chronicle.note(NodeCreated(node=2, plan=1, parent=None, start=0, laws={}))
    chronicle.note(RequestOpened(study=1, trial=2, step=3, node=2))
    chronicle.note(_closed(2, 3))
    assert chronicle.bound(slots=2) == 7
    assert chronicle.bound(slots=1) == 11


def test_what_was_known_before_an_end_may_be_trained_before_it() -> None:
    """A branch of 3 asked for at the beginning goes on beside the trunk's end; one asked for after it cannot."""
    chronicle = Chronicle()
    chronicle.note(NodeCreated(node=0, plan=1, parent=None, start=0, laws={}))
    chronicle.note(RequestOpened(study=1, trial=0, step=4, node=0))
    chronicle.note(NodeCreated(node=1, plan=1, parent=0, start=2, laws={}))
    chronicle.note(RequestOpened(study=1, trial=1, step=5, node=1))
    chronicle.note(_closed(0, 4))
    chronicle.note(_closed(1, 5))
    assert chronicle.bound(slots=2) == 5


def test_each_end_after_which_something_was_asked_for_is_a_barrier() -> None:
    """Twenty rounds of three steps on two slots, each asked for when the one before has come: two, then one."""
    chronicle = Chronicle()
    for first in range(0, 60, 3):
        trials = range(first, first + 3)
        for trial in trials:
            chronicle.note(NodeCreated(node=trial, plan=1, parent=None, start=0, laws={}))
            chronicle.note(RequestOpened(study=1, trial=trial, step=1, node=trial))
        for trial in trials:
            chronicle.note(_closed(trial, 1))
    assert chronicle.bound(slots=2) == 40
    assert chronicle.bound(slots=3) == 20


def test_no_run_is_shorter_than_its_order_bound_and_all_idle_time_has_a_cause() -> None:
    for slots in (1, 3, 8):
        chronicle = Chronicle()
        found = simulate(
            [study("R3", R3, 27, policies.asha(min_steps=3, reduction_factor=3))],
            [Host(name="host", slots=slots)],
            costs=Costs(load_seconds=0.25, lease_seconds=0.125),
            watch=chronicle.note,
        )
        assert chronicle.bound(slots) <= found.makespan_seconds
        causes = idle(found)
        shares = causes.fan_out + causes.waits + causes.between + causes.tail
        whole = found.makespan_seconds * slots
        assert abs(shares - found.slot_seconds["idle"] / whole) < 1e-9
        assert abs(causes.other_work - found.slot_seconds["load"] / whole) < 1e-9


def test_idle_time_is_explained_of_the_seed_nearest_to_the_median_that_is_shown() -> None:
    def run(level: float) -> Run:
        return Run(level, level, 1.0, 1, Idle(0.0, 0.0, 0.0, 0.0, 0.0))

    assert nearest_to_median([run(1.5)]) == 0
    assert nearest_to_median([run(1.3), run(1.0), run(1.1)]) == 2
    assert nearest_to_median([run(2.0), run(1.0), run(1.2), run(1.3)]) == 2


def _closed(trial: int, step: int) -> RequestClosed:
    return RequestClosed(
        sequence=0, study=1, trial=trial, step=step, state=RequestState.REACHED, reached=step, value=0.0
    )


@pytest.mark.parametrize(
    ("costs", "makespan", "said"),
    [(FREE, 29.0, "114 steps on 8 slots in 29 s"), (POOL, 327.2, "in 5.453 min")],
)
def test_the_chart_is_of_the_run_that_is_judged(costs: Costs, makespan: float, said: str) -> None:
    assert run("R3", "ASHA", 8, costs, seed=1).makespan == pytest.approx(makespan)
    assert said in chart("R3", "ASHA", 8, costs, seed=1)
