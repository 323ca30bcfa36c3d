"""Lower bounds: against Hu's schedule, and by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bounds import makespan_steps
from hippo_core.engine.events import RequestClosed, RequestOpened, StepsTrained
from hippo_core.engine.states import RequestState
from hippo_core.formulas import Constant
from hippo_core.laws import make
from hippo_core.plan import Node
from hippo_core.sequence import Laws
from hippo_core.simulation import Costs
from hippo_core.simulation.bounds import Work, level_bound, path_bound
from hippo_core.simulation.costs import Clockwork, ticks
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


def node(number: int, parent: Node | None, start: int) -> Node:
    laws = Laws.of({"lr": make(Constant(float(number)), 0, False, Kind.FLOAT)})
    return Node(number, 1, parent, start, laws, laws.key(start))


def opened(trial: int, step: int) -> RequestOpened:
    return RequestOpened(study=1, trial=trial, step=step, node=1)


def closed(trial: int, step: int) -> RequestClosed:
    return RequestClosed(
        sequence=1, study=1, trial=trial, step=step, state=RequestState.REACHED, reached=step, value=0.5
    )


def trained(number: int, start: int, stop: int) -> StepsTrained:
    return StepsTrained(fence=1, node=number, start=start, stop=stop, train_seconds=0, evaluate_seconds=0)


def test_what_a_barrier_let_be_known_is_bounded_by_itself() -> None:
    """1. Two trials reach step 3, one by one. 2. Then one goes on to 5. 3. What is trained again counts once."""
    root = node(1, None, 0)
    nodes = {1: root, 2: node(2, root, 1)}
    phases = Phases()
    for event in (
        opened(0, 3),
        opened(1, 3),
        trained(1, 0, 2),
        trained(1, 2, 3),
        closed(0, 3),
        trained(2, 1, 3),
        trained(2, 1, 3),
        closed(1, 3),
        opened(0, 5),
        trained(1, 2, 5),
        closed(0, 5),
    ):
        phases.note(event)
    costs = Clockwork(Costs(step_seconds=2.0, evaluate_seconds=1.0))
    first, second = phases.work(nodes, costs, {1: 2})
    plain, evaluated = ticks(2.0), ticks(3.0)
    assert first == [
        Work(0, plain),
        Work(plain, evaluated),
        Work(plain + evaluated, plain),
        Work(plain, evaluated),
        Work(plain + evaluated, plain),
    ]
    assert second == [Work(0, evaluated), Work(evaluated, plain)]
