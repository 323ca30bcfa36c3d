"""What a study looks like at one moment, in numbers and words; no terminal here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hippo_client.cli.connection import named_server
from hippo_core.engine.states import NO_WORKER, StudyState, TrialState
from hippo_core.words import short_hyperparameter
from hippo_wire.json_shapes import study_state, trial_state
from hippo_wire.summaries import Objective, pareto_front, saved_fraction, seconds_left

if TYPE_CHECKING:
    from hippo_client.watching import StudySnapshot
    from hippo_wire.v1 import study_pb2

#: So many rows of trials, and so many of them for the best ones where more than that run.
MOST_ROWS = 10
BEST_ROWS = 3
MOST_PARAMETERS = 3
#: That no worker is there is told once one has had the time to start.
WORKER_STARTS_SECONDS = 10.0

# The order in which states are counted out: what goes on, what may, what is over.
_COUNTED = (
    TrialState.RUNNING,
    TrialState.WAITING,
    TrialState.PAUSED,
    TrialState.COMPLETED,
    TrialState.STOPPED,
    TrialState.DIVERGED,
    TrialState.FAILED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One trial."""

    trial: int
    state: TrialState
    step: int
    max_steps: int
    value: float | None
    parameters: tuple[str, ...]
    best: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A study at one moment.

    Attributes:
        reason: Why it is in its state, or what it waits for.
        needs_worker: Whether it waits for a worker, which may be about to start.
        front: How many trials are in the Pareto front; None: the study has one objective.
        saved_fraction: What part of the steps sharing saved; None where that means nothing.
        parameter_names: The hyper-parameters of the rows, the ones that vary most first.
        varying_count: How many hyper-parameters vary in all.
    """

    name: str
    state: str
    reason: str
    needs_worker: bool
    metric: str
    trials: Mapping[str, int]
    best: study_pb2.Trial | None
    best_value: float | None
    front: int | None
    steps_trained: int
    steps_without_sharing: int
    saved_fraction: float | None
    seconds_left: float | None
    slots_busy: int
    slots_total: int
    parameter_names: tuple[str, ...]
    varying_count: int
    rows: tuple[Row, ...]
    rows_left_out: int


def draw(snapshot: StudySnapshot) -> Picture:
    """The picture of a snapshot."""
    study = snapshot.study
    objective = Objective.of(study)
    best = study.best_trial if study.HasField("best_trial") else None
    front = pareto_front(study)
    leading = {trial.number for trial in front or ([] if best is None else [best])}
    shown = _choose(list(snapshot.trials.values()), objective, leading)
    variations = count_variations(snapshot.trials.values())
    names = tuple(variations)[:MOST_PARAMETERS]
    return Picture(
        name=study.name,
        state=study_state(study).value,
        reason=reason_words(study),
        needs_worker=needs_worker(study),
        metric=objective.metric,
        trials={state.value: study.trial_counts.get(state.value, 0) for state in _COUNTED},
        best=best,
        best_value=objective.value(best) if best is not None else None,
        front=None if front is None else len(front),
        steps_trained=study.savings.steps_trained,
        steps_without_sharing=study.savings.steps_without_sharing,
        saved_fraction=saved_fraction(study),
        seconds_left=seconds_left(study),
        slots_busy=study.slots_busy,
        slots_total=study.slots_total,
        parameter_names=names,
        varying_count=sum(count > 1 for count in variations.values()),
        rows=tuple(_row(trial, objective, names, leading) for trial in shown),
        rows_left_out=len(snapshot.trials) - len(shown),
    )


def reason_words(study: study_pb2.Study) -> str:
    """Why a study is in its state, or what it waits for; with the command that it waits for, where it is that."""
    if study_state(study) is StudyState.PAUSED and not study.given_up:  # whose reason says what to do
        return f"{study.reason}; `hippo study resume {study.name}` goes on"
    if needs_worker(study):
        return f"{study.reason}; {_starting_a_worker()}"
    return study.reason


def needs_worker(study: study_pb2.Study) -> bool:
    """Whether a study that runs waits for a worker to come."""
    return study_state(study) is StudyState.RUNNING and study.reason == NO_WORKER


def _starting_a_worker() -> str:
    # A server elsewhere has no supervisor that would start one beside it.
    if named_server() is not None:
        return "`hippo-worker` starts one"
    return "`hippo run STUDY.py` or `hippo up` starts one, which takes a moment"


def count_variations(trials: Iterable[study_pb2.Trial]) -> dict[str, int]:
    """How many values each hyper-parameter has over the trials, those with most first; being absent counts as one."""
    seen: dict[str, set[str]] = {}
    having: Counter[str] = Counter()
    count = 0
    for trial in trials:
        count += 1
        for name, value in json.loads(trial.hyperparameters_json).items():
            seen.setdefault(name, set()).add(json.dumps(value, sort_keys=True))
            having[name] += 1
    counts = {name: len(values) + (having[name] < count) for name, values in seen.items()}
    return dict(sorted(counts.items(), key=lambda each: -each[1]))


def _choose(
    trials: list[study_pb2.Trial], objective: Objective, leading: Container[int]
) -> list[study_pb2.Trial]:
    running = [trial for trial in trials if trial_state(trial) is TrialState.RUNNING]
    others = [trial for trial in trials if trial_state(trial) is not TrialState.RUNNING]
    # The study's best trials lead: they are the best among the deepest, which the value alone does not tell.
    others.sort(key=lambda trial: (trial.number not in leading, *objective.rank(trial)))
    room = max(BEST_ROWS, MOST_ROWS - len(running))
    return running[: MOST_ROWS - min(BEST_ROWS, len(others))] + others[:room]


def _row(trial: study_pb2.Trial, objective: Objective, names: Sequence[str], leading: Container[int]) -> Row:
    values = json.loads(trial.hyperparameters_json)
    return Row(
        trial=trial.number,
        state=trial_state(trial),
        step=trial.step,
        max_steps=trial.max_steps,
        value=objective.value(trial),
        parameters=tuple(short_hyperparameter(values[name]) if name in values else "" for name in names),
        best=trial.number in leading,
    )
