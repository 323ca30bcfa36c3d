"""Studies that come while others are trained: no step is trained again that could have been saved for them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, schedules, space
from hippo_core.engine.decision import EngineSettings
from hippo_core.simulation import Activity, Host, Simulated, simulate
from hippo_core.study import StudySpec
from tests.studies import grid

NANOSECONDS = 1e9
STEPS = 24
POLICIES = (
    policies.full(),
    policies.sha(min_steps=4, reduction_factor=2),
    policies.asha(min_steps=4, reduction_factor=2),
    policies.patience(evaluations=3),
    policies.median_stopping(min_steps=3, min_trials=2),
)


def learning_rate(values: list[float], milestones: list[int]) -> float | schedules.Schedule:
    return schedules.piecewise([0.1, *values], sorted(milestones)) if values else 0.1


rates = st.lists(st.integers(1, STEPS - 1), max_size=3, unique=True).flatmap(
    lambda milestones: st.lists(
        st.sampled_from([0.01, 0.02]), min_size=len(milestones), max_size=len(milestones)
    ).map(lambda values: learning_rate(values, milestones))
)
options = st.lists(rates, min_size=1, max_size=4, unique_by=repr)


def searching(name: str, rates: list[float | schedules.Schedule], policy: policies.PolicySpec) -> StudySpec:
    return grid({"lr": space.choice(rates)}, name=name, max_steps=STEPS, policy=policy)


def trained_again(found: Simulated, arrivals: dict[str, float]) -> list[tuple[int, int]]:
    """The steps trained again for a study that was there before the state after them was: by node and step."""
    first: dict[tuple[int, int], float] = {}
    again = []
    for span in sorted(found.spans, key=lambda span: span.begin):
        if span.activity not in {Activity.TRAINING, Activity.LOST}:
            continue
        for place, step in enumerate(range(span.start, span.stop)):
            ends = span.begin / NANOSECONDS + place + 1
            if (
                first.setdefault((span.node, step), ends) < ends
                and first[span.node, step] > arrivals[span.study]
            ):
                again.append((span.node, step))
    return again


def test_a_path_saves_the_state_at_which_it_leaves_what_others_go_on_with() -> None:
    """1. A trial whose rate falls at step 9 is on its way. 2. A study comes of one whose rate stays. 3. It waits for
    the state at step 9, where nothing had been asked for, and goes on from there."""
    falling, staying = [schedules.piecewise([0.1, 0.01], [9])], [0.1]
    studies = [
        searching("falling", falling, policies.full()),
        searching("staying", staying, policies.full()),
    ]
    found = simulate(studies, [Host(name="host", slots=2)], arrivals=[0.0, 0.5], checked=True)
    assert found.steps_retrained == 0
    assert found.steps_trained == 24 + 15
    assert found.makespan_seconds == 24.0


def test_a_path_saves_where_a_trial_goes_on_that_waits_at_a_rung() -> None:
    """1. A trial whose rate falls at step 14 is on its way from rung to rung. 2. A study comes with a trial that goes
    with it up to there: what it asks for is known, and it waits for another one. 3. Promoted later, it goes on from
    step 14, though nobody asked for any step of it when the path came by."""
    halving = policies.sha(min_steps=4, reduction_factor=2)
    studies = [
        searching("falling", [schedules.piecewise([0.1, 0.01], [14])], POLICIES[2]),
        searching("staying", [0.1, 0.0001], halving),
    ]
    found = simulate(studies, [Host(name="host", slots=2)], arrivals=[0.0, 10.5], checked=True)
    assert found.studies[1].best_trial == 0
    assert found.studies[1].best_step == STEPS
    assert trained_again(found, {"falling": 0.0, "staying": 10.5}) == []


@settings(max_examples=200)
@given(
    st.lists(st.tuples(options, st.integers(0, 60)), min_size=2, max_size=4),
    st.sampled_from(POLICIES),
    st.integers(1, 4),
    st.booleans(),
)
def test_only_states_that_were_passed_before_a_study_came_are_trained_again_for_it(
    searches: list[tuple[list[float | schedules.Schedule], int]],
    policy: policies.PolicySpec,
    slots: int,
    cutting: bool,
) -> None:
    """Studies come in the middle of steps; one that is under way then is still to lead to a state that can be saved."""
    studies = [searching(f"study-{number}", rates, policy) for number, (rates, _) in enumerate(searches)]
    arrivals = [at + 0.5 for _, at in searches]
    found = simulate(
        studies,
        [Host(name="host", slots=slots)],
        arrivals=arrivals,
        settings=EngineSettings(cutting=cutting),
        checked=True,
    )
    assert trained_again(found, {spec.name: at for spec, at in zip(studies, arrivals, strict=True)}) == []
