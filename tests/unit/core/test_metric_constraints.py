"""Constraints on metrics: what may be written, and what it comes to."""

import json
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippo_client import Study
from hippo_core import endings, policies, samplers, space
from hippo_core.choosing import choose
from hippo_core.errors import InvalidStudy
from hippo_core.metric_constraints import Bound, MetricConstraint, checked, feasibility, violation
from hippo_core.objective import Objective
from hippo_core.policies.pareto import Fronts, dominates
from hippo_core.policies.policy import improves, worth
from hippo_core.study import StudySpec
from hippo_core.study_changes import differences, extends
from tests.studies import study
from tests.unit.core.policy_calls import MARGINS
from tests.unit.core.policy_oracles import dominates as ought_to_dominate

FINITE = st.floats(-1e6, 1e6)
METRICS = st.fixed_dictionaries({name: st.none() | FINITE for name in "abc"})
ATOMS = st.sampled_from(["a", "b", "c", "2", "0.5", "10"])


def sums(atoms):
    joined = st.tuples(atoms, st.sampled_from(["+", "-", "*", "/"]), atoms)
    return joined.map(lambda parts: f"({' '.join(parts)})") | atoms.map(lambda each: f"-{each}")


SIDES = st.recursive(ATOMS, sums, max_leaves=4)


@given(SIDES, st.sampled_from(["<=", ">="]), SIDES, METRICS)
def test_it_is_violated_where_python_says_that_it_does_not_hold(left, sign, right, metrics):
    written = f"{left} {sign} {right}"
    if not set("abc") & set(written):
        return
    constraint = MetricConstraint(written)
    known = {name: math.nan if value is None else value for name, value in metrics.items()}
    try:
        holds = eval(written, {}, known)
        is_known = not math.isnan(eval(f"({left}) - ({right})", {}, known))
    except ZeroDivisionError:
        holds, is_known = False, False
    margin = constraint.margin(metrics)
    assert (margin <= 0) == holds or (is_known and abs(margin) < 1e-9)
    assert is_known or margin == math.inf
    assert (constraint.told(metrics) == "") == (margin <= 0)


@pytest.mark.parametrize(
    ("written", "metrics", "margin"),
    [
        ("latency <= 10", {"latency": 12.0}, 0.2),
        ("latency <= 10", {"latency": 5.0}, -0.5),
        ("latency <= 10", {"latency": 10.0}, 0.0),
        ("10 >= latency", {"latency": 12.0}, 0.2),
        ("accuracy >= 0.8", {"accuracy": 0.6}, 0.25),
        ("0.8 <= accuracy", {"accuracy": 0.6}, 0.25),
        ("drift >= -2", {"drift": -3.0}, 0.5),
        ("drift <= 0", {"drift": 3.0}, 3.0),
        ("train - test <= 0.5", {"train": 2.0, "test": 1.0}, 1.0),
        ("wait <= work", {"wait": 3.0, "work": 1.0}, 2.0),
        ("'top-5' >= 1", {"top-5": 0.5}, 0.5),
        ("net.latency <= 10", {"net.latency": 20.0}, 1.0),
        ("work / wait >= 2", {"work": 1.0, "wait": 0.0}, math.inf),
        ("latency <= 10", {"latency": None}, math.inf),
        ("latency <= 10", {}, math.inf),
        ("2 * a * a <= 4", {"a": 1e200}, math.inf),
    ],
)
def test_a_margin_is_in_terms_of_the_bound(written, metrics, margin):
    assert MetricConstraint(written).margin(metrics) == pytest.approx(margin)


def test_violations_add_up_and_what_holds_takes_nothing_away():
    assert violation((-3.0, 0.25, -math.inf, 0.5)) == 0.75
    assert violation((-1.0, 0.0)) == violation(()) == 0
    assert violation((0.5, math.inf)) == math.inf


def test_words_tell_what_is_violated_and_by_which_metrics():
    found = checked(["latency_ms <= 10", "train - test <= 0.5"])
    assert feasibility(found, {"latency_ms": 9.0, "train": 1.0, "test": 1.0}) == "feasible"
    assert (
        feasibility(found, {"latency_ms": 12.5, "train": 2.0, "test": None})
        == "latency_ms <= 10 violated: latency_ms 12.5; "
        "train - test <= 0.5 violated: train 2, test is not finite"
    )
    assert feasibility((), {"latency_ms": 9.0}) == ""


def test_a_bound_of_one_metric_is_known_as_such():
    assert MetricConstraint("latency <= 10").bound == Bound("latency", is_upper=True, value=10.0)
    assert MetricConstraint("-10 >= latency").bound == Bound("latency", is_upper=True, value=-10.0)
    assert MetricConstraint("0.9 <= accuracy").bound == Bound("accuracy", is_upper=False, value=0.9)
    assert MetricConstraint("a + b <= 10").bound is None
    assert MetricConstraint("a + b * a <= 10").metrics == ("a", "b")
    assert MetricConstraint("'nan' + nan.share <= 10").metrics == ("nan", "nan.share")


@pytest.mark.parametrize(
    ("given_", "message", "hint"),
    [
        ("latency <= 10", "must be a list", 'Write constraints=["latency_ms <= 10"].'),
        ([10], "must be texts", "Write"),
        (["latency < 10"], "excludes its own bound", "Write <= or >=."),
        (["latency == 10"], "is no bound", "one <= or >="),
        (["latency"], "is no bound", "one <= or >="),
        (["a <= 1 and b <= 2"], "is more than one constraint", "Give each by itself"),
        (["1 <= a <= 2"], "is more than one constraint", "Give each by itself"),
        (["a <= 1 or b <= 2"], "is no bound", "one <= or >="),
        (["latency <= "], "is not an expression", "one <= or >="),
        (["1 <= 2"], "names no metric", "one <= or >="),
        (["max(a, b) <= 2"], "has 'max(a, b)' in it", "one <= or >="),
        (["a ** 2 <= 2"], "has 'a ** 2' in it", "one <= or >="),
        (["a <= True"], "has 'True' in it", "one <= or >="),
        (["a <= 1e400"], "has '1e400' in it, which cannot stand there", "one <= or >="),
        (["a <= 1/0"], "has '1/0' in it, which is no finite number", "one <= or >="),
        (["a + 1e308 * 10 <= 2"], "has '1e308 * 10' in it, which is no finite number", "one <= or >="),
        (["a <= nan"], "has 'nan' in it, which is no finite number", "stands in quotes: \"'nan'\""),
        (["-Inf <= a"], "has 'Inf' in it, which is no finite number", "stands in quotes: \"'Inf'\""),
        (["top-5 <= 1", "top-5 <= 1 "], "is there twice", "Give it once."),
        ([f"a <= {bound}" for bound in range(33)], "there are 33", "at most 32"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(given_, message, hint):
    with pytest.raises(InvalidStudy) as caught:
        checked(given_)
    assert caught.value.field == "constraints"
    assert message in caught.value.message
    assert hint in caught.value.hint


# What is compared


@given(st.lists(st.tuples(*[st.sampled_from(MARGINS), *[st.integers(0, 3).map(float)] * 2]), max_size=12))
def test_fronts_are_those_of_constrained_domination(points):
    """Whoever is in a front is dominated by somebody of the front before, and by nobody of its own or of later ones."""
    fronts = Fronts()
    worths = [worth((*objectives, margin), (True, False)) for margin, *objectives in points]
    for number, each in enumerate(worths):
        fronts.add(each, number)
    order = list(fronts.ranked())
    assert sorted(order) == list(range(len(points)))
    for place, number in enumerate(order):
        assert fronts.place(number) == place
        assert not any(ought_to_dominate(worths[later], worths[number]) for later in order[place:])
    for one in worths:
        assert [dominates(one, other) for other in worths] == [
            ought_to_dominate(one, other) for other in worths
        ]


def test_an_improvement_is_less_violation_or_a_better_value():
    assert improves((0.1, 9.0), (0.2, 1.0), 0.5)
    assert not improves((0.2, 1.0), (0.1, 9.0), 0.5)
    assert not improves((0.1, 0.6), (0.1, 1.0), 0.5)
    assert improves((0.0, 0.4), (0.0, 1.0), 0.5)


# A study with constraints


def constrained(*constraints, **changes):
    return study({"lr": space.loguniform(1e-4, 1.0)}, constraints=constraints, **changes)


def test_a_study_reads_back_as_it_was_written():
    spec = constrained("latency_ms <= 10", " memory<=2e9")
    again = StudySpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert spec.to_json()["constraints"] == ["latency_ms <= 10", "memory<=2e9"]
    assert not differences(again, spec)
    assert differences(constrained("latency_ms <= 11"), constrained("latency_ms <= 10")) == [
        'constraints.0: "latency_ms <= 10" -> "latency_ms <= 11"'
    ]
    assert not extends(constrained("latency_ms <= 10"), constrained())


def test_a_study_looks_at_its_objectives_and_at_what_is_constrained():
    spec = constrained("latency <= 10", "accuracy >= 0.5", "recall >= 0.5", "a + b <= 1")
    assert [(each.metric, each.maximize) for each in spec.observed] == [
        ("accuracy", True),
        ("latency", False),
        ("recall", True),
        ("a", False),
        ("b", False),
    ]
    metrics = {"accuracy": 0.25, "latency": 15.0, "recall": 0.75, "a": 0.5, "b": None}
    assert spec.values(metrics) == (0.25, 0.5, 0.5, -0.5, math.inf)
    assert spec.worth((0.25, 0.5, 0.5, -0.5, 0.0)) == (1.0, -0.25)
    assert spec.values({**metrics, "accuracy": None}) is None


@given(st.integers(0, 2**32), st.integers(0, 3))
def test_worth_orders_as_constrained_domination_does(seed, constraints):
    drawn = random.Random(seed)
    for maximize in (True, False):
        one, other = (
            worth((float(drawn.randrange(3)), *drawn.choices(MARGINS, k=constraints)), (maximize,))
            for _ in range(2)
        )
        assert (one < other) == ought_to_dominate(one, other)


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"policy": policies.pb2(3)}, "the policy pb2 explores where", "policies.pbt()"),
        (
            {"sampler": samplers.cma_es(), "space": {"a": space.uniform(0, 1), "b": space.uniform(0, 1)}},
            "the sampler cma_es learns from the objective alone",
            "samplers.tpe()",
        ),
        (
            {"endings": (endings.terminator(),)},
            "the ending terminator estimates what can be gained in the objective",
            "endings.plateau(patience=...)",
        ),
    ],
)
def test_what_cannot_look_at_constraints_is_refused_beside_them(changes, message, hint):
    arguments = {"space": {"lr": space.loguniform(1e-4, 1.0)}, "max_trials": 8, **changes}
    study(**arguments)
    with pytest.raises(InvalidStudy) as caught:
        study(**arguments, constraints=("latency_ms <= 10",))
    assert caught.value.field == "constraints"
    assert message in caught.value.message
    assert hint in caught.value.hint


EVERY_POLICY = [
    policies.full(),
    policies.manual(),
    policies.sha(),
    policies.asha(),
    policies.asha(stopping=True),
    policies.hyperband(),
    policies.pasha(),
    policies.pbt(3),
    policies.median_stopping(),
    policies.percentile_stopping(),
    policies.patience(3),
    policies.threshold_stopping(0.5),
]


@pytest.mark.parametrize("policy", EVERY_POLICY, ids=lambda policy: policy.name)
def test_all_other_policies_take_them(policy):
    assert constrained("latency_ms <= 10", policy=policy, max_trials=8).constraints


def test_what_is_chosen_for_a_study_takes_them():
    chosen = choose(constrained("latency_ms <= 10", policy=policies.auto(), sampler=samplers.auto()), 8)
    assert chosen.constraints
    assert chosen.policy.constrained
    assert chosen.sampler.constrained


def test_a_study_file_writes_them_as_texts():
    made = Study("trainer:T", {"lr": 0.1}, maximize="accuracy", max_steps=3, name="s", constraints=["a <= 1"])
    assert made.spec().constraints == (MetricConstraint("a <= 1"),)
    assert replace(made.spec(), constraints=["a <= 1"]) == made.spec()


@pytest.mark.parametrize("word", ["outcome_constraints", "constraints_func", "constraint", "constraint_attr"])
def test_words_of_other_systems_name_ours(word):
    with pytest.raises(InvalidStudy, match="constraints=\\[") as caught:
        Study("trainer:T", {"lr": 0.1}, maximize="accuracy", max_steps=3, name="s", **{word: ["a <= 1"]})
    assert caught.value.field == word


def test_optunas_samplers_are_told_the_study_s():
    with pytest.raises(InvalidStudy, match="the constraints are the study's"):
        samplers.optuna("TPESampler", constraints_func=len)


def test_an_objective_may_be_constrained_too():
    spec = constrained("accuracy >= 0.5")
    assert spec.observed == (Objective(metric="accuracy", maximize=True),)
