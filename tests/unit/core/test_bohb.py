"""BOHB against what it ought to propose, told by other means: slow and obvious."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers, schedules, space
from hippo_core.engine.proposals import PastTrial
from hippo_core.engine.states import TrialState
from hippo_core.objective import Objective
from hippo_core.proposing import Exhausted, bohb, own_point
from hippo_core.proposing.bohb import split_of
from hippo_core.proposing.densities import Density, rows_of
from hippo_core.study import StudySpec
from tests.studies import study
from tests.unit.core.proposal_histories import Search

SPACES: list[dict[str, Any]] = [
    {"x": space.uniform(-5, 5), "y": space.loguniform(1e-3, 1e3)},
    {"c": space.choice(["a", "b", "c"]), "n": space.integer(1, 4)},
    {
        "lr": space.choice([0.1, schedules.piecewise([0.1, space.loguniform(1e-3, 1e-1)], [3])]),
        "k": space.logint(1, 512),
        "q": space.quniform(0, 1, 0.25),
        "o": space.choice([{"name": "sgd", "momentum": space.uniform(0, 1)}, {"name": "adam"}]),
        "one": space.integer(2, 2),
        "rule": space.constraint("k < 400"),
    },
]
STEPS = (1, 3, 9)
Point = Mapping[str, Any]


def spec(
    entries: Any, maximize: bool = True, seed: int = 0, constraints: Any = (), **arguments: Any
) -> StudySpec:
    return study(
        entries,
        sampler=samplers.bohb(**arguments),
        policy=policies.hyperband(asynchronous=True),
        objectives=(Objective(metric="accuracy", maximize=maximize),),
        max_trials=1000,
        max_steps=9,
        program_changes={"seed": seed},
        constraints=constraints,
    )


def points(study_spec: StudySpec, count: int, first: int = 0) -> list[dict[str, Any]]:
    return [dict(samplers.random().point(study_spec.space, 5, first + number)) for number in range(count)]


# What a density is, for one point at a time


def width(study_spec: StudySpec, name: str, about: Sequence[Point], least: float) -> float:
    domain = study_spec.space.domains[name]
    known = [coordinate(domain, point[name]) for point in about if name in point]
    rate = max(len(known), 1) ** (-1 / (4 + len(study_spec.space.domains)))
    if domain.word == "choice":
        shares = [count / len(known) for count in Counter(known).values()]
        widest = (len(domain.options) - 1) / len(domain.options)  # type: ignore[attr-defined]
        return min(
            max(1.06 * math.sqrt(max(0.0, 1 - sum(share**2 for share in shares))) * rate, least), widest
        )
    mean = sum(known) / max(len(known), 1)
    sigma = math.sqrt(sum((each - mean) ** 2 for each in known) / max(len(known), 1))
    return max(1.06 * sigma * rate, least)


def coordinate(domain: Any, drawn: Any) -> float:
    if domain.word == "choice":
        return float(drawn)
    if domain.size == 1:
        return 0.5
    if domain.word == "quniform":
        return (round((drawn - domain.low) / domain.q) + 0.5) / float(domain.size)
    low, high = domain.low, domain.high
    if domain.word == "integer":
        low, high = low - 0.5, high + 0.5
    if domain.log:
        return math.log(drawn / low) / math.log(high / low)
    return float((drawn - low) / (high - low))


def log_density(
    study_spec: StudySpec, about: Sequence[Point], widths: Mapping[str, float], at: Point
) -> float:
    """Of the mean over points of the product over the domains that are drawn."""
    found = []
    for point in about:
        log = 0.0
        for name, drawn in at.items():
            domain = study_spec.space.domains[name]
            is_choice = domain.word == "choice"
            count = len(domain.options) if is_choice else 1  # type: ignore[attr-defined]
            here, h = coordinate(domain, drawn), widths[name]
            if name not in point:
                log += math.log(1 / count)
            elif is_choice:
                log += math.log(1 - h if drawn == point[name] else h / (count - 1))
            else:
                kernel = NormalDist(coordinate(domain, point[name]), h)
                log += -(((here - kernel.mean) / h) ** 2) / 2 - math.log(h * math.sqrt(2 * math.pi))
                log -= math.log(kernel.cdf(1.0) - kernel.cdf(0.0))
        found.append(log)
    return total(found) - math.log(len(about))


def total(logs: Sequence[float]) -> float:
    """The logarithm of a sum."""
    return max(logs) + math.log(sum(math.exp(each - max(logs)) for each in logs))


@settings(max_examples=60)
@given(
    st.sampled_from(range(len(SPACES))),
    st.integers(1, 9),
    st.sampled_from([1e-3, 0.05, 0.5]),
    st.integers(0, 10**6),
)
def test_a_density_is_the_mean_of_products_of_kernels(
    which: int, count: int, least: float, first: int
) -> None:
    study_spec = spec(SPACES[which])
    about, at = points(study_spec, count, first), points(study_spec, 5, first + 100)
    found = Density(study_spec.space, about, least)
    widths = {name: width(study_spec, name, about, least) for name in study_spec.space.domains}
    assert found.bandwidths == pytest.approx([widths[name] for name in sorted(widths)])
    rows = rows_of(study_spec.space, [*at, about[0]])
    expected = [log_density(study_spec, about, widths, point) for point in [*at, about[0]]]
    assert list(found.log(rows)) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_the_density_of_a_conditional_space_is_one_in_all() -> None:
    """Summed over the options, and integrated over the number that only one of them has."""
    study_spec = spec({"o": space.choice([{"m": space.uniform(0, 1)}, {"n": 1}, {"n": 2}])})
    about = [{"o": 0, "o/0.m": 0.05}, {"o": 0, "o/0.m": 0.4}, {"o": 1}, {"o": 2}, {"o": 1}]
    found = Density(study_spec.space, about, 1e-3)
    cells = 4000
    within = [{"o": 0, "o/0.m": (cell + 0.5) / cells} for cell in range(cells)]
    masses = np.exp(found.log(rows_of(study_spec.space, within))).mean()
    others = np.exp(found.log(rows_of(study_spec.space, [{"o": 1}, {"o": 2}]))).sum()
    assert masses + others == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_draws_are_from_the_density_with_wider_kernels(factor: float) -> None:
    """20000 draws, counted in cells, against the mass of each cell; the stream is always the same."""
    study_spec = spec({"o": space.choice([{"m": space.uniform(0, 1)}, {"n": 1}, {"n": 2}])})
    about = [{"o": 0, "o/0.m": 0.1}, {"o": 0, "o/0.m": 0.35}, {"o": 1}, {"o": 1}, {"o": 1}]
    found = Density(study_spec.space, about, 0.1)
    stream = np.random.Generator(np.random.PCG64(7))
    drawn = [found.draw(stream, factor) for _ in range(20000)]
    wider = [min(found.bandwidths[0] * factor, 2 / 3), found.bandwidths[1] * factor]
    exact = Density(study_spec.space, about, 0.1, wider)
    cells = 8
    fine = 50
    for cell in range(cells):
        rows = [{"o": 0, "o/0.m": (cell + (part + 0.5) / fine) / cells} for part in range(fine)]
        mass = float(np.exp(exact.log(rows_of(study_spec.space, rows))).mean()) / cells
        share = sum(1 for each in drawn if each["o"] == 0 and int(each["o/0.m"] * cells) == cell) / len(drawn)
        assert share == pytest.approx(mass, abs=0.012)
    for option in (1, 2):
        mass = float(np.exp(exact.log(rows_of(study_spec.space, [{"o": option}])))[0])
        assert sum(1 for each in drawn if each == {"o": option}) / len(drawn) == pytest.approx(
            mass, abs=0.012
        )


# What is good, and what is not


def expected_split(search: Search, least: int, top: float) -> tuple[list[int], list[int], list[int]] | None:
    """The trials that are good, the others, and those that are not known yet."""
    end = float("inf")

    def come_to(past: PastTrial) -> dict[float, tuple[float, float]]:
        found = {float(step): search.worth(values) for step, values in past.values.items()}
        if past.state is TrialState.COMPLETED:
            last = max(found)
            found[end] = found.pop(last)
        return found

    known = {past.trial: come_to(past) for past in search.history}
    for budget in (end, 9.0, 3.0, 1.0):
        there = [trial for trial, found in known.items() if budget in found]
        if len(there) < least + 2:
            continue
        ranked = sorted(there, key=lambda trial: (known[trial][budget], trial))
        ranked += [
            past.trial
            for past in search.history
            if past.state is TrialState.DIVERGED and past.reached <= budget and past.trial not in there
        ]
        good = max(least, math.floor(top * len(ranked)))
        bad = max(least, len(ranked) - good)
        good = min(good, len(there))
        pending = [
            past.trial
            for past in search.history
            if past.state is TrialState.WAITING and past.trial not in there
        ]
        return ranked[:good], ranked[len(ranked) - bad :], pending
    return None


@settings(max_examples=25)
@given(
    st.integers(0, 2**32),
    st.sampled_from(range(len(SPACES))),
    st.sampled_from([None, 1, 4]),
    st.sampled_from([0.15, 0.5]),
    st.sampled_from([2, 1000]),
    st.booleans(),
)
def test_each_point_has_the_largest_ratio_of_those_drawn(
    seed: int, which: int, least: int | None, top: float, distinct: int, maximize: bool
) -> None:
    """1. Trials go to some steps in any order, with ties, diverge, fail. 2. Each new point is the oracle's choice."""
    random = Random(seed)
    study_spec = spec(
        SPACES[which],
        maximize,
        seed % 5,
        ("a <= 1", "b <= 1")[: seed % 3],
        min_points=least,
        top_fraction=top,
        candidates=8,
        random_fraction=0.3,
    )
    sampler = study_spec.sampler
    assert isinstance(sampler, samplers.Bohb)
    search = Search(study_spec, random, distinct)
    count = least or len(study_spec.space.domains) + 1
    modelled = 0
    for _ in range(45):
        if random.random() < 0.05:
            search.retry()
        if search.waiting and (len(search.waiting) > 5 or random.random() < 0.6):
            past = random.choice(search.waiting)
            further = [step for step in STEPS if step > max(past.values, default=0)]
            search.end(past, further[0], again=len(further) > 1 and random.random() < 0.5)
            continue
        task = search.task
        expected = expected_split(search, count, top)
        found = split_of(task, sampler)
        if expected is None:
            assert found is None
        else:
            assert found is not None
            groups = [[task.history[trial].assignment for trial in group] for group in expected]
            assert [list(found.good), list(found.others), list(found.pending)] == groups
        drawn: list[dict[str, Any]] = []
        point = recorded_point(task, drawn)
        if isinstance(point, Exhausted):
            break  # all points of the space are trials
        search.add(*point)
        if not drawn or expected is None:
            continue
        new = [each for each in drawn if is_new(study_spec, each, search.history[:-1])]
        if not new:
            continue
        modelled += 1
        assert point[0] in new
        ratios = [ratio(study_spec, groups, each) for each in new]
        assert ratio(study_spec, groups, point[0]) == pytest.approx(max(ratios), rel=1e-6, abs=1e-6)
    if least == 1 and which == 0:
        assert modelled


def recorded_point(task: Any, drawn: list[dict[str, Any]]) -> Any:
    """The point, and what was drawn for it."""
    draw = Density.draw

    def recorded(self: Density, stream: Any, factor: float) -> Any:
        drawn.append(draw(self, stream, factor))
        return drawn[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bohb.Density, "draw", recorded)
        return own_point(task)


def is_new(study_spec: StudySpec, point: Point, history: Sequence[PastTrial]) -> bool:
    return study_spec.space.satisfied(point) and all(past.assignment != point for past in history)


def ratio(study_spec: StudySpec, groups: list[list[Point]], at: Point) -> float:
    """The logarithm of l / g."""
    good, others, pending = groups
    least = 1e-3
    widths = {name: width(study_spec, name, good, least) for name in study_spec.space.domains}
    wide = {name: width(study_spec, name, others, least) for name in study_spec.space.domains}
    bad = [math.log(len(others)) + log_density(study_spec, others, wide, at)]
    if pending:
        bad.append(math.log(len(pending)) + log_density(study_spec, pending, widths, at))
    known = total(bad) - math.log(len(others) + len(pending))
    return log_density(study_spec, good, widths, at) - known


def test_a_share_of_points_is_random_whatever_is_known() -> None:
    study_spec = spec(SPACES[0], random_fraction=0.25)
    search = Search(study_spec, Random(0), 1000)
    for number, point in enumerate(points(study_spec, 20)):
        search.add(point, {})
        search.end(search.history[-1], 9, value=float(number))
    modelled = 0
    for trial in range(400):
        drawn: list[dict[str, Any]] = []
        recorded_point(replace(search.task, trial=20 + trial), drawn)
        modelled += bool(drawn)
    assert 280 <= modelled <= 320


def test_no_point_that_was_tried_is_proposed_again() -> None:
    """Six values in all: six points are all of them, and there is no seventh."""
    search = Search(spec({"n": space.integer(1, 6)}, random_fraction=0.0, min_points=1), Random(0))
    for number, value in enumerate((1, 4, 6)):
        search.add({"n": value}, {})
        search.end(search.history[number], 9, value=float(value))
    for number in range(3, 6):
        point, _ = search.propose()
        search.end(search.history[number], 9, value=float(point["n"]))
    assert {past.assignment["n"] for past in search.history} == set(range(1, 7))
    assert isinstance(own_point(search.task), Exhausted)
