import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippo_core import schedules, space
from hippo_core.laws import BLOCK
from hippo_core.sequence import Laws
from tests import strategies
from tests.studies import grid_of_options, study

AROUND_BLOCKS = [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1, 3 * BLOCK]


def sequence(**hyperparameters):
    return study(hyperparameters, max_steps=5 * BLOCK).sequence({})


def brute_force(one: Laws, other, start, stop):
    return next((step for step in range(start, stop) if one.values(step) != other.values(step)), None)


@pytest.mark.parametrize("at", AROUND_BLOCKS)
@pytest.mark.parametrize("start", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_a_difference_is_found_at_any_place_within_and_between_blocks(at, start):
    """Both as the last value of a table, where it settles, and as the only other value in the middle of one."""
    base = [1.0] * (4 * BLOCK)
    last = sequence(x=schedules.table([*base[:at], 2.0]))
    middle = sequence(x=schedules.table([*base[:at], 2.0, *base[at:]]))
    laws = sequence(x=1.0).laws(0)
    for other, found in ((last, max(at, start)), (middle, at if at >= start else None)):
        assert other.first_difference(laws, start, 4 * BLOCK) == found
        assert other.first_difference(laws, start, at) is None
        assert laws.first_difference(other.laws(0), start, 4 * BLOCK) == found


@pytest.mark.parametrize("first", AROUND_BLOCKS)
@pytest.mark.parametrize("second", AROUND_BLOCKS)
def test_the_first_of_several_differences_counts(first, second):
    laws = sequence(a=1.0, b=2.0).laws(0)
    smooth = sequence(a=schedules.table([1.0] * first + [0.0]), b=schedules.table([2.0] * second + [0.0]))
    stepped = sequence(
        a=schedules.piecewise([1.0, 0.0], milestones=[first]),
        b=schedules.piecewise([2.0, 0.0], milestones=[second]),
    )
    for other in (smooth, stepped):
        assert other.first_difference(laws, 0, 5 * BLOCK) == min(first, second)


@given(strategies.grids(), st.integers(0, 30), st.integers(0, 200), st.data())
def test_the_first_difference_of_sequences_is_that_of_brute_force(options, start, length, data):
    spec = grid_of_options(options, max_trials=1, max_steps=1)
    points = [{name: data.draw(st.integers(0, len(options[name]) - 1)) for name in options} for _ in range(2)]
    one, other = (spec.sequence(point) for point in points)
    laws = one.laws(start)

    def typed(values):
        return {name: (type(value), repr(value)) for name, value in values.items()}

    expected = next(
        (
            step
            for step in range(start, start + length)
            if typed(laws.values(step)) != typed(other.values(step))
        ),
        None,
    )
    assert other.first_difference(laws, start, start + length) == expected
    for step in (start, start + length):
        same = typed(laws.values(step)) == typed(other.values(step))
        assert (laws.key(step) == other.key(step)) == same


def test_other_names_differ_at_once():
    laws = sequence(a=1.0).laws(0)
    assert sequence(a=1.0, b=2.0).first_difference(laws, 7, 9) == 7
    assert sequence(b=1.0).key(0) != sequence(a=1.0).key(0)


def test_a_law_that_settled_is_compared_for_ever_at_once():
    """A horizon of 2**40 steps is answered from the steps up to where both are constant."""
    line = sequence(x=schedules.linear(1.0, 0.0, 10))
    assert line.first_difference(sequence(x=0.0).laws(0), 10, 2**40) is None
    table = sequence(x=schedules.table([0.0] * 300 + [1.0]))
    assert table.first_difference(line.laws(0), 10, 2**40) == 300


def test_laws_are_in_force_from_their_step_on_and_can_be_evaluated_beyond():
    stepped = sequence(lr=schedules.piecewise([0.1, 0.01], milestones=[3]), momentum=0.9)
    assert stepped.laws(2).values(100) == {"lr": 0.1, "momentum": 0.9}
    assert stepped.laws(3).values(3) == {"lr": 0.01, "momentum": 0.9}
    assert stepped.names == ("lr", "momentum")


def test_laws_are_one_object_and_survive_pickle_and_copy():
    one = sequence(lr=schedules.cosine(0.1, 0.0, 9), n=3)
    other = sequence(lr=schedules.cosine(0.1, 0.0, 9), n=3)
    assert one.laws(0) is other.laws(0)
    assert pickle.loads(pickle.dumps(one.laws(0))) is one.laws(0)
    assert copy.deepcopy(one) == one
    assert hash(one) == hash(other)


def test_values_that_are_equal_but_of_other_types_differ():
    spec = study({"x": space.choice([1, True, 1.0, "1", (1,), (True,), (1.0,), None])})
    keys = [spec.sequence({"x": index}).key(0) for index in range(8)]
    assert len(set(keys)) == 8


def test_laws_json_keeps_types_through_a_store_that_loses_points():
    """A JSON store may give 1e+22 back as an int."""
    laws = sequence(x=1e22, y=schedules.table([1e16, 2.0]), z=("a", 1e300)).laws(0)
    assert laws.to_json() == {
        "x": {"float": "1e+22"},
        "y": {"law": "table", "values": [{"float": "1e+16"}, 2.0], "from": 0},
        "z": ["a", {"float": "1e+300"}],
    }
    assert Laws.from_json(laws.to_json()) == laws


def test_a_trial_without_hyperparameters_has_laws_too():
    empty = study({}).sequence({})
    assert empty.values(5) == {}
    assert empty.laws(0).changes(0, 9) == [(0, {}, ())]
    assert Laws.from_json(empty.laws(0).to_json()) == empty.laws(0)
