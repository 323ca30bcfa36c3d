import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippo_core import samplers, schedules, space
from hippo_core.constraints import Constraint
from hippo_core.errors import InvalidStudy
from hippo_core.space import Space
from tests.studies import grid, study

NAMES = st.sampled_from(["a", "b", "c"])
LITERALS = st.integers(0, 5).map(str)


def sums(atoms):
    joined = st.tuples(atoms, st.sampled_from(["+", "-", "*", "/", "//", "%"]), atoms)
    return joined.map(lambda parts: f"({' '.join(parts)})") | atoms.map(lambda each: f"-{each}")


NUMBERS = st.recursive(NAMES | LITERALS, sums, max_leaves=4)
COMPARISONS = st.tuples(NUMBERS, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS).map(" ".join)


def junctions(parts):
    joined = st.tuples(parts, st.sampled_from(["and", "or"]), parts)
    return joined.map(lambda words: f"({' '.join(words)})") | parts.map(lambda each: f"not ({each})")


@given(st.recursive(COMPARISONS, junctions, max_leaves=4), st.tuples(*[st.integers(-3, 3)] * 3))
def test_an_expression_has_the_value_that_python_gives_it(expression, numbers):
    values = dict(zip("abc", numbers, strict=True))
    try:
        expected = bool(eval(expression, {}, values))
    except ZeroDivisionError:
        expected = None
    if expected is not None:
        assert Constraint(expression=expression).holds(values) == expected
    elif set(values) == Constraint(expression=expression).names:
        assert not Constraint(expression=expression).holds(values)


def test_a_grid_leaves_out_what_does_not_satisfy():
    entries = {
        "warmup": space.integer(1, 4),
        "decay": space.integer(1, 4),
        "fits": space.constraint("warmup + decay <= 4"),
    }
    spec = grid(entries)
    found = {(point["warmup"], point["decay"]) for point in map(spec.point, range(spec.max_trials))}
    assert found == {pair for pair in itertools.product(range(1, 5), repeat=2) if sum(pair) <= 4}
    assert list(spec.space.kinds) == ["decay", "warmup"]
    assert spec.hyperparameters(spec.point(0)) == {"decay": 1, "warmup": 1}


def test_random_draws_again_and_other_trials_are_as_without_it():
    entries = {"a": space.uniform(0, 1), "b": space.uniform(0, 1)}
    free = study(entries, max_trials=50)
    bound = study({**entries, "ordered": space.constraint("a < b")}, max_trials=50)
    for number in range(50):
        point = bound.point(number)
        assert point["a"] < point["b"]
        if free.point(number)["a"] < free.point(number)["b"]:
            assert point == free.point(number)


def test_draws_within_schedules_can_be_constrained():
    first, second = space.integer(1, 20, name="first"), space.integer(1, 20, name="second")
    spec = study(
        {
            "lr": schedules.multistep(0.1, 0.1, milestones=[first, second]),
            "order": space.constraint("first < second"),
        },
        max_trials=40,
    )
    for number in range(40):
        milestones = spec.hyperparameters(spec.point(number))["lr"]["milestones"]
        assert milestones[0] < milestones[1]


def test_a_constraint_applies_only_where_all_its_names_are_there():
    entries = {
        "optimizer": space.choice([{"momentum": space.choice([0.5, 0.9])}, {"beta": 0.9}]),
        "lr": space.choice([0.1, 1.0]),
        "gentle": space.constraint("lr * optimizer.momentum < 0.6"),
    }
    spec = grid(entries)
    assert [spec.hyperparameters(spec.point(number)) for number in range(spec.max_trials)] == [
        {"lr": 0.1, "optimizer.momentum": 0.5},
        {"lr": 0.1, "optimizer.momentum": 0.9},
        {"lr": 0.1, "optimizer.beta": 0.9},
        {"lr": 1.0, "optimizer.momentum": 0.5},
        {"lr": 1.0, "optimizer.beta": 0.9},
    ]


def test_constraints_survive_json():
    built = Space({"a": space.integer(1, 9), "small": space.constraint("a < 5")})
    again = Space.from_json(json.loads(json.dumps(built.to_json())))
    assert again == built
    assert samplers.grid().count(again) == 4


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true') == 0",
        "a.__class__ < [1]",
        "a ** 9 < 1",
        "a < (1, 2)",
        "a if b else c < 1",
        "a < 'x'",
        "a < True",
        "a in b",
        "(lambda: 1)() < 2",
        "f(a) < 1",
        "a[0] < 1",
        "~a < 1",
        "a << 2 < 1",
        "[x for x in a] < 1",
        "(a := 1) < 2",
        "f'{a}' < 1",
        "a +",
        "",
        "a + b",
        "a",
        "1",
        "(" * 400 + "a < 1" + ")" * 400,
        "a < 1" + " " * 600,
        "a < 1; b",
        "a \0 < 1",
    ],
)
def test_nothing_else_can_stand_in_one(expression):
    with pytest.raises(InvalidStudy) as caught:
        space.constraint(expression)
    assert caught.value.field == "space.constraint"
    assert "Names, numbers" in caught.value.hint


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Space({"ab": 1, "c": space.constraint("ba < 2")}), "there is no 'ba'"),
        (lambda: Space({"a": "x", "c": space.constraint("a < 2")}), "not always a plain number"),
        (lambda: Space({"a": schedules.exponential(1, 1), "c": space.constraint("a < 2")}), "plain number"),
        (lambda: Space({"a": space.choice([{"b": 1, "c": space.constraint("a.b < 2")}])}), "in a branch"),
        (lambda: Space({"a": space.choice([space.constraint("a < 2")])}), "Constraint"),
        (
            lambda: study({"a": space.uniform(0, 1), "c": space.constraint("a > 2")}),
            "do not satisfy the constraints",
        ),
        (lambda: grid({"a": space.choice([1, 2]), "c": space.constraint("a > 2")}), "no point of the grid"),
    ],
)
def test_constraints_that_cannot_work_are_refused(call, words):
    with pytest.raises(InvalidStudy) as caught:
        call()
    assert words in str(caught.value)
