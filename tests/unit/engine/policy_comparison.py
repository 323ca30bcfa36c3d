"""Whether two engines' policies have come to the same."""

from __future__ import annotations

from hippo_core.engine.engine import Engine
from hippo_core.engine.evaluations import tell_judged
from hippo_core.engine.study import Study


def expect_same_policies(lived: Engine, rebuilt: Engine) -> None:
    """The policies of two engines know the same of every trial, and decide the same."""
    assert lived.state.studies.keys() == rebuilt.state.studies.keys()
    for number, study in lived.state.studies.items():
        ours, theirs = _told(lived, study), _told(rebuilt, rebuilt.state.studies[number])
        assert theirs == ours


def _told(engine: Engine, study: Study) -> dict[str, object]:
    """What a study's policy knows and decides, once it was told all that the engine knows."""
    if study.policy.watches:
        tell_judged(engine.state, study)
    policy = study.policy
    return {
        "decides": policy.decide(),
        "finishes": None if study.open else policy.finish(),
        "standing": {number: policy.standing(number) for number in study.trials},
        "climbers": getattr(policy, "climbers", None),
        "trials": getattr(policy, "trials", None),
        "curves": getattr(policy, "curves", None),
        "last rung": getattr(policy, "last_rung", None) if study.trials else None,
    }
