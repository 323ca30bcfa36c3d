"""Lower bounds: against Hu's schedule, and by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bounds import makespan_steps
from hippo_core.engine.events import Event, RequestClosed, RequestOpened, StudySubmitted
from hippo_core.engine.states import RequestState
from hippo_core.formulas import Constant
from hippo_core.laws import make
from hippo_core.plan import Node
from hippo_core.sequence import Laws
from hippo_core.simulation import Costs
from hippo_core.simulation.bounds import Work, level_bound, path_bound
from hippo_core.simulation.costs import Clockwork
from hippo_core.simulation.phases import Phases
from hippo_core.values import Kind

paths = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8).map(tuple), min_size=1, max_size=8)


@given(paths, st.integers(1, 5), st.integers(1, 3))
def test_for_equal_steps_the_bound_is_the_length_of_hu_s_schedule(
    trials: list[tuple[int, ...]], slots: int, unit: int
) -> None:
    prefixes = {trial[: length + 1] for trial in trials for length in range(len(trial))}
    work = [Work((len(prefix) - 1) * unit, unit) for prefix in sorted(prefixes)]
    assert level_bound(work, slots) == unit * makespan_steps(trials, slots)


@given(paths, st.integers(1, 4), st.lists(st.integers(1, 5), min_size=3, max_size=3))
def test_for_unequal_steps_no_list_schedule_beats_the_bound(
    trials: list[tuple[int, ...]], slots: int, durations: list[int]
) -> None:
    prefixes = sorted({trial[: length + 1] for trial in trials for length in range(len(trial))})
    work = [
        Work(sum(durations[value] for value in prefix[:-1]), durations[prefix[-1]]) for prefix in prefixes
    ]
    free = [0] * slots
    ends = {(): 0}
    for (
        prefix
    ) in prefixes:  # a step comes after its parent in this order; each goes to the slot that is free first
        free.sort()
        begin = max(free[0], ends[prefix[:-1]])
        free[0] = ends[prefix] = begin + durations[prefix[-1]]
    assert path_bound(work, slots) <= level_bound(work, slots) <= max(free)


def test_a_bound_of_unequal_steps_by_hand() -> None:
    """A step of 2, then three of 1 and one of 5: no less than 2 + (3 + 5) / 2 on two slots, 2 + 5 on many."""
    work = [Work(0, 2), Work(2, 1), Work(2, 1), Work(2, 1), Work(2, 5)]
    assert level_bound(work, 1) == 10
    assert level_bound(work, 2) == 7
    assert level_bound(work, 9) == 7
    assert path_bound(work, 2) == 7
    wide = [Work(0, 2), *[Work(2, 3)] * 4, Work(2, 1)]
    assert level_bound(wide, 2) == 2 + 7
    assert path_bound(wide, 2) == 8


def node(number: int, parent: Node | None, start: int, trained: int) -> Node:
    laws = Laws.of({"lr": make(Constant(float(number)), 0, False, Kind.FLOAT)})
    node = Node(number, 1, parent, start, laws, laws.key(start))
    node.trained = max(trained, start)
    return node


def submitted(study: int) -> StudySubmitted:
    return StudySubmitted(study=study, project="p", user="u", name=str(study), program_key="k", spec={})


def opened(study: int, trial: int, step: int, where: int) -> RequestOpened:
    return RequestOpened(study=study, trial=trial, step=step, node=where, reason="")


def closed(study: int, trial: int, step: int) -> RequestClosed:
    return RequestClosed(
        sequence=1, study=study, trial=trial, step=step, state=RequestState.REACHED, reached=step, value=0.5
    )


def all_work(work: Sequence[Work], slots: int) -> int:
    """Stands in for a bound: what the steps take together, and where each could begin."""
    return sum(each.duration for each in work) * 1000 + sum(each.earliest for each in work)


def test_what_a_barrier_let_be_known_is_bounded_by_itself() -> None:
    """1. Two trials that part at step 1 are asked for, to step 3. 2. Only when both are there is one asked for to 5."""
    root = node(1, None, 0, trained=5)
    phases = Phases({1: root, 2: node(2, root, 1, trained=3)})
    events = [
        submitted(1),
        opened(1, 0, 3, 1),
        opened(1, 1, 3, 2),
        closed(1, 0, 3),
        closed(1, 1, 3),
        opened(1, 0, 5, 1),
        closed(1, 0, 5),
    ]
    for event in events:
        phases.note(event, 7)
    costs = Clockwork(Costs(step_seconds=2e-9, evaluate_seconds=1e-9))  # 2 ticks a step, 1 an evaluation
    assert phases.count() == 2
    # States 2 and 4 are evaluated: the steps 1 and 3 take 3 ticks. In each phase what was known before is there.
    first = (2 + 3 + 2 + 3 + 2) * 1000 + (0 + 2 + 5) + (2 + 5)
    second = (3 + 2) * 1000 + (0 + 3)
    assert phases.bound(all_work, 1, phases.work(costs, {1: 2})) == 7 + first + second


UNIT = Clockwork(Costs(step_seconds=1e-9))


def bound_of(nodes: dict[int, Node], events: list[tuple[int, Event]]) -> int:
    """The level bound on many slots: the longest path of each phase."""
    phases = Phases(nodes)
    for now, event in events:
        phases.note(event, now)
    return phases.bound(level_bound, 9, phases.work(UNIT, {1: 1}))


@pytest.mark.parametrize(("shared", "expected"), [(False, 5 + 2 + 4), (True, 9)])
def test_a_study_among_others_waits_at_its_own_barriers(shared: bool, expected: int) -> None:
    """1. A study asks for a trial to 2 and then for another to 4. 2. A second study is open all the time, to 9: on
    trials of its own, the first takes 2 and 4 from when it came. 3. Asking for the same, it may have had them done."""
    nodes = {number: node(number, None, 0, trained=9) for number in (1, 2, 3)}
    nodes[1].trained, nodes[2].trained = 2, 4
    others = [(0, opened(2, number, 4, number)) for number in (1, 2)] if shared else []
    found = bound_of(
        nodes,
        [
            (0, submitted(2)),
            (0, opened(2, 3, 9, 3)),
            *others,
            (5, submitted(1)),
            (5, opened(1, 0, 2, 1)),
            (7, closed(1, 0, 2)),
            (7, opened(1, 1, 4, 2)),
            (11, closed(1, 1, 4)),
            (12, closed(2, 3, 9)),
        ],
    )
    assert found == expected


def test_what_was_asked_for_and_not_trained_does_not_count() -> None:
    nodes = {1: node(1, None, 0, trained=3)}
    assert bound_of(nodes, [(0, submitted(1)), (0, opened(1, 0, 9, 1)), (3, closed(1, 0, 9))]) == 3
    assert bound_of({}, [(4, submitted(1))]) == 0
