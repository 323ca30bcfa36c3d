"""The points of ``fork_asha`` against what they ought to be, told from the record by other means: slow and obvious."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers, schedules, space
from hippo_core.engine.proposals import PastTrial, ProposalTask
from hippo_core.engine.states import TrialState
from hippo_core.objective import Objective
from hippo_core.phases import first_steps
from hippo_core.proposing import Exhausted, fork_asha, own_point
from hippo_core.proposing.parzen import TreeParzen
from hippo_core.study import StudySpec
from tests.studies import study
from tests.unit.core.proposal_histories import Search
from tests.unit.core.test_parzen import drawn_names, log_density

STEPS = (1, 3, 9)
SPACES: list[dict[str, Any]] = [
    {
        "lr": schedules.piecewise([space.loguniform(1e-3, 1) for _ in range(3)], [3, 7]),
        "momentum": schedules.piecewise([space.uniform(0, 1), 0.9, space.uniform(0, 1)], [2, 7]),
    },
    {
        "lr": space.choice([0.1, schedules.piecewise([0.1, space.loguniform(1e-3, 1e-1)], [5])]),
        "k": schedules.piecewise([space.logint(1, 512, name="peak"), space.choice([1, 2, 4])], [4]),
        "o": space.choice([{"name": "sgd", "momentum": space.uniform(0, 1)}, {"name": "adam"}]),
        "rule": space.constraint("peak < 400"),
    },
    {
        "lr": schedules.piecewise(
            [space.choice([1, 2]), space.choice([1, 2, 3]), space.choice([1, 2])], [2, 5]
        )
    },
]


def spec(
    entries: Any, seed: int = 0, maximize: bool = False, constraints: Any = (), **changes: Any
) -> StudySpec:
    return study(
        entries,
        sampler=samplers.from_json({"sampler": "fork_asha"}),
        policy=policies.fork_asha(**changes),
        objectives=(Objective(metric="loss", maximize=maximize),),
        max_trials=1000,
        max_steps=9,
        program_changes={"seed": seed},
        constraints=constraints,
    )


# What is known


def worth(past: PastTrial, sign: float) -> tuple[float, float, float] | None:
    """The furthest step first; there by how much constraints are violated, then the objective."""
    if past.state is TrialState.DIVERGED:
        return (0, 0, 0)
    found = (
        (-step, sum(each for each in values[1:] if each > 0), sign * values[0])
        for step, values in past.values.items()
    )
    return min(found, default=None)


def ended(task: ProposalTask, sign: float) -> list[int]:
    """The trials that have come to their end, the best first."""
    there = [past for past in task.history if past.state is TrialState.COMPLETED]
    return [past.trial for past in sorted(there, key=lambda past: (worth(past, sign), past.trial))]


def ratio(task: ProposalTask, sign: float, names: set[str], point: Any) -> float:
    """The logarithm of l / g over some domains."""
    known = [past for past in task.history if worth(past, sign) is not None]
    ranked = sorted(known, key=lambda past: (worth(past, sign), past.trial))
    best = {past.trial for past in ranked[: min(math.ceil(len(known) / 10), 25)]}
    waiting = [
        past.assignment
        for past in task.history
        if past.state is TrialState.WAITING and worth(past, sign) is None
    ]
    within = task.spec.space
    good = [past.assignment for past in known if past.trial in best]
    others = [past.assignment for past in known if past.trial not in best] + waiting
    counted = names & drawn_names(within)
    return log_density(within, good, point, counted) - log_density(within, others, point, counted)


def equal_up_to(study_spec: StudySpec, one: Any, other: Any) -> int:
    """How many steps of two points have equal values."""
    sequences = [study_spec.sequence(each) for each in (one, other)]
    steps = (step for step in range(9) if sequences[0].values(step) != sequences[1].values(step))
    return next(steps, 9)


def recorded(task: ProposalTask) -> tuple[Any, list[Any]]:
    """The point with its notes, and the candidates among which it was chosen."""
    seen: list[Any] = []
    score = TreeParzen.score

    def recording(self: TreeParzen, points: Any) -> Any:
        seen.append(list(points))
        return score(self, points)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TreeParzen, "score", recording)
        found = own_point(task)
    return found, seen[-1] if seen else []


def go_on(search: Search) -> None:
    """Most of what is under way goes on, much of it to its end."""
    while search.waiting and (len(search.waiting) > 4 or search.random.random() < 0.8):
        past = search.random.choice(search.waiting)
        at = past.notes.get("at", 0) if past.notes.get("kind") == "fork" else 0
        further = [step for step in STEPS if step > max([at, *past.values])]
        search.end(past, further[0], again=len(further) > 1 and search.random.random() < 0.7)


def is_new(task: ProposalTask, point: Any) -> bool:
    return task.spec.space.satisfied(point) and all(past.assignment != point for past in task.history)


def later(study_spec: StudySpec, point: Any) -> dict[str, int]:
    """The draws that bear on later phases only, and from which step on."""
    found = first_steps(study_spec.space, point)
    return {name: step for name, step in found.items() if 0 < step < 9}


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.sampled_from(range(len(SPACES))), st.booleans(), st.sampled_from([2, 1000]))
def test_each_point_is_what_is_noted_and_the_likeliest_of_its_candidates(
    seed: int, which: int, maximize: bool, distinct: int
) -> None:
    random = Random(seed)
    study_spec = spec(SPACES[which], seed % 7, maximize, ("a <= 1", "b <= 1")[: seed % 3])
    sign = -1.0 if maximize else 1.0
    search = Search(study_spec, random, distinct)
    for _ in range(35):
        go_on(search)
        task = search.task
        found, candidates = recorded(task)
        if isinstance(found, Exhausted):
            assert which == 2
            break
        point, notes = found
        search.add(point, notes)
        known = sum(worth(past, sign) is not None for past in task.history)
        there, names = ended(task, sign), set(study_spec.space.domains)
        if notes.get("kind", "random") == "random":
            assert known < 10 or which == 2  # of 12 points most may have been tried
            continue
        if notes["kind"] == "drawn":
            assert known >= 10
            assert len(there) < 2 or which > 0
        else:
            assert notes["of"] == len(there) >= 2
            assert there.index(notes["base"]) + 1 == notes["rank"] <= max(2, int(0.15 * len(there)))
            base = task.history[notes["base"]].assignment
            if notes["kind"] == "fork":
                assert notes["at"] in later(study_spec, base).values()
                assert equal_up_to(study_spec, point, base) >= notes["at"]
            else:
                assert notes["at"] == min(later(study_spec, base).values())
                kept = later(study_spec, base).keys() & point.keys()
                assert all(point[name] == base[name] for name in kept)
                names -= later(study_spec, base).keys()
        assert point in candidates
        assert all(is_new(task, each) for each in candidates)
        ratios = [ratio(task, sign, names, each) for each in candidates]
        assert ratio(task, sign, names, point) == pytest.approx(max(ratios), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
def test_a_share_of_the_points_are_forks_of_all_phases_once_two_trials_have_come_to_their_end(
    share: float,
) -> None:
    search = Search(spec(SPACES[0], fork_share=share), Random(0))
    for number in range(20):
        search.add(samplers.random().point(search.spec.space, 3, number), {"kind": "random"})
        search.end(search.history[-1], 9, value=float(number))
    found = [own_point(replace(search.task, trial=20 + number)) for number in range(300)]
    kinds = Counter(notes["kind"] for _, notes in found if notes)  # type: ignore[misc, union-attr]
    assert set(kinds) <= {"fork", "beginning"}
    assert kinds["fork"] / 300 == pytest.approx(share, abs=0.09)
    starts = Counter(notes["at"] for _, notes in found if notes["kind"] == "fork")  # type: ignore[misc]
    assert not share or (set(starts) == {3, 7} and min(starts.values()) > 0.3 * kinds["fork"])


def test_forks_of_one_base_that_are_made_side_by_side_differ() -> None:
    search = Search(spec(SPACES[0]), Random(0))
    for number in range(4):
        search.add(samplers.random().point(search.spec.space, 3, number), {"kind": "random"})
        search.end(search.history[-1], 9, value=float(number))
    points = [search.propose()[0] for _ in range(32)]
    assert len({str(point) for point in points}) == 32


def test_a_trial_under_way_of_which_something_is_known_counts_with_what_it_came_to() -> None:
    search = Search(spec(SPACES[0]), Random(0))
    for number in range(3):
        search.add(samplers.random().point(search.spec.space, 3, number), {"kind": "random"})
    search.end(search.history[0], 3, value=0.5, again=True)
    search.end(search.history[1], 9, value=0.7)
    found = fork_asha.Search(search.task)
    assert found.data == [
        (search.history[0].assignment, (-3.0, 0.0, 0.5)),
        (search.history[1].assignment, (-9.0, 0.0, 0.7)),
    ]
    assert found.pending == [search.history[2].assignment]
    assert [past.trial for past in found.ended] == [1]


def test_after_forty_trials_that_went_where_others_had_been_a_point_is_random() -> None:
    """The model is of one mind, and each of 44 points has the values of the first four up to where it stopped."""
    search = Search(spec(SPACES[0]), Random(0))
    for number in range(4):
        search.add(samplers.random().point(search.spec.space, 3, number), {"kind": "random"})
        search.end(search.history[-1], 9, value=float(number))
    for number in range(39):
        point = {**search.history[number % 4].assignment, "lr/values/2": 0.5 + number / 100}
        search.add(point, {"kind": "drawn"})
        search.end(search.history[-1], 3, value=float(number % 4))
    assert own_point(search.task)[1]["kind"] != "random"  # type: ignore[index]
    search.add({**search.history[0].assignment, "lr/values/2": 0.3}, {"kind": "drawn"})
    search.end(search.history[-1], 3, value=0.0)
    assert own_point(search.task)[1]["kind"] == "random"  # type: ignore[index]
    search.add(samplers.random().point(search.spec.space, 3, 99), {"kind": "random"})
    assert own_point(search.task)[1]["kind"] != "random"  # type: ignore[index]


def test_a_finite_space_is_tried_point_by_point_until_it_is_exhausted() -> None:
    search = Search(spec(SPACES[2]), Random(3))
    for _ in range(12):
        search.propose()
        search.end(search.history[-1], 9, value=float(search.random.randrange(9)))
    assert len({str(past.assignment) for past in search.history}) == 12
    assert own_point(search.task) == Exhausted(12)
