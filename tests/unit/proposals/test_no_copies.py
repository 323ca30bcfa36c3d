"""No sampler proposes a copy of an earlier trial while its space has points that are none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hippo_core import samplers, schedules, space
from hippo_core.engine.states import TrialState
from hippo_core.proposing import Exhausted
from hippo_core.study import StudySpec
from hippo_server.proposals.messages import encode, point_message, task_message, task_of
from hippo_server.proposals.sampling import make_point
from tests.unit.proposals.test_sampling import past, spec, task

#: 3 * 4 draws of which 3 * 3 are different: the last two options of the rate are one schedule, up to step 9.
SMALL = {
    "size": space.choice([1, 2, 3]),
    "rate": space.choice(
        [
            0.1,
            0.2,
            schedules.multistep(0.3, gamma=0.5, milestones=[3]),
            schedules.piecewise([0.3, 0.15, 0.01], milestones=[3, 20]),
        ]
    ),
}
#: Half of all random draws are one point, and the others are continuous.
BRANCHED = {"o": space.choice([{"name": "sgd", "momentum": space.uniform(0, 1)}, {"name": "adam"}])}
SAMPLERS: list[samplers.Learning] = [
    samplers.tpe(startup_trials=3),
    samplers.tpe(multivariate=False, startup_trials=3),
    samplers.bohb(min_points=3),
    samplers.gp(startup_trials=3),
    samplers.nsga2(population=4),
    samplers.nsga3(population=4),
    samplers.optuna("TPESampler", n_startup_trials=3),
]
ENDS = (TrialState.COMPLETED, TrialState.STOPPED, TrialState.WAITING, TrialState.FAILED)


def proposed(made: StudySpec, trials: int) -> tuple[list[object], Exhausted | None]:
    """The identities of what is proposed, one after the other; the best is the lowest value of all draws."""
    history = []
    for number in range(trials):
        asked = task(made, history)
        found = make_point(asked)
        message = json.loads(encode(task_message(asked)))
        again = make_point(task_of(message, StudySpec.from_json(message["spec"])))
        assert point_message(again) == point_message(found), "a restart proposes the same"
        if isinstance(found, Exhausted):
            return [made.identity(each.assignment) for each in history], found
        state = ENDS[number % len(ENDS)]
        known = {9: (float(sum(map(hash, found[0].values()))),)}
        known = known if state in {TrialState.COMPLETED, TrialState.STOPPED} else {}
        history.append(replace(past(number, found, ()), state=state, values=known))
    return [made.identity(each.assignment) for each in history], None


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_each_point_of_a_finite_space_is_proposed_once_and_then_it_is_exhausted(
    sampler: samplers.Learning,
) -> None:
    found, end = proposed(spec(sampler, 1, SMALL), 12)
    assert len(found) == len(set(found)) == 9
    assert end == Exhausted(9)


def test_an_evolution_of_numbers_proposes_none_twice() -> None:
    numbers = {"a": space.integer(1, 3), "b": space.integer(1, 3), "rate": space.choice([0.1, 0.1])}
    found, end = proposed(spec(samplers.cma_es(population=4), 1, numbers), 12)
    assert len(found) == len(set(found)) == 9
    assert end == Exhausted(9)


def test_where_a_branch_is_one_point_it_is_proposed_once() -> None:
    found, end = proposed(spec(samplers.tpe(startup_trials=3), 1, BRANCHED), 12)
    assert end is None
    assert len(set(found)) == 12


def test_points_of_users_count_as_tried_and_their_own_copies_stand() -> None:
    made = spec(samplers.tpe(startup_trials=3), 1, SMALL)
    copies = [past(number, ({"rate": 2, "size": 0}, {}), (1.0,)) for number in range(3)]
    history = [*copies, past(3, ({"rate": 3, "size": 0}, {}), (1.0,))]
    found = []
    while not isinstance(point := make_point(task(made, history)), Exhausted):
        found.append(made.identity(point[0]))
        history.append(past(len(history), point, (1.0,)))
    assert len(found) == len(set(found)) == 8
    assert made.identity(copies[0].assignment) not in found
    assert point == Exhausted(9)
