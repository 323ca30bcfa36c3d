"""What users' own policies decide, and what becomes of those that fail.

An answer is durable together with what follows from it. What was overtaken meanwhile, since the trial has ended or a
user has taken it in hand, has no effect; what could never have been carried out is a failure, like an exception. After
``TRIES`` failures in a row the study pauses, and says why.
"""

from __future__ import annotations

from hippo_core.engine.commands import AnswerPolicy, FailPolicy
from hippo_core.engine.consultations import TRIES, awaits_answer
from hippo_core.engine.decision import Decision
from hippo_core.engine.events import PolicyAnswered, PolicyFailed, PolicyForgiven, StudyStateChanged
from hippo_core.engine.settling import carry_out
from hippo_core.engine.states import ENDED_TRIAL_STATES, StudyState, TrialState
from hippo_core.engine.study import Study
from hippo_core.own_policy import Decided
from hippo_core.policies import Extend, Stop

LONGEST_REASON = 500


def answer(decision: Decision, command: AnswerPolicy) -> int:
    """Carries an answer out, if it is waited for; tells whether it was taken."""
    study = _waiting(decision, command)
    if study is None or not _follows(study, command):
        return 0
    wrong = next(filter(None, (_unfit(study, each) for each in command.verdicts)), "")
    if wrong:
        _fail(decision, study, wrong)
        return 0
    decision.emit(
        PolicyAnswered(
            study=study.id,
            number=command.number,
            mark=command.mark,
            max_trials=command.max_trials,
            finish=command.finish,
        )
    )
    for each in command.verdicts:
        if _has_effect(study, each):
            carry_out(decision, study, _shortened(each))
    return 1


def fail(decision: Decision, command: FailPolicy) -> None:
    """Counts a failure, if the answer is still waited for."""
    study = _waiting(decision, command)
    if study is not None:
        _fail(decision, study, command.reason)


def forgive(decision: Decision, study: Study) -> None:
    """A user asks to go on: the policy is asked again."""
    if study.policy_failures:
        decision.emit(PolicyForgiven(study=study.id, number=len(study.answers)))


def _waiting(decision: Decision, command: AnswerPolicy | FailPolicy) -> Study | None:
    """The study that waits for just this answer; none where it is late, or the second one."""
    study = decision.state.studies.get(command.study)
    if study is None or study.state is not StudyState.RUNNING or not awaits_answer(study):
        return None
    return study if command.number == len(study.answers) else None


def _follows(study: Study, command: AnswerPolicy) -> bool:
    """Whether what the policy was told is a beginning of what has happened, after what it was told before."""
    before = study.answers[-1].mark if study.answers else 0
    return before <= command.mark <= len(study.history)


def _unfit(study: Study, verdict: Decided) -> str:
    """Why a verdict cannot be carried out; empty: it can."""
    trial = study.trials.get(verdict.trial)
    if trial is None:
        return f"{verdict!r}: there is no trial {verdict.trial}"
    if isinstance(verdict, Extend):
        if verdict.to % study.spec.program.evaluate_every or verdict.to < 1:
            every = study.spec.program.evaluate_every
            return f"{verdict!r}: {verdict.to} is no positive multiple of evaluate_every={every}"
        if verdict.to > trial.max_steps:
            return f"{verdict!r}: trial {verdict.trial} may be trained up to step {trial.max_steps}"
    return ""


def _has_effect(study: Study, verdict: Decided) -> bool:
    trial = study.trials[verdict.trial]
    if trial.stopped_by_user or trial.state in {TrialState.FAILED, TrialState.DIVERGED}:
        return False
    match verdict:
        case Extend():
            return verdict.to > trial.asked
        case Stop():
            return trial.state not in ENDED_TRIAL_STATES


def _shortened(verdict: Decided) -> Decided:
    reason = _line(verdict.reason)
    match verdict:
        case Extend():
            return Extend(verdict.trial, verdict.to, reason)
        case Stop():
            return Stop(verdict.trial, reason, verdict.completes)


def _fail(decision: Decision, study: Study, reason: str) -> None:
    decision.emit(
        PolicyFailed(
            study=study.id,
            number=len(study.answers),
            failures=study.policy_failures + 1,
            reason=_line(reason),
        )
    )
    if study.policy_failures >= TRIES:
        remedy = (
            "Correct it and submit the study under another name, which shares what was trained; where the worker was "
            f"at fault, hippo study resume {study.name} tries again"
        )
        reason = f"{failure_in_words(study)}. {remedy}"
        decision.emit(StudyStateChanged(study=study.id, state=StudyState.PAUSED, reason=reason))


def _line(text: str) -> str:
    line = "".join(each if each.isprintable() else " " for each in text)
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}..."


def policy_in_words(study: Study) -> str:
    """What a study that waits for its own policy waits for, and why that has not come."""
    if study.policy_failures:
        return f"{failure_in_words(study)}. It is asked again"
    return f"the policy {study.spec.policy.name} is being asked"


def failure_in_words(study: Study) -> str:
    """How often a policy has failed to answer, and why."""
    often = "once" if study.policy_failures == 1 else f"{study.policy_failures} times in a row"
    return f"the policy {study.spec.policy.name} has failed {often}: {study.policy_failure.rstrip('.')}"
