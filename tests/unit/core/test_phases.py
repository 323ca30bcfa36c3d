import itertools
import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hippo_core import schedules, space
from hippo_core.domains import Choice, Integer
from hippo_core.errors import InvalidStudy
from hippo_core.phases import NEVER, Phase, first_steps, parting_steps, phases
from hippo_core.space import Space
from hippo_core.trial_schedules import hyperparameters_of
from tests import oracle, strategies

STEPS = 40  # further than any of the schedules here goes on changing at another draw
TRIES = 4

# Independent oracles: trials are drawn anew, and their values compared step by step.


def history(built, assignment):
    """The values at each step, exactly; None: no trial can have them."""
    try:
        found = hyperparameters_of(built, assignment)
        return [
            {
                name: oracle.exact(oracle.value(part, step, built.kinds[name].value))
                for name, part in found.items()
            }
            for step in range(STEPS)
        ]
    except (InvalidStudy, TypeError, ValueError, OverflowError):
        return None


def first_difference(one, other):
    pairs = enumerate(zip(one, other, strict=True))
    return next((step for step, (here, there) in pairs if here != there), STEPS)


def redrawn(built, assignment, names, chance):
    """An assignment with other draws for these domains; and any for those that the trial has only then."""

    def decide(domain):
        kept = domain.name in assignment and domain.name not in names
        return assignment[domain.name] if kept else domain.draw(chance.random())

    return built.decide(decide)


def exact_first_step(built, assignment, name):
    """Of a domain with few values, where the first difference is at any other value."""
    domain = built.domains[name]
    if isinstance(domain, Choice | Integer):
        others = [domain.item(index) for index in range(domain.size)]
    else:
        others = [domain.draw(share / 7) for share in range(7)]
    mine = history(built, assignment)
    found = [history(built, {**assignment, name: other}) for other in others if other != assignment[name]]
    return min(first_difference(mine, theirs) for theirs in found if theirs is not None)


# Spaces with domains at every place

FLOATS = [
    space.uniform(0.1, 0.9),
    space.loguniform(1e-3, 1.0),
    space.uniform(0.2, 0.7, name="shared"),
    space.choice([0.3, 0.4]),
    space.choice([0.5, space.uniform(0.6, 0.8)]),
]


def counts(least):
    return st.one_of(
        st.integers(least, 9),
        st.builds(space.integer, st.integers(least, 4), st.integers(4, 9)),
        st.just(space.integer(2, 6, name="length")),
        st.just(space.choice([2, 5, space.integer(3, 7)])),
    )


def decays():
    """Steps, or shares of a horizon."""
    shares = [0.0, 0.3, space.uniform(0.1, 0.5), space.choice([0.4, 3, space.uniform(0.2, 0.3)])]
    return st.one_of(counts(0), st.sampled_from(shares))


NUMBERS = st.one_of(st.sampled_from([0.1, 0.25, 1.0, 0.0, 2]), st.sampled_from(FLOATS))


@st.composite
def milestones(draw, most=3):
    """Steps and domains of steps that can be drawn so that they increase."""
    found, least = [], 1
    for _ in range(draw(st.integers(0, most))):
        low = draw(st.integers(least, least + 4))
        high = draw(st.integers(low, low + 4))
        found.append(space.integer(low, high) if draw(st.booleans()) and high > low else low)
        least = low + 1
    return found


def leaves():
    return st.one_of(
        NUMBERS,
        st.builds(schedules.multistep, NUMBERS, NUMBERS, milestones()),
        st.builds(schedules.step_decay, NUMBERS, NUMBERS, counts(1)),
        st.builds(schedules.exponential, NUMBERS, NUMBERS),
        st.builds(schedules.linear, NUMBERS, NUMBERS, counts(1)),
        st.builds(schedules.polynomial, NUMBERS, NUMBERS, counts(1), st.sampled_from([1.0, 2.0])),
        st.builds(schedules.cosine, NUMBERS, NUMBERS, counts(1)),
        st.builds(schedules.cosine_restarts, NUMBERS, NUMBERS, counts(1)),
        st.builds(schedules.cyclic, NUMBERS, NUMBERS, counts(1), counts(1)),
        st.builds(schedules.one_cycle, NUMBERS, counts(1)),
        st.builds(schedules.wsd, NUMBERS, counts(0), counts(0), counts(0), NUMBERS),
        st.builds(schedules.wsd, NUMBERS, counts(0), st.none(), decays(), NUMBERS, st.integers(20, 30)),
        st.builds(schedules.table, st.lists(NUMBERS, min_size=1, max_size=5)),
    )


@st.composite
def piecewise(draw, parts):
    steps = draw(milestones())
    values = draw(st.lists(parts, min_size=len(steps) + 1, max_size=len(steps) + 1))
    return schedules.piecewise(values, steps)


def nested(parts):
    return st.one_of(
        piecewise(parts),
        st.builds(schedules.warmup, counts(1), parts, NUMBERS),
        st.builds(schedules.rounded, parts),
        st.builds(space.choice, st.lists(parts, min_size=1, max_size=3)),
    )


def parts():
    return st.recursive(leaves(), nested, max_leaves=5)


def sub_spaces():
    entries = st.dictionaries(st.sampled_from(["a", "b"]), parts(), max_size=2)
    return st.builds(space.choice, st.lists(entries, min_size=1, max_size=3))


@st.composite
def spaces(draw):
    entries = draw(st.dictionaries(st.sampled_from(["lr", "momentum"]), parts(), min_size=1, max_size=2))
    if draw(st.booleans()):
        entries["inner"] = draw(sub_spaces())
    try:
        return Space(entries)
    except InvalidStudy:  # one name with two domains
        assume(False)


@settings(max_examples=60)
@given(spaces(), st.integers(0, 2**32))
def test_no_draw_bears_on_an_earlier_step_than_said(built, seed):
    chance = random.Random(seed)
    assignment = built.decide(lambda domain: domain.draw(chance.random()))
    mine = history(built, assignment)
    assume(mine is not None)
    found = first_steps(built, assignment)
    assert sorted(found) == sorted(assignment)
    for name, step in found.items():
        for _ in range(TRIES):
            theirs = history(built, redrawn(built, assignment, {name}, chance))
            assert theirs is None or first_difference(mine, theirs) >= min(step, STEPS)


@settings(max_examples=60)
@given(spaces(), st.integers(0, 2**32))
def test_what_bears_late_may_change_all_at_once(built, seed):
    """A fork at a step keeps what bears before and draws all else anew: it shares up to that step."""
    chance = random.Random(seed)
    assignment = built.decide(lambda domain: domain.draw(chance.random()))
    mine = history(built, assignment)
    assume(mine is not None)
    found = first_steps(built, assignment)
    for step in set(found.values()):
        late = {name for name, first in found.items() if first >= step}
        for _ in range(TRIES):
            theirs = history(built, redrawn(built, assignment, late, chance))
            assert theirs is None or first_difference(mine, theirs) >= min(step, STEPS)


@settings(max_examples=60)
@given(strategies.grids())
def test_points_of_a_grid_part_at_one_of_the_parting_steps(options):
    built = Space.from_json({name: {"domain": "choice", "options": each} for name, each in options.items()})
    points = list(itertools.islice(built.assignments(), 8))
    for mine, theirs in itertools.product(points, points):
        step = first_difference(history(built, mine), history(built, theirs))
        assert step == STEPS or step in parting_steps(built, mine)


# Where the form tells, it is the truth

X, Y = space.uniform(0.1, 0.9), space.uniform(0.2, 0.8)


@pytest.mark.parametrize(
    ("entries", "assignment", "expected"),
    [
        ({"lr": X}, {"lr": 0.5}, {"lr": 0}),
        (
            {"lr": schedules.piecewise([X, 0.1, Y], [4, 9])},
            {"lr/values/0": 0.5, "lr/values/2": 0.5},
            {"lr/values/0": 0, "lr/values/2": 9},
        ),
        (
            {"lr": schedules.piecewise([0.1, X], [space.integer(3, 9, name="m")])},
            {"m": 7, "lr/values/1": 0.5},
            {"m": 3, "lr/values/1": 7},
        ),
        (
            {
                "lr": schedules.piecewise(
                    [0.3, 0.1, X], [space.integer(3, 9, name="m"), space.integer(2, 12, name="n")]
                )
            },
            {"m": 7, "n": 9, "lr/values/2": 0.5},
            {"m": 3, "n": 8, "lr/values/2": 9},
        ),
        (
            {"lr": schedules.multistep(X, Y, [space.integer(2, 6, name="m"), 8])},
            {"lr/initial": 0.5, "lr/gamma": 0.5, "m": 4},
            {"lr/initial": 0, "lr/gamma": 4, "m": 2},
        ),
        (
            {"lr": schedules.step_decay(X, Y, space.integer(3, 9, name="n"))},
            {"lr/initial": 0.5, "lr/gamma": 0.5, "n": 5},
            {"lr/initial": 0, "lr/gamma": 5, "n": 3},
        ),
        (
            {"lr": schedules.table([0.1, X, Y])},
            {"lr/values/1": 0.5, "lr/values/2": 0.5},
            {"lr/values/1": 1, "lr/values/2": 2},
        ),
        (
            {
                "lr": schedules.wsd(
                    X, 3, space.integer(4, 9, name="s"), space.integer(2, 5, name="d"), space.uniform(0, 0.05)
                )
            },
            {"lr/peak": 0.5, "s": 8, "d": 4, "lr/final": 0.01},
            {"lr/peak": 0, "s": 3 + 4, "d": 3 + 8, "lr/final": 3 + 8},
        ),
        (
            {"lr": schedules.wsd(X, 3, decay=space.choice([0.1, 0.25, 4], name="d"), final=Y, horizon=20)},
            {"lr/peak": 0.5, "d": 0, "lr/final": 0.3},
            {"lr/peak": 0, "d": 20 - 5, "lr/final": 20 - 2},
        ),
        (
            {"lr": schedules.wsd(0.5, space.integer(0, 5, name="w"), 4, 0, X)},
            {"w": 2, "lr/final": 0.2},
            {"w": 0, "lr/final": 6},
        ),
        (
            {"lr": schedules.warmup(5, schedules.piecewise([X, Y], [4]), space.uniform(0, 0.05))},
            {"lr/after/values/0": 0.5, "lr/after/values/1": 0.5, "lr/initial": 0.01},
            {"lr/after/values/0": 0, "lr/after/values/1": 9, "lr/initial": 0},
        ),
        (
            {"lr": schedules.piecewise([0.1, schedules.warmup(3, schedules.piecewise([0.5, X], [2]))], [6])},
            {"lr/values/1/after/values/1": 0.3},
            {"lr/values/1/after/values/1": 6 + 3 + 2},
        ),
        (
            {"lr": schedules.piecewise([0.1, schedules.cosine(X, 0.0, 9)], [6])},
            {"lr/values/1/initial": 0.5},
            {"lr/values/1/initial": 6},
        ),
        (
            {"lr": schedules.piecewise([X, 0.1], [6]), "wd": schedules.piecewise([0.1, X], [4])},
            {"lr/values/0": 0.5},
            {"lr/values/0": 0},
        ),
        (
            {
                "lr": space.choice(
                    [
                        schedules.piecewise([0.1, 0.01], [9]),
                        schedules.piecewise([0.1, 0.05], [9]),
                        schedules.piecewise([0.1, 0.05], [6]),
                    ]
                )
            },
            {"lr": 1},
            {"lr": 6},
        ),
        (
            {"lr": schedules.warmup(4, space.choice([0.1, schedules.piecewise([0.1, 0.01], [5])]))},
            {"lr/after": 0},
            {"lr/after": 9},
        ),
    ],
)
def test_where_the_form_tells_it_is_the_truth(entries, assignment, expected):
    built = Space(entries)
    assert first_steps(built, built.checked(assignment)) == expected
    for name, step in expected.items():
        assert exact_first_step(built, assignment, name) == step


def test_smooth_schedules_begin_where_they_begin():
    """Their first value may be the same; there is nothing to fork between it and the second."""
    for smooth in (
        schedules.cosine(X, Y, 9),
        schedules.linear(X, Y, 9),
        schedules.exponential(X, Y),
        schedules.cyclic(X, Y, 3, 4),
        schedules.one_cycle(X, 9),
    ):
        built = Space({"lr": schedules.piecewise([0.1, smooth], [5])})
        assignment = built.decide(lambda domain: 0.5)
        assert set(first_steps(built, assignment).values()) == {5}


def test_a_ramp_aims_at_the_first_value_only():
    built = Space({"lr": schedules.warmup(5, schedules.linear(0.1, Y, space.integer(3, 9, name="n")))})
    assert first_steps(built, {"lr/after/final": 0.3, "n": 4}) == {"lr/after/final": 5, "n": 5}


def test_what_a_later_part_cuts_off_bears_nowhere():
    built = Space({"lr": schedules.piecewise([schedules.table([0.1, 0.2, X]), 0.3], [2])})
    assignment = {"lr/values/0/values/2": 0.5}
    assert first_steps(built, assignment) == {"lr/values/0/values/2": NEVER}
    assert phases(built, assignment, 27) == (Phase(start=0, names=()),)


def test_a_domain_in_several_places_counts_where_it_bears_first():
    late = space.uniform(0.1, 0.9, name="x")
    built = Space(
        {"a": schedules.piecewise([0.1, late], [9]), "b": schedules.piecewise([0.1, late], [4]), "c": X}
    )
    assert first_steps(built, {"x": 0.5, "c": 0.3}) == {"c": 0, "x": 4}


def test_options_with_one_draw_in_common_are_alike_up_to_where_they_differ():
    first = space.loguniform(0.01, 1.0, name="first")
    built = Space({"lr": space.choice([schedules.piecewise([first, 0.1 * k], [9]) for k in (1, 2, 3)])})
    assert first_steps(built, {"lr": 1, "first": 0.5}) == {"first": 0, "lr": 9}


def test_an_option_is_known_up_to_what_is_drawn_for_it():
    options = [0.1, schedules.piecewise([0.1, 0.01], [12]), schedules.piecewise([0.1, X], [7])]
    built = Space({"lr": space.choice(options)})
    assert first_steps(built, {"lr": 0}) == {"lr": 7}
    assert first_steps(built, {"lr": 2, "lr/2/values/1": 0.5}) == {"lr": 7, "lr/2/values/1": 7}


def test_sub_spaces_differ_at_once_unless_they_have_the_same_names():
    def inner(*options):
        return Space({"inner": space.choice(list(options))})

    a_late = {"a": schedules.piecewise([0.1, 0.2], [5])}
    assert first_steps(inner({"a": 0.1}, {"b": 0.1}), {"inner": 0}) == {"inner": 0}
    assert first_steps(inner({"a": 0.1}, {}), {"inner": 1}) == {"inner": 0}
    assert first_steps(inner({"a": 0.1}, a_late), {"inner": 0}) == {"inner": 5}
    nested = inner({"a": 0.1}, {"a": schedules.piecewise([0.1, space.choice([0.1, 0.3])], [8])})
    assert first_steps(nested, {"inner": 0}) == {"inner": 8}
    assert first_steps(nested, {"inner": 1, "inner/1.a/values/1": 1})["inner"] == 8
    assert first_steps(nested, {"inner": 1, "inner/1.a/values/1": 0})["inner"] == NEVER


def test_options_that_never_differ_bear_nowhere():
    built = Space({"lr": space.choice([0.1, schedules.piecewise([0.1, 0.1], [5])])})
    assert first_steps(built, {"lr": 0}) == {"lr": NEVER}


def test_the_phases_of_three_parts():
    parts = [space.uniform(0.1, 0.9) for _ in range(3)]
    built = Space({"lr": schedules.piecewise(parts, [9, 18]), "momentum": X})
    assignment = built.decide(lambda domain: 0.5)
    names = [f"lr/values/{index}" for index in range(3)]
    first = Phase(start=0, names=(names[0], "momentum"))
    assert phases(built, assignment, 27) == (
        first,
        Phase(start=9, names=(names[1],)),
        Phase(start=18, names=(names[2],)),
    )
    assert phases(built, assignment, 18) == (first, Phase(start=9, names=(names[1],)))


def test_starts_are_rounded_down_to_where_trials_are_judged():
    parts = [space.uniform(0.1, 0.9) for _ in range(4)]
    built = Space({"lr": schedules.piecewise(parts, [3, 11, 12])})
    assignment = built.decide(lambda domain: 0.5)
    assert phases(built, assignment, 27, evaluate_every=5) == (
        Phase(start=0, names=("lr/values/0", "lr/values/1")),
        Phase(start=10, names=("lr/values/2", "lr/values/3")),
    )
