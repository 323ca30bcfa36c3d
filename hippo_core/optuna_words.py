"""A study in Optuna's words, without Optuna: states, values, reports, and what was drawn."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hippo_core.domains import Choice, part_to_json
from hippo_core.engine.states import TrialState
from hippo_core.simulation.recorded_parts import RecordedTrial
from hippo_core.simulation.recording import Recording
from hippo_core.words import exact_hyperparameter, hyperparameter

Label = None | bool | int | float | str


class State(StrEnum):
    """The names of Optuna's states of trials."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a trial came to.

    Attributes:
        state: Its state.
        values: Of the objectives; None: Optuna has none for a trial in this state.
        reports: The objective by step, not a number where it was not finite; none with several objectives.
    """

    state: State
    values: tuple[float, ...] | None
    reports: Mapping[int, float]


def outcome(trial: RecordedTrial, recording: Recording) -> Outcome:
    """What a trial came to. With several objectives Optuna knows no reports, and no values of pruned trials."""
    names = [objective.metric for objective in recording.spec.objectives]
    last = last_metrics(trial)
    known = [value for name in names if (value := last.get(name)) is not None]
    values = tuple(known) if len(known) == len(names) else None
    reports: dict[int, float] = {}
    if len(names) == 1:
        for step, metrics in trial.means.items():
            if names[0] in metrics:
                value = metrics[names[0]]
                reports[step] = math.nan if value is None else value
    match trial.state:
        case TrialState.COMPLETED if values is not None:
            return Outcome(state=State.COMPLETE, values=values, reports=reports)
        case TrialState.STOPPED:
            return Outcome(state=State.PRUNED, values=values if len(names) == 1 else None, reports=reports)
        case TrialState.DIVERGED | TrialState.FAILED | TrialState.COMPLETED:
            return Outcome(state=State.FAIL, values=None, reports=reports)
        case TrialState.WAITING if not trial.step:
            return Outcome(state=State.WAITING, values=None, reports=reports)
        case _:
            return Outcome(state=State.RUNNING, values=None, reports=reports)


def last_metrics(trial: RecordedTrial) -> Mapping[str, float | None]:
    """The metrics of a trial's last evaluation; of repeats the means. None yet: none."""
    return trial.means[max(trial.means)] if trial.means else {}


class Drawn:
    """What was drawn, as Optuna has it: of a choice the option's label.

    Args:
        recording: The study.
    """

    def __init__(self, recording: Recording) -> None:
        self._names = tuple(recording.spec.space.domains)
        self._labels = {
            name: labels(domain.options)
            for name, domain in recording.spec.space.domains.items()
            if isinstance(domain, Choice)
        }

    @property
    def names(self) -> Collection[str]:
        """Of all that is drawn."""
        return self._names

    def labels(self, name: str) -> Sequence[Label]:
        """What the options of a choice are called."""
        return self._labels[name]

    def values(self, trial: RecordedTrial) -> dict[str, Any]:
        """By the domain's name; of a trial for which nothing was drawn: none."""
        return {
            name: self._labels[name][int(drawn)] if name in self._labels else drawn  # type: ignore[arg-type]
            for name, drawn in (trial.assignment or {}).items()
        }


def labels(options: Sequence[Any]) -> list[Label]:
    """What Optuna calls the options of a choice, all different: plain values themselves, else as they are written.

    A domain within an option is written as its name, which is that of another parameter.
    """
    plain = [
        option if option is None or isinstance(option, bool | int | float | str) else None
        for option in options
    ]
    written = [_named(part_to_json(option)) for option in options]
    found: list[Label] = [
        hyperparameter(text) if short is None and option is not None else short
        for option, short, text in zip(options, plain, written, strict=True)
    ]
    if _differ(found):
        return found
    exact: list[Label] = [exact_hyperparameter(text) for text in written]
    return exact if _differ(exact) else [f"{place}: {text}" for place, text in enumerate(exact)]


def _differ(found: Sequence[Label]) -> bool:
    """Whether no two are equal; 1, 1.0 and True are."""
    return all(one != other for place, one in enumerate(found) for other in found[:place])


def _named(json: Any) -> Any:
    """Domains replaced by their names."""
    if isinstance(json, Mapping):
        if "domain" in json:
            return json["name"]
        return {key: _named(value) for key, value in json.items()}
    return [_named(each) for each in json] if isinstance(json, list) else json
