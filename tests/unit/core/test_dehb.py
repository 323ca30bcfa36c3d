"""DEHB against what it ought to propose, told from the record by other means: slow and obvious."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers, schedules, space
from hippo_core.engine.proposals import PastTrial
from hippo_core.engine.states import TrialState
from hippo_core.objective import Objective
from hippo_core.proposing import Exhausted, own_point
from hippo_core.proposing.dehb import Evolution
from hippo_core.study import StudySpec
from tests.studies import study
from tests.unit.core.proposal_histories import Search

SPACES: list[dict[str, Any]] = [
    {"x": space.uniform(-5, 5), "y": space.loguniform(1e-3, 1e3)},
    {"x": space.uniform(0, 1)},
    {
        "lr": space.choice([0.1, schedules.piecewise([0.1, space.loguniform(1e-3, 1e-1)], [3])]),
        "n": space.integer(1, 4),
        "k": space.logint(1, 512),
        "q": space.quniform(0, 1, 0.25),
        "o": space.choice([{"name": "sgd", "momentum": space.uniform(0, 1)}, {"name": "adam"}]),
    },
]
Vector = Sequence[float]
Worth = Callable[[tuple[float, ...]], tuple[float, float]]


def spec(
    entries: Any, reduction_factor: int, rungs: int, mutation: float = 0.5, initial: int = 0, **changes: Any
) -> StudySpec:
    made: dict[str, Any] = {
        "sampler": samplers.dehb(),
        "policy": policies.dehb(1, reduction_factor, mutation=mutation),
        "max_trials": 1000,
        "max_steps": reduction_factor ** (rungs - 1),
        **changes,
    }
    found = study(entries, **made)
    points = [dict(samplers.random().point(found.space, 99, number)) for number in range(initial)]
    return study(entries, **made, initial=tuple(points))


# What the paper says


def sizes(eta: int, count: int, bracket: int) -> list[int]:
    """n_s = floor((s_max + 1) / (s + 1)) * eta**s points, and 1/eta of them at each further budget."""
    s = count - 1 - bracket % count
    first = math.floor(count / (s + 1)) * eta**s
    return [first // eta**rung for rung in range(s + 1)]


def step_of(eta: int, count: int, bracket: int, rung: int) -> int:
    return int(eta ** (bracket % count + rung))


def population(eta: int, count: int, step: int) -> int:
    return max(
        size
        for bracket in range(count)
        for rung, size in enumerate(sizes(eta, count, bracket))
        if step_of(eta, count, bracket, rung) == step
    )


def place_of(past: PastTrial, eta: int, count: int) -> tuple[int, int, int]:
    """Bracket, rung and step."""
    if not past.notes:
        return (0, 0, 1)
    bracket, rung = past.notes["bracket"], past.notes["rung"]
    return bracket, rung, step_of(eta, count, bracket, rung)


def is_under_way(past: PastTrial, step: int) -> bool:
    return past.state is TrialState.WAITING and step not in past.values


def expected_job(history: list[PastTrial], eta: int, count: int) -> tuple[int, int]:
    """The first place in the first bracket that is free, and whose rung does not wait for the one below."""
    taken: dict[tuple[int, int], list[bool]] = {}
    for past in history:
        bracket, rung, step = place_of(past, eta, count)
        if (
            len(taken.get((bracket, rung), [])) < sizes(eta, count, bracket)[rung]
        ):  # else a person gave too many
            taken.setdefault((bracket, rung), []).append(is_under_way(past, step))
    for bracket in itertools.count():
        for rung, size in enumerate(sizes(eta, count, bracket)):
            below = taken.get((bracket, rung - 1), [])
            is_ready = not rung or (len(below) >= sizes(eta, count, bracket)[rung - 1] and not any(below))
            if is_ready and len(taken.get((bracket, rung), [])) < size:
                return bracket, rung
    raise AssertionError


def subpopulation(
    history: list[PastTrial], vectors: list[Vector], eta: int, count: int, step: int, worth: Worth
) -> list[tuple[tuple[float, float], Vector] | None]:
    """By place the best that came to it, with its cost; of equals the latest trial's; None: nothing came."""
    size = population(eta, count, step)
    found: list[tuple[tuple[float, float], Vector] | None] = [None] * size
    turn = 0
    for past, vector in zip(history, vectors, strict=True):
        if place_of(past, eta, count)[2] != step:
            continue
        place, turn = turn % size, turn + 1
        if step in past.values:
            cost = worth(past.values[step])
            there = found[place]
            if there is None or cost <= there[0]:
                found[place] = (cost, vector)
    return found


def is_evolved(
    vector: Vector,
    target: Vector,
    pool: list[Vector],
    others: list[Vector],
    mutation: float,
) -> bool:
    """Whether a vector is a cross of the target with a + F * (b - c) for some three of the parents."""
    if len(pool) >= 3:
        triples = itertools.permutations(pool, 3)
    else:
        groups = ([*pool, *more] for more in itertools.combinations(others, 3 - len(pool)))
        triples = itertools.chain.from_iterable(itertools.permutations(group) for group in groups)
    for a, b, c in triples:
        mutant = [x + mutation * (y - z) for x, y, z in zip(a, b, c, strict=True)]
        from_mutant = [
            math.isclose(v, m, abs_tol=1e-12) or (not 0 <= m <= 1 and 0 <= v <= 1)
            for v, m in zip(vector, mutant, strict=True)
        ]
        kept = [v == t for v, t in zip(vector, target, strict=True)]
        if any(from_mutant) and all(one or other for one, other in zip(from_mutant, kept, strict=True)):
            return True
    return False


def decoded(entries: space.Space, names: list[str], vector: Vector) -> dict[str, Any]:
    """Each domain is as many equal parts as it has values; its logarithm is, where it is drawn so."""
    at = dict(zip(names, vector, strict=True))

    def decide(domain: Any) -> Any:
        share = at[domain.name]
        if domain.word == "choice":
            return min(int(share * len(domain.options)), len(domain.options) - 1)
        if domain.word == "quniform":
            return domain.item(min(int(share * domain.size), domain.size - 1))
        low, high = domain.low, domain.high
        if domain.word == "integer":
            low, high = low - 0.5, high + 0.5
        found = low * (high / low) ** share if domain.log else low + (high - low) * share
        found = math.floor(found + 0.5) if domain.word == "integer" else found
        found = min(max(found, domain.low), domain.high)
        return found if domain.word == "integer" else pytest.approx(found, rel=1e-9, abs=1e-9)

    return entries.decide(decide)


@settings(max_examples=60)
@given(
    st.integers(0, 2**32),
    st.sampled_from(range(len(SPACES))),
    st.sampled_from([(2, 2), (2, 3), (3, 2), (3, 3), (4, 2)]),
    st.sampled_from([0, 0, 2, 12]),
    st.sampled_from([0.5, 1.7]),
    st.integers(1, 12),
    st.booleans(),
)
def test_each_point_is_what_its_place_in_the_brackets_asks_for(
    seed: int,
    which: int,
    ladder: tuple[int, int],
    initial: int,
    mutation: float,
    slots: int,
    maximize: bool,
) -> None:
    """1. Trials end in any order, with ties, diverge, fail. 2. Each new point is the oracle's, and follows again."""
    eta, count = ladder
    random = Random(seed)
    goals = (Objective(metric="accuracy", maximize=maximize),)
    study_spec = spec(
        SPACES[which],
        eta,
        count,
        mutation,
        initial,
        objectives=goals,
        program_changes={"seed": seed % 7},
        constraints=("a <= 1", "b <= 1")[: seed % 3],
    )
    search = Search(study_spec, random)
    empty = Evolution(
        Search(spec(SPACES[which], eta, count, program_changes={"seed": seed % 7}), random).task
    )
    unborn = [[member.vector for member in group] for group in empty.members]
    names = sorted(study_spec.space.domains)
    for _ in range(45):
        if random.random() < 0.05:
            search.retry()
        if search.waiting and (len(search.waiting) >= slots or random.random() < 0.3):
            past = random.choice(search.waiting)
            search.end(past, place_of(past, eta, count)[2])
            continue
        history = list(search.history)
        vectors = [list(each.vector) for each in Evolution(search.task).evaluations]
        for past, vector in zip(history, vectors, strict=True):
            shifts = [[at + shift for at in vector] for shift in (0.0, 1e-12, -1e-12)]
            assert past.assignment in [decoded(study_spec.space, names, each) for each in shifts]
        assignment, notes = search.propose()
        assert study_spec.space.checked(assignment) == assignment
        bracket, rung = expected_job(history, eta, count)
        step = step_of(eta, count, bracket, rung)
        assert (notes["bracket"], notes["rung"], notes["step"]) == (bracket, rung, step)
        vector = notes["vector"]
        assert all(0.0 <= each <= 1.0 for each in vector)
        groups = [
            subpopulation(history, vectors, eta, count, eta**level, search.worth) for level in range(count)
        ]
        level = bracket % count + rung
        living = [
            [there[1] if there else unborn[depth][place] for place, there in enumerate(group)]
            for depth, group in enumerate(groups)
        ]
        tried = [
            list(each)
            for past, each in zip(history, vectors, strict=True)
            if place_of(past, eta, count)[2] == step
        ]
        target = len(tried) % len(groups[level])
        below = sorted(
            (each[0], place) for place, each in enumerate(groups[level - 1]) if rung and each is not None
        )
        best = [list(living[level - 1][place]) for _, place in below]
        promoted = [each for each in best if each not in tried]
        if (bracket, rung) == (0, 0):
            assert vector == list(living[0][target])
        elif bracket < count and promoted:
            assert vector == promoted[0]
            source = notes["promoted"]
            assert (list(vectors[source]), place_of(history[source], eta, count)[2] * eta) == (vector, step)
            assert "parents" not in notes
        else:
            size = sizes(eta, count, bracket)[rung]
            pool = (
                best[:size] if rung else [each for place, each in enumerate(living[level]) if place != target]
            )
            places = (
                {(level - 1, place) for _, place in below[:size]}
                if rung
                else {(level, place) for place in range(len(groups[level]))}
            )
            others = [
                living[depth][place]
                for depth, group in enumerate(groups)
                for place in range(len(group))
                if (depth, place) not in places and (depth, place) != (level, target)
            ]
            assert is_evolved(vector, living[level][target], pool, others, mutation)
            named = [vectors[each] for each in notes["parents"] if each is not None]
            if len(named) == 3:
                assert is_evolved(vector, living[level][target], named, [], mutation)
            assert (notes["target"] is None) == (groups[level][target] is None)
            if notes["target"] is not None:
                assert list(vectors[notes["target"]]) == list(living[level][target])


@pytest.mark.parametrize("reduction_factor", [2, 3])
def test_a_search_with_one_slot_goes_through_the_brackets_in_turn(reduction_factor: int) -> None:
    study_spec = spec(SPACES[0], reduction_factor, 3)
    search = Search(study_spec, Random(0))
    places = []
    for _ in range(60):
        _, notes = search.propose()
        places.append((notes["bracket"], notes["rung"]))
        search.end(search.history[-1], notes["step"], value=float(len(places)))
    expected = [
        (bracket, rung)
        for bracket in range(30)
        for rung, size in enumerate(sizes(reduction_factor, 3, bracket))
        for _ in range(size)
    ]
    assert places == expected[:60]


def test_a_promotion_is_the_same_point_and_a_rung_that_waits_lets_the_next_bracket_begin() -> None:
    """1. Nine at step 1; eight end. 2. The next begins bracket 1. 3. The ninth ends: the best goes on unchanged."""
    search = Search(spec(SPACES[2], 3, 3), Random(0))
    for _ in range(9):
        search.propose()
    for past in search.waiting[1:]:
        search.end(past, 1, value=float(past.trial))
    _, waits = search.propose()
    assert (waits["bracket"], waits["rung"], waits["step"]) == (1, 0, 3)
    search.end(search.history[0], 1, value=4.5)
    point, notes = search.propose()
    assert (notes["bracket"], notes["rung"], notes["step"]) == (0, 1, 3)
    assert point == search.history[8].assignment
    assert search.propose()[0] == search.history[7].assignment


def test_points_depend_on_the_seed_and_not_on_the_order_of_arrival() -> None:
    found = []
    for seed, order in ((0, 1), (0, -1), (1, 1)):
        search = Search(spec(SPACES[2], 3, 3, program_changes={"seed": seed}), Random(0))
        for _ in range(9):
            search.propose()
        for past in search.waiting[::order]:
            search.end(past, 1, value=float(past.trial % 4))
        for _ in range(6):
            search.propose()
        found.append([json.dumps(past.assignment) for past in search.history])
    assert found[0] == found[1] != found[2]


def test_constraints_are_kept_by_drawing_again() -> None:
    entries = {"x": space.uniform(0, 1), "y": space.uniform(0, 1), "rule": space.constraint("x + y < 0.5")}
    search = Search(spec(entries, 3, 2), Random(3))
    for _ in range(40):
        point, notes = search.propose()
        assert point["x"] + point["y"] < 0.5
        search.end(search.history[-1], notes["step"], value=-point["x"])


def test_a_space_without_domains_is_one_point_which_is_trained_to_the_end() -> None:
    search = Search(spec({"x": 1.0}, 3, 2), Random(0))
    steps: list[int] = []
    while (found := own_point(search.task)) != Exhausted(1):
        assert isinstance(found, tuple)
        assert found[0] == {}
        search.add(*found)
        steps.append(found[1]["step"])
        search.end(search.history[-1], steps[-1], value=0.0)
    assert search.spec.max_steps == steps[-1] > max(steps[:-1])
