import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippo_core import samplers, schedules, space
from hippo_core.errors import InvalidStudy
from hippo_core.space import Space
from hippo_core.values import Kind
from tests import oracle, strategies
from tests.studies import grid, grid_of_options, study

UNIFORMS = st.floats(0, 1, exclude_max=True)


def points(entries):
    """The hyper-parameters of all points of a grid, in order."""
    spec = grid(entries)
    return [spec.hyperparameters(spec.point(number)) for number in range(spec.max_trials)]


def test_a_grid_combines_all_options_by_name_the_last_one_fastest():
    assert points({"b": space.choice([1, 2]), "a": space.choice(["x", "y"])}) == [
        {"a": "x", "b": 1},
        {"a": "x", "b": 2},
        {"a": "y", "b": 1},
        {"a": "y", "b": 2},
    ]


def test_nested_dicts_join_their_names_with_dots():
    built = Space({"optimizer": {"momentum": 0.9, "inner": {"eps": 1e-8}}, "lr": 0.1})
    assert list(built.entries) == ["lr", "optimizer.inner.eps", "optimizer.momentum"]


def test_a_choice_of_dicts_is_a_conditional_sub_space():
    entries = {
        "optimizer": space.choice(
            [
                {"name": "sgd", "momentum": space.choice([0.8, 0.9])},
                {"name": "adam"},
            ]
        ),
        "lr": 0.1,
    }
    assert points(entries) == [
        {"lr": 0.1, "optimizer.momentum": 0.8, "optimizer.name": "sgd"},
        {"lr": 0.1, "optimizer.momentum": 0.9, "optimizer.name": "sgd"},
        {"lr": 0.1, "optimizer.name": "adam"},
    ]
    assert Space(entries).kinds == {
        "lr": Kind.FLOAT,
        "optimizer.momentum": Kind.FLOAT,
        "optimizer.name": Kind.CATEGORICAL,
    }


def test_sub_spaces_nest():
    inner = space.choice([{"beta": 0.9}, {"beta": 0.99, "warm": True}])
    entries = {"optimizer": space.choice([{"adam": inner}, {}])}
    assert points(entries) == [
        {"optimizer.adam.beta": 0.9},
        {"optimizer.adam.beta": 0.99, "optimizer.adam.warm": True},
        {},
    ]


def test_a_domain_is_named_by_its_place():
    entries = {
        "lr": space.choice(
            [
                0.1,
                schedules.warmup(space.integer(1, 3), 0.1),
                schedules.piecewise([0.1, space.loguniform(1e-4, 5e-2)], milestones=[space.integer(4, 9)]),
            ]
        ),
        "optimizer": {"eps": space.uniform(0, 1), "kind": space.choice([{"m": space.uniform(0, 1)}])},
        "seed": space.integer(0, 9, name="my seed"),
    }
    assert sorted(Space(entries).domains) == [
        "lr",
        "lr/1/period",
        "lr/2/milestones/0",
        "lr/2/values/1",
        "my seed",
        "optimizer.eps",
        "optimizer.kind",
        "optimizer.kind/0.m",
    ]


def test_the_same_object_is_one_draw_wherever_it_stands():
    lr = space.choice([0.1, 0.2])
    assert points({"a": lr, "b": schedules.piecewise([lr, 0.0], milestones=[3])}) == [
        {"a": value, "b": {"schedule": "piecewise", "values": [value, 0.0], "milestones": [3]}}
        for value in (0.1, 0.2)
    ]


def test_equal_domains_of_one_name_are_one_draw_and_others_are_refused():
    assert len(points({"a": space.choice([1, 2], name="x"), "b": space.choice([1, 2], name="x")})) == 2
    with pytest.raises(InvalidStudy, match="two different domains are named 'x'"):
        Space({"a": space.choice([1, 2], name="x"), "b": space.choice([1, 3], name="x")})


def test_a_space_survives_json_whatever_order_a_store_gives_its_keys():
    entries = {
        "lr": space.choice([0.1, schedules.warmup(3, space.loguniform(1e-4, 0.1)), None]),
        "bs": space.integer(1, 9),
        "o": space.choice([{"a": space.quniform(0, 1, 0.25)}, {"b": (1, "x")}]),
        "big": 1e22,
    }
    shared = space.logint(1, 100)
    entries["shared"], entries["again"] = shared, schedules.table([shared, 3])
    built = Space(entries)
    text = json.dumps(built.to_json())
    again = Space.from_json(dict(reversed(json.loads(text).items())))
    assert again == built
    assert json.dumps(again.to_json()) == text
    assert again.kinds == built.kinds
    for number in range(20):
        assert samplers.random().point(again, 7, number) == samplers.random().point(built, 7, number)


@given(strategies.grids())
def test_the_kinds_follow_from_what_is_written(options):
    spec = grid_of_options(options, max_trials=1, max_steps=1)
    assert spec.space.kinds == {name: oracle.kind(each) for name, each in sorted(options.items())}


@pytest.mark.parametrize(
    ("part", "kind", "values"),
    [
        (space.choice([1, 2]), Kind.INT, [1, 2]),
        (space.choice([1, 0.1]), Kind.FLOAT, [1.0, 0.1]),
        (space.choice([1, 2], type=float), Kind.FLOAT, [1.0, 2.0]),
        (space.choice([1, "a", 0.5]), Kind.CATEGORICAL, [1, "a", 0.5]),
        (space.choice([True, False]), Kind.CATEGORICAL, [True, False]),
        (space.choice([None, 1.0]), Kind.CATEGORICAL, [None, 1.0]),
        (space.choice([(1, 2.0), (3, "x")]), Kind.CATEGORICAL, [(1, 2.0), (3, "x")]),
        (space.choice([schedules.piecewise([1, 2], milestones=[30])]), Kind.INT, [1]),
        (space.choice([schedules.multistep(1, 2, milestones=[30])]), Kind.FLOAT, [1.0]),
        (space.choice([1, schedules.warmup(1, 3)]), Kind.FLOAT, [1.0, 1.5]),
        (space.choice([1, schedules.rounded(schedules.linear(1.6, 0.0, 9))]), Kind.INT, [1, 2]),
        (space.choice([0.5, schedules.rounded(1.6)]), Kind.FLOAT, [0.5, 2.0]),
        (space.integer(3, 4), Kind.INT, [3, 4]),
        (space.logint(1, 2), Kind.INT, [1, 2]),
        (space.quniform(0, 1, 0.5), Kind.FLOAT, [0.0, 0.5, 1.0]),
        (schedules.rounded(2.5), Kind.INT, [2]),
        (schedules.rounded(3.5), Kind.INT, [4]),
        (schedules.table([True, 1]), Kind.CATEGORICAL, [True]),
    ],
)
def test_kinds_and_the_values_handed_out(part, kind, values):
    spec = grid({"x": part})
    assert spec.space.kinds == {"x": kind}
    found = [spec.sequence(spec.point(number)).values(0)["x"] for number in range(spec.max_trials)]
    assert [oracle.exact(each) for each in found] == [oracle.exact(each) for each in values]


@pytest.mark.parametrize(
    "domain",
    [
        space.uniform(-1, 3),
        space.loguniform(1e-5, 0.1),
        space.quniform(0.1, 1.0, 0.3),
        space.integer(-3, 5),
        space.logint(1, 1000),
        space.choice(["a", "b", "c"]),
        space.integer(2, 2),
    ],
)
@given(uniform=UNIFORMS)
def test_draws_lie_in_their_domain(domain, uniform):
    drawn = domain.draw(uniform)
    assert domain.holds(drawn)
    if isinstance(drawn, float):
        assert drawn in {oracle.digits(drawn), domain.low, domain.high}


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (space.integer(2, 4), [2, 3, 4]),
        (space.logint(1, 3), [1, 2, 3]),
        (space.quniform(0, 0.3, 0.1), [0.0, 0.1, 0.2, 0.3]),
        (space.quniform(0, 0.35, 0.1), [0.0, 0.1, 0.2, 0.3]),
        (space.integer(2, 2), [2]),
        (space.uniform(2, 3), None),
        (space.loguniform(2, 3), None),
    ],
)
def test_what_can_be_listed(domain, expected):
    found = None if domain.size is None else [domain.item(index) for index in range(domain.size)]
    assert found == expected


def test_lists_may_be_arrays_and_ranges():
    entries = {
        "lr": space.choice(np.array([0.5, 0.25])),
        "n": space.choice(range(2, 4)),
        "decayed": schedules.multistep(np.float64(1.0), 0.5, milestones=range(1, 7, 3)),
    }
    spec = grid(entries)
    assert [spec.sequence(spec.point(number)).values(4) for number in range(4)] == [
        {"decayed": 0.25, "lr": lr, "n": n} for lr in (0.5, 0.25) for n in (2, 3)
    ]


def test_draws_cover_a_finite_domain_evenly():
    domain = space.integer(0, 3)
    counts = [0] * 4
    for index in range(400):
        counts[domain.draw(index / 400)] += 1
    assert counts == [100] * 4


def test_a_large_finite_space_is_listed_only_as_far_as_it_is_used():
    entries = {f"x{index}": space.integer(0, 1_000_000) for index in range(5)}
    spec = grid(entries, max_trials=3)
    assert [spec.point(number)["x4"] for number in range(3)] == [0, 1, 2]


def test_random_draws_depend_on_seed_number_and_name_alone():
    one = study({"a": space.uniform(0, 1)}, max_trials=2)
    more = study({"a": space.uniform(0, 1), "b": space.uniform(0, 1)}, max_trials=2)
    assert one.point(1)["a"] == more.point(1)["a"] != one.point(0)["a"]
    seeded = study({"a": space.uniform(0, 1)}, program_changes={"seed": 1})
    assert seeded.point(0)["a"] != one.point(0)["a"]


def test_random_draws_never_change_between_releases():
    spec = study({"a": space.uniform(0, 1), "b": space.loguniform(1e-4, 1.0), "c": space.choice([1, 2, 3])})
    assert [spec.point(number) for number in range(3)] == RECORDED


RECORDED = [
    {"a": 0.249115266027, "b": 0.38625552384, "c": 2},
    {"a": 0.63811298776, "b": 0.0201855581887, "c": 0},
    {"a": 0.142856891198, "b": 0.975487107858, "c": 1},
]


@pytest.mark.parametrize(
    ("call", "field", "words"),
    [
        (lambda: Space([0.1]), "space", "must be a dict"),
        (lambda: Space({"lr": [0.1, 0.2]}), "space['lr']", "space.choice"),
        (lambda: Space({"lr": object()}), "space['lr']", "or a domain"),
        (lambda: Space({"lr": np.zeros(10_000)}), "space['lr']", "is a ndarray"),
        (lambda: Space({"lr": float("inf")}), "space['lr']", "not finite"),
        (lambda: Space({"a/b": 1}), "space", "without '/'"),
        (lambda: Space({"": 1}), "space", "not a name"),
        (lambda: Space({3: 1}), "space", "not a name"),
        (lambda: Space({"x": "a\0b"}), "space['x']", "not valid text"),
        (lambda: Space({"a": {"b": 1}, "a.b": 2}), "space", "'a.b' stands there twice"),
        (lambda: Space({"a": 1, "a.b": 2}), "space", "'a' is a value"),
        (lambda: Space({"a": space.choice([{"b": 1}]), "a.b": 2}), "space", "'a.b' stands there twice"),
        (lambda: Space({"a": space.choice([{"b": 1}, 3])}), "space['a']", "only dicts"),
        (
            lambda: Space({"a": schedules.table([space.choice([{"b": 1}])])}),
            "space['a']",
            "a dict cannot stand",
        ),
        (lambda: Space({"a": space.choice([space.choice([{"b": 1}])])}), "space['a']", "a dict cannot stand"),
        (lambda: Space({"lr": {"schedule": "cosin"}}), "space['lr']", "Did you mean 'cosine'"),
        (
            lambda: Space({"lr": {"schedule": "exponential", "gama": 1}}),
            "space['lr']",
            "Did you mean 'gamma'",
        ),
        (lambda: Space({"lr": {"schedule": "exponential", "gamma": 1}}), "space['lr']", "needs the argument"),
        (lambda: Space({"lr": {"domain": "unifrom"}}), "space['lr']", "Did you mean 'uniform'"),
        (lambda: Space({"float": 1}), "space", "cannot be a name"),
        (
            lambda: Space({"lr": schedules.warmup(3, space.choice(["a", 1]))}),
            "space['lr']",
            "warmup needs numbers",
        ),
        (lambda: Space({"lr": space.choice([0.5, 1], type=int)}), "space['lr']", "of type int"),
        (lambda: Space({"lr": space.choice(["a"], type=float)}), "space['lr']", "of type float"),
        (lambda: space.choice([]), "space.choice.options", "empty"),
        (lambda: space.choice("abc"), "space.choice.options", "must be a list"),
        (lambda: space.choice(values=[1]), "space.choice", "Use options"),
        (lambda: space.choice([1], type=str), "space.choice.type", "float or int"),
        (lambda: space.uniform(2, 1), "space.uniform.high", "above low, 2.0, not 1.0"),
        (lambda: space.uniform(lower=1, upper=2), "space.uniform", "Use low"),
        (lambda: space.uniform(0, float("nan")), "space.uniform.high", "not finite"),
        (lambda: space.loguniform(0, 1), "space.loguniform.low", "above 0"),
        (lambda: space.logint(0, 1), "space.logint.low", "at least 1"),
        (lambda: space.integer(0.5, 1), "space.integer.low", "must be an int"),
        (lambda: space.quniform(0, 1, 0), "space.quniform.q", "above 0"),
        (lambda: space.quniform(0, 1, step=1), "space.quniform", "Use q"),
        (lambda: space.uniform(0, 1, name=""), "space.uniform.name", "not empty"),
        (lambda: space.end_of(""), "space.end_of.name", "name"),
        (lambda: samplers.grid(seed=1), "samplers.grid", "no argument 'seed'"),
        (lambda: samplers.random(seed=1), "samplers.random", "which is the study's"),
        (lambda: samplers.from_json({"sampler": "best"}), "sampler", "no sampler 'best'"),
        (lambda: samplers.from_json({"sampler": "grid", "points": 3}), "samplers.grid", "'points'"),
    ],
)
def test_wrong_spaces_name_the_place_and_the_remedy(call, field, words):
    with pytest.raises(InvalidStudy) as caught:
        call()
    assert caught.value.field == field
    assert words in str(caught.value)


def test_an_assignment_that_cannot_be_drawn_is_refused():
    built = Space({"lr": space.choice([0.1, 0.2]), "n": space.integer(1, 3)})
    for wrong in ({"lr": 2, "n": 1}, {"lr": 0}, {"lr": 0, "n": 1.5}, {"lr": True, "n": 1}):
        with pytest.raises(InvalidStudy, match="cannot be drawn"):
            built.resolve(wrong)


@given(strategies.options(unique_by=None, max_size=6))
def test_what_is_written_twice_is_one_option_and_a_warning(options):
    spec = grid_of_options({"x": options}, max_trials=1, max_steps=1)
    distinct = {strategies.written(option) for option in options}
    assert spec.space.domains["x"].size == len(distinct)
    assert any("written more than once" in each for each in spec.warnings) == (len(distinct) < len(options))


@pytest.mark.parametrize(
    ("branches", "found"), [([1, 2], (12, True)), ([{}, {"c": space.integer(1, 5)}], (12, False))]
)
def test_how_many_points_there_are_at_least_is_known_without_listing_them(branches, found):
    built = Space({"a": space.integer(1, 3), "b": space.integer(1, 2), "o": space.choice(branches)})
    assert built.fewest() == found
    count = sum(1 for _ in built.assignments())
    assert count == found[0] if found[1] else count > found[0]


@given(strategies.grids())
def test_a_grid_has_each_combination_once(options):
    spec = grid_of_options(options, max_trials=1, max_steps=1)
    names = sorted(options)
    expected = [
        dict(zip(names, chosen, strict=True))
        for chosen in itertools.product(*(range(len(options[name])) for name in names))
    ]
    assert list(spec.space.assignments()) == expected
