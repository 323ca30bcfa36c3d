"""Trials on their way are judged: their policy is told of evaluations, and whom it stops is stopped at that step.

This comes before requests close, and in whatever state a study is. So it makes no difference to a trial how many of its
steps a report brings, or whether they were known before it asked.
"""

from __future__ import annotations

from hippo_core.engine.decision import Decision
from hippo_core.engine.evaluations import judge_untold, note_evaluations, renew_policy
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import TrialState
from hippo_core.engine.stopping import end_as_decided
from hippo_core.engine.study import Study
from hippo_core.plan import Node


def is_attentive(state: EngineState, plan: int) -> bool:
    """Whether any study of a plan looks at each evaluation, to end itself or one of its trials."""
    studies = map(state.studies.__getitem__, state.plans[plan].studies)
    return any(study.policy.watches or study.spec.endings for study in studies)


def judge(decision: Decision, study: Study, upto: int | None = None) -> None:
    """Tells a study's policy what has become known, up to a step, and stops whom it stops."""
    if not study.policy.watches:
        return
    if study.outdated:
        renew_policy(decision.state, study)
    for stop in judge_untold(study, upto):
        state = TrialState.COMPLETED if stop.completes else TrialState.STOPPED
        step = study.trials[stop.trial].told
        for trial in study.members(stop.trial):
            end_as_decided(decision, study, trial, state, stop.reason, step)


def judge_reported(decision: Decision, node: Node, upto: int | None = None) -> None:
    """The same for all studies that a node concerns, whose steps or metrics have been reported."""
    note_evaluations(decision.state)
    for number in sorted(decision.state.plans[node.plan].studies):
        judge(decision, decision.state.studies[number], upto)
