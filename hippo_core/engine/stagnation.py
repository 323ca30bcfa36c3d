"""How long the best value of a study has not improved, in trials: what a plateau is.

Only what is comparable counts: trials that have come to their own end. That is as far as the study lets them be
trained, or where their policy completes them. What a trial shows before that, at a rung where it rests or where its
policy gives it up, is neither an improvement nor the lack of one: it was trained for less.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hippo_core.engine.states import RequestState, TrialState
from hippo_core.engine.study import Closing, Study
from hippo_core.engine.user_words import ENDED
from hippo_core.policies.policy import Worth, improves
from hippo_core.probes import probe_of
from hippo_core.study import StudySpec


@dataclass(frozen=True, slots=True)
class Stagnation:
    """What a plateau looks at.

    Attributes:
        best: What the best is worth.
        trial: The trial that has it.
        step: The step at which it was evaluated.
        trials: How many trials have come to their end since, without an improvement.
    """

    best: Worth
    trial: int
    step: int
    trials: int


def stagnation(study: Study, spec: StudySpec, min_change: float) -> Stagnation | None:
    """How long a study has not improved, were it of a specification; None: no trial has come to its end yet.

    Args:
        study: The study.
        spec: Its specification, present or to come.
        min_change: By how much more than this a value must be better to be an improvement.
    """
    best: tuple[Worth, int, int] | None = None
    since: set[int] = set()
    for trial, step, value in _ends(study, spec):
        if best is None or improves(value, best[0], min_change):
            best = value, trial, step
            since.clear()
        elif trial != best[1]:
            since.add(trial)
    return None if best is None else Stagnation(*best, trials=len(since))


def _ends(study: Study, spec: StudySpec) -> Iterator[tuple[int, int, Worth]]:
    """The trials that came to their end with a value, in order: each with its step and what it is worth there."""
    limit = spec.limit
    for closing in study.closings:
        if probe_of(closing.trial) or not study.is_learned_from(study.trials[closing.trial]):
            continue
        end = study.trials[closing.trial].max_steps if limit is None else limit
        at_end = closing.state is RequestState.REACHED and closing.step == end
        if closing.values is not None and (at_end or _completed_there(study, closing)):
            yield closing.trial, closing.step, spec.worth(closing.values)


def _completed_there(study: Study, closing: Closing) -> bool:
    """Whether a trial's policy has completed it where a request was cancelled."""
    trial = study.trials[closing.trial]
    if closing.state is not RequestState.CANCELLED or trial.closed != closing.sequence:
        return False
    return trial.state is TrialState.COMPLETED and not trial.reason.startswith(ENDED)
