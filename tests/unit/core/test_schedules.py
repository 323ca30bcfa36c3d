import json
import math
import warnings
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hippo_core import policies, schedules, space
from hippo_core.errors import InvalidStudy
from hippo_core.sequence import Sequence
from hippo_core.space import Space
from tests import oracle, strategies
from tests.studies import study

STEPS = 45


def sequence_of(schedule) -> Sequence:
    return study({"x": schedule}, max_steps=STEPS).sequence({})


def values(schedule, stop=STEPS):
    found = sequence_of(schedule)
    return [found.values(step)["x"] for step in range(stop)]


@given(strategies.schedules())
def test_every_schedule_has_the_values_of_the_straight_formula(schedule):
    spec = study(Space.from_json({"x": schedule}), max_steps=STEPS)
    sequence = spec.sequence({})
    kind = oracle.kind([schedule])
    assert spec.space.kinds["x"] == kind
    for step in range(STEPS):
        expected = oracle.value(schedule, step, kind)
        assert oracle.exact(sequence.values(step)["x"]) == oracle.exact(expected)


@given(strategies.schedules())
def test_json_is_accepted_back_and_gives_the_same_json(schedule):
    spec = study(Space.from_json({"x": schedule}), max_steps=STEPS)
    hyperparameters = json.loads(json.dumps(spec.hyperparameters({})))
    again = study(Space(hyperparameters), max_steps=STEPS)
    assert again.hyperparameters({}) == hyperparameters
    assert again.sequence({}) == spec.sequence({})


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (schedules.constant(0.5), [0.5, 0.5, 0.5, 0.5, 0.5]),
        (schedules.piecewise([1, 2, 3], [1, 3]), [1, 2, 2, 3, 3]),
        (schedules.multistep(0.1, gamma=0.1, milestones=[2, 4]), [0.1, 0.1, 0.01, 0.01, 0.001]),
        (schedules.step_decay(8, gamma=0.5, every=2), [8.0, 8.0, 4.0, 4.0, 2.0]),
        (schedules.exponential(1, gamma=0.5), [1.0, 0.5, 0.25, 0.125, 0.0625]),
        (schedules.linear(1, 0, period=4), [1.0, 0.75, 0.5, 0.25, 0.0]),
        (schedules.polynomial(1, 0, period=2, power=2), [1.0, 0.25, 0.0, 0.0, 0.0]),
        (schedules.cosine(1, 0, period=2), [1.0, 0.5, 0.0, 0.0, 0.0]),
        (schedules.cosine_restarts(1, 0, period=2), [1.0, 0.5, 1.0, 0.5, 1.0]),
        (schedules.cosine_restarts(1, 0, period=1, multiplier=2), [1.0, 1.0, 0.5, 1.0, 0.853553390593]),
        (schedules.cyclic(0, 1, rise=2, fall=1), [0.0, 0.5, 1.0, 0.0, 0.5]),
        (schedules.warmup(2, schedules.constant(0.3)), [0.1, 0.2, 0.3, 0.3, 0.3]),
        (schedules.wsd(0.2, warmup=1, stable=1, decay=1), [0.1, 0.2, 0.1, 0.0, 0.0]),
        (schedules.table([5, 7]), [5, 7, 7, 7, 7]),
        (schedules.from_function(lambda step: 2.0**step, period=3), [1.0, 2.0, 4.0, 4.0, 4.0]),
        (schedules.rounded(schedules.linear(0, 2, period=4)), [0, 0, 1, 2, 2]),
    ],
)
def test_the_rows_of_the_table_by_hand(schedule, expected):
    found = values(schedule, len(expected))
    assert [(type(each), each) for each in found] == [(type(each), each) for each in expected]


@pytest.mark.parametrize(
    ("fraction", "period"),
    # Where the first phase ends at step 0, PyTorch divides by zero.
    [(f, p) for f in (0.3, 0.5, 0.1, 0.9) for p in (2, 3, 5, 10, 33) if f * p != 1.0],
)
def test_one_cycle_is_that_of_pytorch(fraction, period):
    import torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=0.3, total_steps=period, pct_start=fraction
        )
        expected = []
        for _ in range(period):
            expected.append(oracle.digits(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            peer.step()
    assert values(schedules.one_cycle(0.3, period, warmup_fraction=fraction), period) == expected


@pytest.mark.parametrize(
    ("peer", "arguments", "schedule"),
    [
        ("StepLR", {"step_size": 4, "gamma": 0.3}, schedules.step_decay(0.2, 0.3, every=4)),
        ("MultiStepLR", {"milestones": [3, 7], "gamma": 0.3}, schedules.multistep(0.2, 0.3, [3, 7])),
        ("ExponentialLR", {"gamma": 0.9}, schedules.exponential(0.2, 0.9)),
        (
            "LinearLR",
            {"start_factor": 0.25, "end_factor": 0.75, "total_iters": 8},
            schedules.linear(0.2 * 0.25, 0.2 * 0.75, period=8),
        ),
        (
            "PolynomialLR",
            {"total_iters": 8, "power": 2.0},
            schedules.polynomial(0.2, 0.0, period=8, power=2.0),
        ),
        ("CosineAnnealingLR", {"T_max": 12, "eta_min": 0.01}, schedules.cosine(0.2, 0.01, period=12)),
        (
            "CosineAnnealingWarmRestarts",
            {"T_0": 3, "T_mult": 2, "eta_min": 0.01},
            schedules.cosine_restarts(0.2, 0.01, period=3, multiplier=2),
        ),
    ],
)
def test_schedules_are_those_of_pytorch_that_the_page_on_trainers_names(peer, arguments, schedule):
    import torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    scheduler = getattr(torch.optim.lr_scheduler, peer)(optimizer, **arguments)
    expected = []
    for _ in range(12):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert values(schedule, 12) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_one_cycle_first_phase_of_no_length_is_at_its_end():
    assert values(schedules.one_cycle(0.4, 2, warmup_fraction=0.5), 1) == [0.4]


def test_nested_schedules_count_from_their_part():
    inner = schedules.linear(1.0, 0.0, period=4)
    schedule = schedules.piecewise([1.0, inner], milestones=[2])
    assert values(schedule, 7) == [1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    assert values(schedules.warmup(1, inner), 5) == [0.5, 1.0, 0.75, 0.5, 0.25]


def test_values_have_twelve_digits_and_no_negative_zero():
    third = schedules.piecewise([0.1 + 0.2, 1 / 3, -0.0], milestones=[1, 2])
    assert values(third, 3) == [0.3, 0.333333333333, 0.0]
    assert math.copysign(1.0, values(third, 3)[2]) == 1.0


def test_a_schedule_is_compared_by_its_values_however_it_was_written():
    one = sequence_of(schedules.multistep(0.1, gamma=0.1, milestones=[30]))
    other = sequence_of(schedules.piecewise([0.1, 0.01], milestones=[30]))
    assert other.first_difference(one.laws(0), 0, 30) is None
    assert one.key(29) == other.key(29)
    assert one.key(30) == other.key(30)


@pytest.mark.parametrize(
    ("call", "field", "words"),
    [
        (lambda: schedules.multistep(0.1, 0.1, [30, 10]), "schedules.multistep.milestones", "increase"),
        (lambda: schedules.piecewise([1, 2, 3], [5, 5]), "schedules.piecewise.milestones", "increase"),
        (lambda: schedules.piecewise([1, 2], [-3]), "schedules.piecewise.milestones", "-3"),
        (lambda: schedules.multistep(0.1, 0.1, [0]), "schedules.multistep.milestones", "from 1 on"),
        (lambda: schedules.piecewise([1, 2], [3, 6]), "schedules.piecewise.values", "one value more"),
        (lambda: schedules.linear(math.nan, 0.0, 5), "schedules.linear.initial", "nan is not finite"),
        (lambda: schedules.piecewise([1.0, math.inf], [3]), "schedules.piecewise.values[1]", "not finite"),
        (lambda: schedules.table([1.0, math.nan]), "schedules.table.values[1]", "not finite"),
        (
            lambda: schedules.from_function(lambda t: 1.0 if t < 3 else math.inf, 5),
            "schedules.from_function.f(3)",
            "inf is not finite",
        ),
        (lambda: schedules.table([]), "schedules.table.values", "empty"),
        (lambda: schedules.cosine(0.1, 0.0, 0), "schedules.cosine.period", "at least 1"),
        (lambda: schedules.cosine(0.1, 0.0, 2.0), "schedules.cosine.period", "Write 2"),
        (lambda: schedules.cosine(0.1, 0.0, True), "schedules.cosine.period", "must be an int"),
        (lambda: schedules.cosine("a", 0.0, 3), "schedules.cosine.initial", "must be a number"),
        (lambda: schedules.cosine(0.1, eta_min=0.0, period=3), "schedules.cosine", "Use final"),
        (lambda: schedules.cosine(0.1, 0.0, T_max=3), "schedules.cosine", "Use period"),
        (lambda: schedules.step_decay(0.1, 0.1, step_size=3), "schedules.step_decay", "Use every"),
        (lambda: schedules.cosine(0.1, 0.0), "schedules.cosine", "needs the argument 'period'"),
        (lambda: schedules.cosine(0.1, 0.0, 3, 4), "schedules.cosine", "takes 3 arguments"),
        (lambda: schedules.cosine(0.1, 0.0, perod=3), "schedules.cosine", "Did you mean 'period'"),
        (
            lambda: schedules.one_cycle(0.1, 5, warmup_fraction=1.5),
            "schedules.one_cycle.warmup_fraction",
            "0 to 1",
        ),
        (
            lambda: schedules.one_cycle(0.1, 5, start_divisor=0),
            "schedules.one_cycle.start_divisor",
            "above 0",
        ),
        (lambda: schedules.polynomial(1, 0, 5, power=-1), "schedules.polynomial.power", "at least 0"),
        (lambda: schedules.wsd(0.1, warmup=-1, stable=1, decay=1), "schedules.wsd.warmup", "at least 0"),
        (lambda: schedules.warmup(3, "fast"), "schedules.warmup.after", "must be a number"),
        (lambda: schedules.rounded(schedules.table(["a"])), "schedules.rounded.of", "must be a number"),
        (lambda: schedules.piecewise([1, {"a": 2}], [3]), "schedules.piecewise.values[1]", "dict"),
        (lambda: schedules.piecewise([1, [2, 3]], [3]), "schedules.piecewise.values[1]", "space.choice"),
        (lambda: schedules.linear(0.1, 0.0, space.uniform(1, 9)), "schedules.linear.period", "space.integer"),
        (lambda: schedules.piecewise("ab", [3]), "schedules.piecewise.values", "must be a list"),
    ],
)
def test_wrong_calls_name_the_argument_and_the_remedy(call, field, words):
    with pytest.raises(InvalidStudy) as caught:
        call()
    assert caught.value.field == field
    assert words in str(caught.value)


@given(
    strategies.schedules(),
    strategies.schedules(),
    st.integers(0, 40),
    st.integers(0, 300),
)
@example(
    {"schedule": "linear", "initial": 1.0, "final": 0.0, "period": 3},
    {
        "schedule": "piecewise",
        "values": [{"schedule": "linear", "initial": 1.0, "final": 0.0, "period": 3}, 0.1],
        "milestones": [260],
    },
    0,
    300,
)
def test_the_first_difference_is_that_of_brute_force(one, other, start, length):
    spec = study(Space.from_json({"x": {"domain": "choice", "options": [one, other]}}), max_steps=STEPS)
    last = spec.space.domains["x"].size - 1  # 0 where both are written alike
    first, second = spec.sequence({"x": 0}), spec.sequence({"x": last})
    laws = first.laws(start)
    stop = start + length
    expected = next((step for step in range(start, stop) if laws.values(step) != second.values(step)), None)
    assert second.first_difference(laws, start, stop) == expected


@given(strategies.schedules(), st.integers(0, 40), st.integers(1, 60))
def test_changes_are_the_steps_at_which_the_values_differ_from_those_before(schedule, start, length):
    laws = sequence_of_json(schedule).laws(start)
    stop = start + length
    expected = [(start, laws.values(start))]
    expected += [
        (step, laws.values(step))
        for step in range(start + 1, stop)
        if laws.values(step) != laws.values(step - 1)
    ]
    found = laws.changes(start, stop)
    assert [(step, values) for step, values, _ in found] == expected
    for (_, before, _), (_, values, names) in pairwise(found):
        assert [name for name in values if values[name] != before[name]] == list(names)


def sequence_of_json(schedule):
    return study(Space.from_json({"x": schedule}), max_steps=STEPS).sequence({})


@given(strategies.schedules(), st.integers(0, 40))
def test_laws_survive_json(schedule, step):
    laws = sequence_of_json(schedule).laws(step)
    again = type(laws).from_json(json.loads(json.dumps(laws.to_json())))
    assert again == laws
    assert again.key(step) == laws.key(step)


@pytest.mark.parametrize(
    ("write", "hint"),
    [
        (
            lambda: schedules.multistep(0.1, gamma=0.1, milestones=[-3]),
            "Leave it out: a milestone is the first step",
        ),
        (lambda: schedules.cosine(0.1, 0.0, period=0), "Give 1 or more."),
        (lambda: schedules.cosine(0.1, 0.0, period=2.5), "Give a whole number."),
        (lambda: schedules.cosine(0.1, 0.0, period=2.0), "Write 2."),
        (lambda: schedules.constant(float("nan")), "Give a finite number."),
        (lambda: schedules.cosine("much", 0.0, period=3), "Write a number, such as 0.1."),
        (lambda: schedules.piecewise(0.1, milestones=[3]), "Write [...] around it."),
        (lambda: policies.asha(reduction_factor=1), "Give 2 or more."),
    ],
)
def test_what_is_refused_is_told_with_the_remedy(write, hint):
    with pytest.raises(InvalidStudy) as refused:
        write()
    assert refused.value.hint.startswith(hint)
