"""Trie ASHA against what it ought to propose, told from the record and the values of all points: slow and obvious."""

from __future__ import annotations

import json
import math
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
from hippo_core.proposing import Exhausted, own_point
from hippo_core.proposing.trie import trie_of
from hippo_core.study import StudySpec
from tests.studies import study
from tests.unit.core.proposal_histories import Search

FALLS = [
    schedules.piecewise([peak, peak * fall], [9]) for peak in (0.1, 0.2, 0.4) for fall in (1.0, 0.3, 0.1)
]
SPACES: list[dict[str, Any]] = [
    {"lr": space.choice(FALLS), "m": space.choice([0.5, 0.9, schedules.piecewise([0.5, 0.9], [6])])},
    {"x": space.integer(1, 5)},
    {
        "o": space.choice(
            [
                {"name": "sgd", "momentum": space.choice([0.1, schedules.piecewise([0.1, 0.2], [6])])},
                {"name": "adam"},
            ]
        ),
        "a": space.integer(1, 3),
        "b": space.integer(1, 3),
        "rule": space.constraint("a + b < 5"),
    },
]
Prefix = str


def spec(entries: Any, maximize: bool = False, min_steps: int = 3, **changes: Any) -> StudySpec:
    made = study(
        entries,
        sampler=samplers.trie_asha(),
        policy=policies.trie_asha(min_steps),
        max_trials=1000,
        max_steps=18,
        **changes,
    )
    return replace(made, objectives=tuple(replace(each, maximize=maximize) for each in made.objectives))


class Oracle:
    """What is known of prefixes, by brute force over the values of all points.

    Args:
        search: The record.
        rungs: The steps.
    """

    def __init__(self, search: Search, rungs: tuple[int, ...]) -> None:
        self.search = search
        self.rungs = rungs
        self.prefixes: dict[object, Prefix] = {}
        self.points = [dict(point) for point in search.spec.space.assignments()]

    def prefix(self, point: Any, rung: int) -> Prefix:
        key = (*sorted(point.items()), rung)
        if key not in self.prefixes:
            sequence = self.search.spec.sequence(point)
            values = [sorted(sequence.values(step).items()) for step in range(rung)]
            self.prefixes[key] = json.dumps(values)
        return self.prefixes[key]

    def value(self, point: Any, rung: int) -> float:
        """Few values, so that there are ties; equal for equal prefixes, and never the same at two rungs."""
        return float(
            Random(f"{self.prefix(point, rung)}{self.search.distinct}").randrange(self.search.distinct)
        )

    def goal(self, past: PastTrial) -> int:
        return max(past.notes.get("step", self.rungs[0]), max(past.values, default=0))

    def begun(self, level: int) -> set[Prefix]:
        rung = self.rungs[level]
        return {self.prefix(past.assignment, rung) for past in self.search.history if self.goal(past) >= rung}

    def known(self, level: int) -> dict[Prefix, float]:
        """By prefix of a rung, what it came to, of which less is better, in the order of the points."""
        rung, sign = self.rungs[level], -1.0 if self.search.spec.objectives[0].maximize else 1.0
        found: dict[Prefix, float] = {}
        for past in self.search.history:
            prefix = self.prefix(past.assignment, rung)
            if self.goal(past) < rung:
                continue
            if rung in past.values:
                found[prefix] = sign * past.values[rung][0]
            elif past.state is TrialState.FAILED or (
                past.state is TrialState.DIVERGED and rung >= past.reached
            ):
                found.setdefault(prefix, math.inf)
        order = list(dict.fromkeys(self.prefix(point, rung) for point in self.points))
        return {prefix: found[prefix] for prefix in sorted(found, key=order.index)}

    def children(self, level: int, prefix: Prefix) -> set[Prefix]:
        """The prefixes of the next rung that go on from one and are not begun."""
        here, there = self.rungs[level], self.rungs[level + 1]
        every = {self.prefix(each, there) for each in self.points if self.prefix(each, here) == prefix}
        return every - self.begun(level + 1)

    def expected(self, eta: int) -> tuple[int, set[Prefix]] | None:
        """The level of the next job and the prefixes that it may be; None: there is none."""
        known = [self.known(level) for level in range(len(self.rungs) - 1)]
        roots = {self.prefix(point, self.rungs[0]) for point in self.points} - self.begun(0)
        share = 1
        while True:
            counts = [min(len(each), len(each) * share // eta) for each in known]
            for level in reversed(range(len(self.rungs) - 1)):
                ranked = sorted(known[level], key=known[level].__getitem__)
                for prefix in ranked[: counts[level]]:
                    children = self.children(level, prefix) if known[level][prefix] < math.inf else set()
                    if children:
                        return level + 1, children
            if roots:
                return 0, roots
            if counts == [len(each) for each in known]:
                break
            share *= 2
        for level in reversed(range(len(self.rungs) - 1)):
            waiting = self.begun(level) - known[level].keys()
            children = {child for prefix in waiting for child in self.children(level, prefix)}
            if children:
                return level + 1, children
        return None


@settings(max_examples=20)
@given(
    st.integers(0, 2**32),
    st.sampled_from(range(len(SPACES))),
    st.booleans(),
    st.sampled_from([2, 1000]),
    st.sampled_from([1, 2, 8, 32]),
    st.booleans(),
)
def test_each_proposal_is_the_deepest_prefix_that_the_rule_lets_go_on(
    seed: int, which: int, maximize: bool, distinct: int, slots: int, faults: bool
) -> None:
    """1. So many trials are under way. 2. They end in any order, diverge, fail. 3. Each job is one of the oracle's."""
    random = Random(seed)
    made = spec(SPACES[which], maximize, program_changes={"seed": seed % 3})
    search = Search(made, random, distinct)
    trie = trie_of(made, 3, 3)
    oracle = Oracle(search, trie.rungs)
    for _ in range(60):
        if len(search.waiting) >= slots or (search.waiting and random.random() < 0.3):
            past = random.choice(search.waiting)
            fails = faults and random.random() < 0.2
            search.end(
                past, oracle.goal(past), None if fails else oracle.value(past.assignment, oracle.goal(past))
            )
            if fails and search.history[past.trial].values:  # it came to something by chance
                step = oracle.goal(past)
                search.history[past.trial].values[step] = (oracle.value(past.assignment, step),)  # type: ignore[index]
            continue
        expected = oracle.expected(3)
        point = own_point(search.task)
        if expected is None:
            assert isinstance(point, Exhausted)
            break
        assert isinstance(point, tuple)
        level, prefixes = expected
        assert point[1]["step"] == trie.rungs[level]
        assert oracle.prefix(point[0], trie.rungs[level]) in prefixes
        if (
            len(search.history) % 4 == 0
        ):  # a study that is read again is checked again: most of the time of all this
            again = StudySpec.from_json(json.loads(json.dumps(made.to_json())))
            assert own_point(replace(search.task, spec=again)) == point
        search.add(*point)


@pytest.mark.parametrize("entries", SPACES, ids=range(len(SPACES)))
@pytest.mark.parametrize("slots", [1, 8])
def test_all_points_come_to_their_end_and_each_prefix_is_begun_once(entries: Any, slots: int) -> None:
    made = spec(entries)
    search = Search(made, Random(3), 1000)
    trie = trie_of(made, 3, 3)
    oracle = Oracle(search, trie.rungs)
    jobs = []
    while True:
        point = own_point(search.task) if len(search.waiting) < slots else None
        if isinstance(point, Exhausted):
            break
        if point is None:
            past = search.waiting[0]
            search.end(past, oracle.goal(past), oracle.value(past.assignment, oracle.goal(past)))
            continue
        jobs.append(oracle.prefix(point[0], point[1]["step"]))
        search.add(*point)
    assert len(jobs) == len(set(jobs))
    ends = {oracle.prefix(each, 18) for each in oracle.points}
    assert point == Exhausted(len(ends))
    assert ends == {prefix for prefix in jobs if prefix in ends}
    assert len(jobs) == sum(len(set(level)) for level in zip(*trie.paths, strict=True))


def test_rungs_are_those_of_the_ladder_and_steps_at_which_points_part() -> None:
    parting = [schedules.piecewise([0.1, 0.1 * fall], [at]) for at in (4, 12) for fall in (0.1, 0.3, 0.5)]
    made = spec({"lr": space.choice([*parting, schedules.piecewise([0.1, 0.2], [8])])})
    assert trie_of(made, 1, 3).rungs == (1, 3, 9, 18), "all others are too near"
    assert trie_of(made, 3, 6).rungs == (3, 8, 12, 18)
    coarse = spec({"lr": space.choice(parting)}, program_changes={"evaluate_every": 6})
    assert trie_of(coarse, 1, 9).rungs == (6, 12, 18)


def test_a_space_that_cannot_be_listed_is_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidStudy, match=r"'x' is continuous. List values for 'x'.*policies.asha"):
        spec({"x": space.uniform(0, 1)})
    with pytest.raises(InvalidStudy, match=r"at most 100000 points, and there are more. List fewer values"):
        spec({f"x{index}": space.integer(1, 10) for index in range(6)})
    with pytest.raises(InvalidStudy, match="brings its own points"):
        study(SPACES[1], sampler=samplers.random(), policy=policies.trie_asha())
    with pytest.raises(InvalidStudy, match="Use min_steps"):
        policies.trie_asha(grace_period=3)  # type: ignore[call-arg]
