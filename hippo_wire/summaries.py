"""What a study came to, in a few words and numbers, of the server's message; on the terminal and on pages alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hippo_core.engine.states import StudyState
from hippo_core.words import number
from hippo_wire.json_shapes import metrics_json, study_state, violation

if TYPE_CHECKING:
    from hippo_wire.v1 import study_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """Something that the study optimises."""

    metric: str
    maximize: bool

    @classmethod
    def of(cls, study: study_pb2.Study) -> Objective:
        """The study's first."""
        return cls.all_of(study)[0]

    @classmethod
    def all_of(cls, study: study_pb2.Study) -> tuple[Objective, ...]:
        """All of the study's."""
        given = json.loads(study.spec_json)["objectives"]
        return tuple(cls(metric=each["metric"], maximize=each["maximize"]) for each in given)

    def value(self, trial: study_pb2.Trial) -> float | None:
        """The trial's value, where it has a finite one."""
        return metrics_json(trial.metrics).get(self.metric)

    def rank(self, trial: study_pb2.Trial) -> tuple[bool, float, float, int]:
        """What to sort by so that the best comes first; deeper ones first among equals is not asked for here."""
        value = self.value(trial)
        if value is None:
            return (True, 0.0, 0.0, trial.number)
        return (False, violation(trial) or 0.0, -value if self.maximize else value, trial.number)


def saved_fraction(study: study_pb2.Study) -> float | None:
    """What part of the steps that a study's trials reached sharing saved.

    None where no trial reached any, and for a study that failed: there, steps that are not trained for every trial
    spare nobody anything, as none of them came to its end.
    """
    without = study.savings.steps_without_sharing
    if without == 0 or study_state(study) is StudyState.FAILED:
        return None
    return max(0.0, 1.0 - study.savings.steps_trained / without)


def pareto_front(study: study_pb2.Study) -> Sequence[study_pb2.Trial] | None:
    """The trials that no other one beats in every objective, by the first; None: the study has one objective."""
    return list(study.best_trials) if len(Objective.all_of(study)) > 1 else None


def front_words(count: int) -> str:
    """``6 in the front``."""
    return f"{count} in the front"


def none_feasible(study: study_pb2.Study) -> bool:
    """Whether even the best trial violates the study's constraints."""
    return study.HasField("best_trial") and bool(violation(study.best_trial))


def seconds_left(study: study_pb2.Study) -> float | None:
    """An estimate; None where nothing is being trained, for then it may take for ever."""
    if study_state(study) is not StudyState.RUNNING or not study.HasField("seconds_waiting"):
        return None
    if not study.slots_busy:
        return None
    return study.seconds_waiting / max(study.slots_total, 1)


def best_words(study: study_pb2.Study) -> str:
    """The best value; with several objectives how many trials are in the front."""
    front = pareto_front(study)
    if front is not None:
        return front_words(len(front)) if front else "-"
    objective = Objective.of(study)
    best = objective.value(study.best_trial) if study.HasField("best_trial") else None
    if best is None and study.best_by_horizon:
        longest = study.best_by_horizon[-1]
        return f"{objective.metric} {number(objective.value(longest))} at horizon {longest.horizon}"
    if best is None:
        return "-"
    return f"{objective.metric} {number(best)}{', infeasible' if none_feasible(study) else ''}"
