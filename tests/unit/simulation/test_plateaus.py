"""Plateaus beside all kinds of policies: a study ends on one only after trials that came to their end."""

from __future__ import annotations

import pytest

from hippo_core import endings, policies, samplers, space
from hippo_core.simulation import Host, simulate
from tests.studies import study

POLICIES = [
    policies.full(),
    policies.sha(),
    policies.asha(),
    policies.asha(stopping=True),
    policies.hyperband(),
    policies.hyperband(asynchronous=True),
    policies.pasha(),
    policies.dehb(),
    policies.pbt(3),
    policies.pbt(3, asynchronous=True),
    policies.median_stopping(),
]


@pytest.mark.parametrize("patience", [1, 8])
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_a_study_ends_on_a_plateau_only_after_trials_that_came_to_step_27(
    policy: policies.PolicySpec, patience: int
) -> None:
    searched = {"lr": space.loguniform(1e-4, 1e-1), "momentum": space.uniform(0.0, 1.0)}
    sampler = samplers.from_json({"sampler": policy.name if policy.proposes else "random"})
    ending = endings.plateau(patience)
    spec = study(searched, max_trials=60, policy=policy, sampler=sampler, endings=(ending,))
    [found] = simulate([spec], [Host(name="host", slots=4)]).studies
    assert found.state == "completed"
    assert found.best_step == 27
    at_end = sum(trial.step == 27 for trial in found.leaderboard)
    if found.reason:
        assert "at step 27 in" in found.reason
        assert at_end > patience
