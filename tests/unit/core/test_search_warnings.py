"""What is said at submission of searches that fork, where their arguments make little sense."""

from __future__ import annotations

import pytest

from hippo_core import policies, samplers, schedules, space
from hippo_core.objective import Objective
from hippo_core.space import Space
from hippo_core.study import StudySpec
from tests.studies import program

THREE_PHASES = {"lr": schedules.piecewise([space.loguniform(1e-3, 1) for _ in range(3)], [6, 12])}


def warnings(policy, max_trials=100):
    spec = StudySpec(
        name="study",
        space=Space(THREE_PHASES),
        objectives=(Objective(metric="loss", maximize=False),),
        max_trials=max_trials,
        max_steps=18,
        sampler=samplers.from_json({"sampler": policy.name}),
        policy=policy,
        program=program(Space(THREE_PHASES)),
    )
    return "\n".join(spec.warnings)


@pytest.mark.parametrize(
    ("policy", "max_trials", "said"),
    [
        (
            policies.phase_tree(),
            15,
            "max_trials=15 is few for phase_tree, whose trials are compared at 4 steps",
        ),
        (policies.phase_tree(), 15, "give 32 or more"),
        (policies.phase_tree(probe_steps=7), 100, "probe_steps=7 is longer than the last phase, 6 steps"),
        (
            policies.greedy_phases(),
            23,
            "max_trials=23 is less than one lineage of greedy_phases, about 24 trials",
        ),
        (
            policies.greedy_phases(probe_steps=7),
            100,
            "probe_steps=7 is longer than any phase, 6 steps at most",
        ),
    ],
)
def test_arguments_that_make_a_search_pointless_are_warned_of(policy, max_trials, said):
    assert said in warnings(policy, max_trials)


@pytest.mark.parametrize(
    ("policy", "max_trials"),
    [
        (policies.phase_tree(probe_steps=6), 16),
        (policies.phase_tree(probe_steps=0), 16),
        (policies.greedy_phases(probe_steps=6), 24),
    ],
)
def test_others_are_not(policy, max_trials):
    assert warnings(policy, max_trials) == ""
