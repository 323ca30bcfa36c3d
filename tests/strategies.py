"""Generators of schedules, spaces and studies, valid by construction."""

import json

from hypothesis import strategies as st

NUMBERS = st.sampled_from([0.1, 0.01, 0.05, 1e-3, 1.0, 2.0, 0.3, 0.0, -0.5, 1 / 3])
PERIODS = st.integers(1, 14)
SCALARS = st.sampled_from([32, 64, 128, 0.1, 0.01, 1, 0, 1.0])
CATEGORIES = st.sampled_from(["adam", "sgd", None, True, False, 1, 0, 0.5, [0.9, 0.999], [1, True]])


@st.composite
def milestones(draw, least=0, most=3):
    return sorted(draw(st.sets(st.integers(1, 20), min_size=least, max_size=most)))


def lines(name, **more):
    arguments = {"initial": NUMBERS, "final": NUMBERS, "period": PERIODS, **more}
    return st.fixed_dictionaries({"schedule": st.just(name), **arguments})


def leaves():
    """Schedules that nest none, as JSON; at least one for each row of the table of schedules."""
    return st.one_of(
        st.fixed_dictionaries(
            {
                "schedule": st.just("multistep"),
                "initial": NUMBERS,
                "gamma": NUMBERS,
                "milestones": milestones(),
            }
        ),
        st.fixed_dictionaries(
            {"schedule": st.just("step_decay"), "initial": NUMBERS, "gamma": NUMBERS, "every": PERIODS}
        ),
        st.fixed_dictionaries({"schedule": st.just("exponential"), "initial": NUMBERS, "gamma": NUMBERS}),
        lines("linear"),
        lines("polynomial", power=st.sampled_from([0.0, 0.5, 1.0, 2.0])),
        lines("cosine"),
        lines("cosine_restarts", multiplier=st.integers(1, 3)),
        st.fixed_dictionaries(
            {"schedule": st.just("cyclic"), "low": NUMBERS, "high": NUMBERS, "rise": PERIODS, "fall": PERIODS}
        ),
        st.fixed_dictionaries(
            {
                "schedule": st.just("one_cycle"),
                "peak": NUMBERS,
                "period": PERIODS,
                "warmup_fraction": st.sampled_from([0.0, 0.3, 0.5, 1.0]),
                "start_divisor": st.sampled_from([25.0, 2.0]),
                "end_divisor": st.just(1e4),
            }
        ),
        st.fixed_dictionaries(
            {
                "schedule": st.just("wsd"),
                "peak": NUMBERS,
                "warmup": st.integers(0, 4),
                "stable": st.integers(0, 6),
                "decay": st.integers(0, 6),
                "final": NUMBERS,
            }
        ),
        st.fixed_dictionaries(
            {"schedule": st.just("table"), "values": st.lists(SCALARS, min_size=1, max_size=6)}
        ),
    )


@st.composite
def piecewise(draw, parts):
    steps = draw(milestones(least=0, most=3))
    count = len(steps) + 1
    return {
        "schedule": "piecewise",
        "values": draw(st.lists(parts, min_size=count, max_size=count)),
        "milestones": steps,
    }


def nested(parts):
    return st.one_of(
        piecewise(parts),
        st.fixed_dictionaries(
            {"schedule": st.just("warmup"), "period": PERIODS, "after": parts, "initial": NUMBERS}
        ),
        st.fixed_dictionaries({"schedule": st.just("rounded"), "of": parts}),
    )


def schedules():
    """Numeric schedules of any depth, and plain numbers, as JSON."""
    return st.recursive(st.one_of(SCALARS, leaves()), nested, max_leaves=4)


def categorical():
    """Values of any kind, and schedules that step between them, as JSON."""
    return st.one_of(
        CATEGORIES,
        piecewise(CATEGORIES),
        st.fixed_dictionaries(
            {"schedule": st.just("table"), "values": st.lists(CATEGORIES, min_size=1, max_size=5)}
        ),
    )


def written(part):
    """A part of a space as a text, which is equal for what is written alike."""
    return json.dumps(part, sort_keys=True)


def options(**size):
    """What a grid chooses from, for one name; nothing is written twice, as that is one option."""
    size = {"min_size": 1, "max_size": 3, "unique_by": written} | size
    parts = (schedules(), categorical(), st.sampled_from([16, 32, 64]))
    return st.one_of(*(st.lists(each, **size) for each in parts))


def grids():
    """By name, the options of a grid, as JSON."""
    return st.dictionaries(st.sampled_from(["lr", "batch_size", "momentum", "a.b"]), options(), max_size=3)
