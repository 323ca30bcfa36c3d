import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippo_core import policies, samplers, schedules, space
from hippo_core.errors import InvalidStudy
from hippo_core.objective import Objective
from hippo_core.program import Resources
from hippo_core.retention import Keep
from hippo_core.space import Space
from hippo_core.study import StudySpec
from hippo_core.study_changes import differences
from tests import strategies
from tests.studies import grid, grid_of_options, program, study


def through_json(spec):
    return StudySpec.from_json(json.loads(json.dumps(spec.to_json())))


@given(strategies.grids(), st.integers(1, 30), st.integers(1, 5))
def test_a_study_survives_json(options, steps, every):
    spec = grid_of_options(options, max_trials=1, max_steps=steps, program_changes={"evaluate_every": every})
    again = through_json(spec)
    assert again == spec
    assert again.to_json() == spec.to_json()
    assert again.program.key == spec.program.key
    assert again.sequence(again.point(0)) == spec.sequence(spec.point(0))
    assert differences(again, spec) == []


def test_a_study_with_everything_survives_json():
    spec = study(
        {"lr": schedules.wsd(0.1, 1, space.integer(1, 5), 2)},
        max_steps=space.end_of("lr"),
        policy=policies.asha(min_steps=2, reduction_factor=4),
        checkpoint_every=3,
        keep=Keep(best=3),
        checkpoint_budget=2**40,
        priority=-2,
        secrets=("TOKEN",),
        bundle="abc",
        objectives=(Objective(metric="a", maximize=True), Objective(metric="b", maximize=False)),
        program_changes={
            "options": {"width": [1, 2.5, None]},
            "env": {"A": "b"},
            "resources": Resources(cpus=2, gpus=1, accelerator="same"),
        },
    )
    assert through_json(spec) == spec


def test_hyperparameters_are_json_with_constants_of_their_kind():
    spec = grid({"lr": space.choice([1, schedules.exponential(0.1, 0.5)]), "betas": (0.9, 0.99)})
    assert [spec.hyperparameters(spec.point(number)) for number in range(2)] == [
        {"betas": [0.9, 0.99], "lr": 1.0},
        {"betas": [0.9, 0.99], "lr": {"schedule": "exponential", "initial": 0.1, "gamma": 0.5}},
    ]
    assert isinstance(spec.hyperparameters(spec.point(0))["lr"], float)


def test_max_steps_is_rounded_up_to_evaluations_with_a_warning():
    spec = study({"lr": 0.1}, max_steps=25, program_changes={"evaluate_every": 10})
    assert spec.max_steps_of({}) == 30
    assert spec.warnings == ("max_steps=25 is rounded up to 30, for evaluate_every=10",)
    assert study({"lr": 0.1}, max_steps=30, program_changes={"evaluate_every": 10}).warnings == ()
    assert through_json(spec).warnings == spec.warnings


def test_asha_warns_of_rounded_rungs():
    spec = study({"lr": 0.1}, policy=policies.asha(), max_steps=30, program_changes={"evaluate_every": 5})
    assert len(spec.warnings) == 1
    assert "1 -> 5" in spec.warnings[0]


LINE = schedules.linear(1.0, 0.0, 7)


@pytest.mark.parametrize(
    ("schedule", "end"),
    [
        (LINE, 7),
        (schedules.polynomial(1, 0, 8, 2), 8),
        (schedules.cosine(1, 0, 9), 9),
        (schedules.one_cycle(1, 10), 10),
        (schedules.from_function(float, 4), 4),
        (schedules.table([1, 2, 3]), 3),
        (schedules.wsd(1, warmup=2, stable=3, decay=4), 9),
        (schedules.warmup(5, LINE), 12),
        (schedules.piecewise([1, LINE], milestones=[20]), 27),
        (schedules.piecewise([LINE], milestones=[]), 7),
        (schedules.warmup(1, schedules.piecewise([LINE, LINE], milestones=[3])), 11),
    ],
)
def test_the_ends_of_schedules(schedule, end):
    assert study({"lr": schedule}, max_steps=space.end_of("lr")).max_steps_of({}) == end


@pytest.mark.parametrize(
    "schedule",
    [
        0.1,
        schedules.exponential(1, 0.5),
        schedules.step_decay(1, 0.5, 3),
        schedules.multistep(1, 0.5, [3]),
        schedules.cosine_restarts(1, 0, 5),
        schedules.cyclic(0, 1, 2, 3),
        schedules.warmup(3, 0.1),
        schedules.piecewise([LINE, 0.1], milestones=[5]),
        schedules.rounded(LINE),
    ],
)
def test_schedules_without_an_end_are_refused(schedule):
    with pytest.raises(InvalidStudy, match="end_of") as caught:
        study({"lr": schedule}, max_steps=space.end_of("lr"))
    assert caught.value.field == "max_steps"
    assert "piecewise whose last part has one" in caught.value.hint


def test_the_ends_of_drawn_schedules_differ_by_trial():
    spec = grid(
        {"lr": schedules.linear(1, 0, space.choice([3, 7]))},
        max_steps=space.end_of("lr"),
        program_changes={"evaluate_every": 2},
    )
    assert [spec.max_steps_of(spec.point(number)) for number in range(2)] == [4, 8]
    assert spec.warnings == ("the ends of 'lr' are rounded up for evaluate_every=2: 3 -> 4, 7 -> 8",)


def growing(gamma, **changes):
    return study({"lr": schedules.exponential(1.0, gamma)}, **changes)


@pytest.mark.parametrize(
    ("call", "field", "words"),
    [
        (lambda: study({"lr": 0.1}, max_steps=0), "max_steps", "at least 1, not 0"),
        (lambda: study({"lr": 0.1}, max_steps=-3), "max_steps", "at least 1, not -3"),
        (lambda: study({"lr": 0.1}, max_steps=2.0), "max_steps", "must be an int"),
        (lambda: study({"lr": 0.1}, max_trials=0), "max_trials", "at least 1, not 0"),
        (lambda: study({"lr": 0.1}, max_steps=space.end_of("lrr")), "max_steps", "Did you mean 'lr'"),
        (lambda: growing(10.0, max_steps=400), "space['lr']", "is inf at step 309"),
        (
            lambda: study({"lr": schedules.multistep(1e200, 1e200, [5, 9])}, max_steps=27),
            "space['lr']",
            "is inf at step 5 ",
        ),
        (
            lambda: study({"lr": schedules.exponential(1.0, space.choice([0.5, 1e30]))}, max_trials=30),
            "space['lr']",
            "at step 11 of trial",
        ),
        (
            lambda: grid({"lr": schedules.multistep(1, 0.1, [space.choice([3, 9]), 5])}),
            "schedules.multistep.milestones",
            "(trial 1: ",
        ),
        (
            lambda: grid({"lr": schedules.linear(1, 0, space.choice([3, 0]))}),
            "schedules.linear.period",
            "at least 1, not 0 (trial 1: ",
        ),
        (
            lambda: study({"lr": space.uniform(0, 1)}, sampler=samplers.grid()),
            "sampler",
            "a grid needs a finite space, but 'lr' is continuous",
        ),
        (lambda: grid({"lr": space.choice([1, 2])}, max_trials=3), "max_trials", "Use max_trials=2"),
        (lambda: study({"lr": 0.1}, objectives=()), "objectives", "minimize= or maximize="),
        (
            lambda: study({"lr": 0.1}, objectives=(Objective(metric="a", maximize=True),) * 2),
            "objectives",
            "named twice",
        ),
        (lambda: Objective(metric=3, maximize=True), "objective", "metric's name"),
        (lambda: study({"lr": 0.1}, name=""), "name", "not ''"),
        (lambda: study({"lr": 0.1}, name="a/b"), "name", "not 'a/b'. Use letters"),
        (lambda: study({"lr": 0.1}, name="x" * 300), "name", "(302 characters)"),
        (lambda: study({"lr": 0.1}, priority=0.5), "priority", "must be an int"),
        (lambda: study({"lr": 0.1}, checkpoint_every=0), "checkpoint_every", "at least 1"),
        (lambda: study({"lr": 0.1}, checkpoint_budget=-1), "checkpoint_budget", "at least 0"),
        (lambda: study({"lr": 0.1}, checkpoint_budget=2**63), "checkpoint_budget", "must be from 0 to"),
        (lambda: study({"lr": 0.1}, checkpoint_every=2**41), "checkpoint_every", "must be at most"),
        (
            lambda: study({"lr": 0.1}, program_changes={"evaluate_every": 2**41}),
            "evaluate_every",
            "must be at most",
        ),
        (lambda: study({"lr": 0.1}, secrets=("A B",)), "secrets", "environment variable"),
        (
            lambda: study({"lr": 0.1}, policy=policies.asha(min_steps=27)),
            "policy.min_steps",
            "below max_steps",
        ),
        (
            lambda: study({"lr": 0.1}, program=program(Space({"other": 1}))),
            "program.kinds",
            "do not agree",
        ),
        (lambda: StudySpec.from_json({"nmae": "x"}), "nmae", "Did you mean 'name'"),
        (lambda: StudySpec.from_json([]), "study", "must be a JSON object"),
        (lambda: StudySpec.from_json({"name": "x"}), "space", "is missing"),
    ],
)
def test_wrong_studies_name_the_field_and_the_remedy(call, field, words):
    with pytest.raises(InvalidStudy) as caught:
        call()
    assert caught.value.field == field
    assert words in str(caught.value)


@given(
    st.sampled_from(
        [
            "name",
            "space",
            "objectives",
            "max_trials",
            "max_steps",
            "sampler",
            "policy",
            "program",
            "checkpoint_every",
            "keep",
            "checkpoint_budget",
            "priority",
            "secrets",
        ]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
        max_leaves=4,
    ),
)
def test_any_json_is_a_study_or_one_clear_error(field, value):
    json_form = study({"lr": schedules.cosine(0.1, 0.0, 5)}).to_json()
    json_form[field] = value
    with contextlib.suppress(InvalidStudy):
        StudySpec.from_json(json_form)


def test_a_value_that_overflows_only_beyond_the_end_is_fine():
    spec = growing(10.0, max_steps=300)
    assert spec.sequence({}).values(299)["lr"] == 1e299
    assert math.isinf(spec.sequence({}).values(500)["lr"])
