"""Optuna's terminators: asked outside, beside the training, which never waits for them.

A terminator is asked when a further trial of the study has completed, and sees what was known then: that is an event,
so that a restart asks the same. One that has failed is asked again when the next trial has completed; after ``TRIES``
failures in a row no more, and the study goes on without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

from hippo_core.endings import Terminator
from hippo_core.engine.commands import FailJudgement, GiveJudgement
from hippo_core.engine.decision import Decision
from hippo_core.engine.events import JudgementFailed, JudgementGiven, JudgementWanted
from hippo_core.engine.proposals import PastTrial, history, one_line
from hippo_core.engine.state import EngineState
from hippo_core.engine.states import TrialState
from hippo_core.engine.study import Judgement, Study
from hippo_core.policies.policy import round_up
from hippo_core.study import StudySpec

TRIES = 3
#: What Optuna says where it has too few trials to say something.
UNKNOWN_GAIN = 1e300


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeJudgement:
    """A terminator that is to judge."""

    study: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgementTask:
    """All that a judgement is a function of.

    Attributes:
        spec: The study.
        terminator: Who judges.
        history: The trials that had completed, in the order in which they did.
    """

    spec: StudySpec
    terminator: Terminator
    history: tuple[PastTrial, ...]


def judgement_of(study: Study, terminator: Terminator) -> Judgement | None:
    """What a terminator was asked last; None: nothing yet."""
    judged = study.judgement
    return judged if judged is not None and judged.terminator == terminator else None


def want(decision: Decision) -> None:
    """Wants a judgement for each study of which a further trial has completed, one at a time."""
    state = decision.state
    for number in state.active:
        study = state.studies[number]
        terminator = study.spec.ending(Terminator)
        if terminator is None or study.ending or study.completed < terminator.min_trials:
            continue
        judged = judgement_of(study, terminator)
        trials, failures = (0, 0) if judged is None else (judged.trials, judged.failures)
        if (judged is not None and judged.waiting) or study.completed <= trials or failures >= TRIES:
            continue
        steps = study.spec.max_steps
        decision.emit(
            JudgementWanted(
                study=number,
                terminator=terminator.to_json(),
                sequence=state.last_sequence,
                pending=study.open_trials(),
                max_steps=round_up(steps, study.spec.program.evaluate_every)
                if isinstance(steps, int)
                else None,
                trials=study.completed,
                failures=failures,
            )
        )


def judgements_to_make(state: EngineState) -> Iterator[MakeJudgement]:
    """The judgements that running studies wait for."""
    for number in state.active:
        study = state.studies[number]
        terminator = study.spec.ending(Terminator)
        judged = None if terminator is None else judgement_of(study, terminator)
        if judged is not None and judged.waiting and not study.ending:
            yield MakeJudgement(study=number, sequence=judged.sequence)


def give(decision: Decision, command: GiveJudgement) -> None:
    """Takes a judgement in, if it is still wanted."""
    study = _waiting(decision, command)
    if study is None:
        return
    terminator, judged = study.spec.ending(Terminator), study.judgement
    assert terminator is not None
    assert judged is not None
    name = f"terminator {terminator.improvement}"
    if not (isfinite(command.gain) and isfinite(command.threshold)):
        _fail(decision, study, f"it has estimated {command.gain} and {command.threshold}")
        return
    ends = command.gain < command.threshold
    after = f"after {judged.trials} completed trials"
    if terminator.patience is not None:  # the gain is what is left of it
        without = f"{terminator.patience - command.gain:g}"
        trials = "completed trial" if without == "1" else "completed trials"
        reason = f"{name}: no improvement in {without} {trials}, patience {terminator.patience}"
        if command.threshold:
            reason = f"{reason}, of which {command.threshold:g} are to be left"
    elif ends:
        reason = (
            f"{name}: at most {command.gain:.6g} can be gained, less than {command.threshold:.6g}, {after}"
        )
    elif command.gain > UNKNOWN_GAIN or command.threshold < 0:
        reason = f"{name}: too little is known yet, {after}"
    else:
        reason = (
            f"{name}: {command.gain:.6g} can be gained, {command.threshold:.6g} would be too little, {after}"
        )
    decision.emit(JudgementGiven(study=study.id, ends=ends, reason=reason))


def fail(decision: Decision, command: FailJudgement) -> None:
    """Counts a failure, if the judgement is still wanted."""
    study = _waiting(decision, command)
    if study is not None:
        _fail(decision, study, command.reason)


def failure_in_words(study: Study) -> str:
    """That a study's terminator has failed; empty: it has not."""
    terminator = study.spec.ending(Terminator)
    judged = None if terminator is None else judgement_of(study, terminator)
    return "" if judged is None or not judged.failures else judged.reason


def task(study: Study) -> JudgementTask:
    """What a study's judgement is a function of."""
    judged, terminator = study.judgement, study.spec.ending(Terminator)
    assert judged is not None
    assert terminator is not None
    seen = history(study, judged, range(len(study.trials)))
    completed = [past for past in seen if past.state is TrialState.COMPLETED]
    return JudgementTask(
        spec=study.spec.searched,
        terminator=terminator,
        history=tuple(sorted(completed, key=lambda past: past.sequence)),
    )


def _waiting(decision: Decision, command: GiveJudgement | FailJudgement) -> Study | None:
    """The study that waits for just this; none where the answer is late, or the second one."""
    wanted = MakeJudgement(study=command.study, sequence=command.sequence)
    if wanted not in judgements_to_make(decision.state):
        return None
    return decision.state.studies[command.study]


def _fail(decision: Decision, study: Study, reason: str) -> None:
    terminator, judged = study.spec.ending(Terminator), study.judgement
    assert terminator is not None
    assert judged is not None
    failures = judged.failures + 1
    often = "once" if failures == 1 else f"{failures} times"
    after = "It is asked again when the next trial has completed"
    if failures >= TRIES:
        after = "It is asked no more: the study goes on without it"
    words = f"terminator {terminator.improvement} has failed {often}: {one_line(reason).rstrip('.')}. {after}"
    decision.emit(JudgementFailed(study=study.id, failures=failures, reason=words))
