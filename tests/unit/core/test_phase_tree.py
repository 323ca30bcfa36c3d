"""The phase tree's proposals against a slow and obvious tree, on random histories."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers, schedules, space
from hippo_core.engine.proposals import PastTrial
from hippo_core.engine.states import TrialState
from hippo_core.errors import InvalidStudy
from hippo_core.objective import Objective
from hippo_core.policies.phase_levels import levels_of
from hippo_core.program import Program
from hippo_core.proposing import Exhausted, own_point
from hippo_core.study import StudySpec
from tests.unit.core.proposal_histories import Search

LENGTH = 27


def free(milestones: list[int]) -> dict[str, Any]:
    """A rate that is free in each phase, and an optimiser that is chosen once."""
    parts = [space.loguniform(0.01, 1.0, name=f"lr{phase}") for phase in range(len(milestones) + 1)]
    return {
        "lr": schedules.piecewise(parts, milestones),
        "optimiser": space.choice([{}, {"beta": space.uniform(0, 1, name="beta")}]),
    }


SPACES: list[tuple[dict[str, Any], tuple[int, ...], list[set[str]]]] = [
    # with the steps at which trials are judged, and by level what is drawn for it
    (free([9, 18]), (3, 9, 18, 27), [{"lr0", "optimiser", "beta"}, set(), {"lr1"}, {"lr2"}]),
    (free([5]), (5, 27), [{"lr0", "optimiser", "beta"}, {"lr1"}]),
    (
        {
            "m": schedules.piecewise([0.9, space.choice([0.1, 0.5], name="m1")], [12]),
            "w": space.choice([1, 2, 3], name="w"),
        },
        (3, 12, 27),
        [{"w"}, set(), {"m1"}],
    ),
]


def made(entries: dict[str, Any], **changes: Any) -> StudySpec:
    searched = space.Space(entries)
    given: dict[str, Any] = {
        "name": "study",
        "space": searched,
        "objectives": (Objective(metric="loss", maximize=False),),
        "max_trials": 100,
        "max_steps": LENGTH,
        "sampler": samplers.phase_tree(),
        "policy": policies.phase_tree(),
        "program": Program(trainer="t:T", code_digest="c", kinds=searched.kinds),
    }
    return StudySpec(**{**given, **changes})


class Tree:
    """The nodes of a history, level by level, in plain dicts.

    Args:
        history: The trials.
        ends: The steps at which they are judged.
        probed: Those at which probes count.
        sign: Makes less the better.
        has_rung: Whether the first level is a rung.
    """

    def __init__(
        self, history: list[PastTrial], ends: tuple[int, ...], probed: set[int], sign: float, has_rung: bool
    ) -> None:
        self.has_rung = has_rung
        self.levels: list[list[dict[str, Any]]] = [[] for _ in ends]
        for past in history:
            own = past.notes.get("level")
            for level, end in enumerate(ends):
                is_here = level == own
                if own is None:
                    is_here = end in past.values or past.state is not TrialState.STOPPED
                if own is not None and own < level == len(ends) - 1 and end in past.values:
                    is_here = True  # the last promotion of a study
                if is_here:
                    known = (past.probes if end in probed and end in past.values else past.values).get(end)
                    score = None if known is None else sign * known[0]
                    diverged = past.state is TrialState.DIVERGED and end not in past.values
                    parent = past.notes.get("parent") if level == own else None
                    self.levels[level].append(
                        {
                            "trial": past.trial,
                            "score": None if diverged else score,
                            "parent": parent,
                            "known": diverged or score is not None,
                        }
                    )

    def children(self, level: int, trial: int) -> int:
        return sum(node["parent"] == trial for node in self.levels[level + 1])

    def ranked(self, level: int) -> list[int]:
        """Those from which others can go on, the best first."""
        known = [(node["score"], node["trial"]) for node in self.levels[level] if node["score"] is not None]
        return [trial for _, trial in sorted(known)]

    def expected_levels(self) -> list[int]:
        """The levels at which something may be drawn, in their order."""
        first, later = [], []
        for level in range(1, len(self.levels)):
            known = len(self.ranked(level - 1))
            if not known:
                continue
            if level == 1 and self.has_rung:
                known = sum(node["known"] for node in self.levels[0]) // 3
            (first if len(self.levels[level]) < known else later).append(level)
        return [*sorted(first, reverse=True), 0, *later]

    def expected_parents(self, level: int) -> list[tuple[int, int, int]]:
        """Parent, rank and children, in the order in which they are to be gone on from."""
        found = []
        for rank, trial in enumerate(self.ranked(level - 1), start=1):
            children = self.children(level - 1, trial)
            found.append((rank * (children + 1), rank, trial, children))
        return [(trial, rank, children) for _, rank, trial, children in sorted(found)]


def upto(names: list[set[str]], level: int) -> set[str]:
    return set().union(*names[: level + 1])


def drawn_upto(point: Any, names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in point.items() if name in names}


@settings(max_examples=25)
@given(
    st.integers(0, 2**32),
    st.sampled_from(range(len(SPACES))),
    st.sampled_from([0, 0, 2]),
    st.integers(1, 12),
    st.booleans(),
    st.booleans(),
)
def test_each_trial_goes_on_from_where_the_tree_is_to_grow(
    seed: int, which: int, initial: int, slots: int, maximize: bool, probes: bool
) -> None:
    """1. Trials end in any order, with ties, or fail; probes come late or never. 2. Each new one is the oracle's."""
    entries, ends, names = SPACES[which]
    random = Random(seed)
    goals = (Objective(metric="loss", maximize=maximize),)
    plain = made(entries)
    spec = replace(
        plain,
        objectives=goals,
        policy=policies.phase_tree(probe_steps=None if probes else 0),
        initial=tuple(plain.point(number) for number in range(initial)),
        program=replace(plain.program, seed=seed % 5),
    )
    probed = (
        {end for end in ends if end >= LENGTH / 3 and end < LENGTH} if probes and "lr" in entries else set()
    )
    search = Search(spec, random)
    for _ in range(45):
        if random.random() < 0.05:
            search.retry()
        unprobed = [
            (past, end)
            for past in search.history
            for end in probed
            if end in past.values and end not in past.probes and past.trial % 7
        ]
        if unprobed and random.random() < 0.4:
            past, end = random.choice(unprobed)
            value = float(random.randrange(5))
            search.history[past.trial] = replace(past, probes={**past.probes, end: (value,)})
            continue
        if search.waiting and (len(search.waiting) >= slots or random.random() < 0.3):
            past = random.choice(search.waiting)
            if past.notes:
                search.end(past, past.notes["step"])
            else:
                step = next(end for end in ends if end not in past.values)
                search.end(past, step, again=step < LENGTH)
            continue
        tree = Tree(list(search.history), ends, probed, -1.0 if maximize else 1.0, not names[1])
        before = list(search.history)
        results = {spec.identity(before[node["trial"]].assignment) for node in tree.levels[-1]}
        found = own_point(search.task)
        if isinstance(found, Exhausted):
            assert len(results) == found.points == 6
            continue
        point, notes = found
        search.add(point, notes)
        assert spec.identity(point) not in results or notes["level"] < len(ends) - 1
        assert spec.space.checked(point) == point
        assert notes["step"] == ends[notes["level"]]
        expect_place(tree, before, names, point, notes)


def expect_place(
    tree: Tree, before: list[PastTrial], names: list[set[str]], point: Any, notes: dict[str, Any]
) -> None:
    """It is at the first place where something new can be drawn, and has its parent's draws."""
    for level in tree.expected_levels():
        tried = [
            drawn_upto(before[node["trial"]].assignment, upto(names, level)) for node in tree.levels[level]
        ]
        places = [(None, 1, 0)] if level == 0 else tree.expected_parents(level)
        for trial, rank, children in places:
            is_here = notes["level"] == level and notes.get("parent") == trial
            if is_here:
                assert drawn_upto(point, upto(names, level)) not in tried
                if trial is not None:
                    assert (notes["rank"], notes["child"]) == (rank, children + 1)
                    assert notes["of"] == len(tree.ranked(level - 1))
                    early = upto(names, level - 1)
                    assert drawn_upto(point, early) == drawn_upto(before[trial].assignment, early)
                return
            assert is_exhausted(before, trial, tried, names, level), (level, trial, notes)
    assert notes["level"] == len(names) - 1  # nothing new is left


def is_exhausted(
    before: list[PastTrial], trial: int | None, tried: list[Any], names: list[set[str]], level: int
) -> bool:
    """Whether all that can be drawn at a place was tried; where something is continuous, it never is."""
    if trial is not None and not names[level]:
        return drawn_upto(before[trial].assignment, upto(names, level)) in tried
    sizes = {"w": 3, "m1": 2}
    if not names[level] <= set(sizes):
        return False
    early = upto(names, level - 1) if level else set()
    prefix = {} if trial is None else drawn_upto(before[trial].assignment, early)
    there = {json.dumps(each, sort_keys=True) for each in tried if drawn_upto(each, set(prefix)) == prefix}
    return len(there) >= min(sizes[name] for name in names[level])


@pytest.mark.parametrize(("entries", "ends", "names"), SPACES)
def test_phases_end_where_something_is_drawn_for_the_rest(
    entries: dict[str, Any], ends: tuple[int, ...], names: list[set[str]]
) -> None:
    found = levels_of(space.Space(entries), LENGTH, 1)
    assert found.ends == ends
    assert [set(each) for each in found.names] == [upto(names, level) for level in range(len(ends))]


def test_steps_that_are_drawn_end_a_phase_at_the_earliest_and_multiples_are_kept_to() -> None:
    """1. The decay begins at 11 to 20 of 27. 2. Phases end at its earliest, rounded down; the rung is rounded up."""
    wsd = schedules.wsd(space.loguniform(0.01, 1), 1, space.integer(10, 19), 7, space.loguniform(1e-4, 0.1))
    searched = space.Space({"lr": wsd})
    assert levels_of(searched, 27, 1).ends == (3, 11, 27)
    assert levels_of(searched, 28, 4).ends == (4, 8, 28)


def test_a_space_without_phases_is_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidStudy, match=r"from the first steps on.*schedules\.piecewise.*policies\.asha"):
        made({"lr": schedules.cosine(space.loguniform(0.01, 1), 0.0, LENGTH)})


@pytest.mark.parametrize(("name", "words"), [("rate", "is no hyper-parameter"), ("optimiser", "no numbers")])
def test_a_probe_multiplies_only_numbers_that_all_trials_have(name: str, words: str) -> None:
    entries = {**free([9]), "optimiser": space.choice(["a", "b"])}
    with pytest.raises(InvalidStudy, match=words):
        made(entries, policy=policies.phase_tree(probe_hyperparameter=name))


def test_without_a_learning_rate_states_are_ranked_as_they_are_and_it_is_said() -> None:
    entries = SPACES[2][0]
    (warning,) = made(entries).warnings
    assert "no hyper-parameter of all trials is called lr or learning_rate" in warning
    assert made(entries, policy=policies.phase_tree(probe_steps=0)).warnings == ()
    assert made(entries, policy=policies.phase_tree(probe_hyperparameter="m")).warnings == ()
    assert made(free([9])).warnings == ()


def test_the_model_finds_what_is_good_for_a_phase() -> None:
    """1. What is drawn for the last phase decides alone. 2. Its best value is come to far sooner than evenly."""
    spec = made({"lr": schedules.piecewise([0.1, space.loguniform(0.01, 1.0, name="late")], [9])})
    search = Search(spec, Random(0))
    late = []
    for _ in range(120):
        point, notes = search.propose()
        past = search.history[-1]
        value = abs(point["late"] - 0.2)
        search.end(past, notes["step"], value=value if notes["step"] == LENGTH else 1.0)
        if notes["step"] in policies_probed(spec):
            search.history[past.trial] = replace(search.history[past.trial], probes={notes["step"]: (1.0,)})
        if notes["step"] == LENGTH:
            late.append(value)
    assert sum(value < 0.05 for value in late[len(late) // 2 :]) > len(late) // 4


def test_what_is_drawn_for_a_phase_does_not_depend_on_what_came_before() -> None:
    """In a history with the same scores and late draws, but other early ones, the late draw of a child is the same."""
    early, late = (space.uniform(0.0, 1.0, name=name) for name in ("early", "late"))
    search = Search(made({"lr": schedules.piecewise([early, late], [5])}), Random(0))
    compared = 0
    for number in range(80):
        other = [
            replace(past, assignment={**past.assignment, "early": past.assignment["early"] ** 2})
            for past in search.history
        ]
        found = own_point(replace(search.task, history=tuple(other)))
        point, notes = search.propose()
        past = search.history[-1]
        assert not isinstance(found, Exhausted)
        assert found[1] == notes
        if notes["drawn"] == "by the model" and notes["level"] == 1:
            assert found[0]["late"] == point["late"]
            assert found[0]["early"] != point["early"]
            compared += 1
        search.end(past, notes["step"], value=float(number * 7 % 31))
    assert compared > 20


def policies_probed(spec: StudySpec) -> set[int]:
    return {end for end in levels_of(spec.space, LENGTH, 1).ends if LENGTH / 3 <= end < LENGTH}
