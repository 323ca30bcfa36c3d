"""A study as Optuna's: for its plots, its importances, and whatever else reads an ``optuna.Study``."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from hippo_core.domains import Choice, Domain, Horizon, Integer, Stepped, Uniform, part_to_json
from hippo_core.engine.states import TrialState
from hippo_core.errors import Conflict, HippoError
from hippo_core.simulation.recording import RecordedTrial, Recording
from hippo_core.words import exact_hyperparameter, hyperparameter

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

Label = None | bool | int | float | str


def convert(recording: Recording, storage: Any = None, name: str | None = None) -> optuna.Study:
    """The study as Optuna's; see ``StudyHandle.to_optuna``.

    Raises:
        HippoError: Optuna is not installed.
        Conflict: The storage has a study of that name.
    """
    try:
        import optuna
        from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
    except ImportError as error:
        raise HippoError("to_optuna() needs Optuna.", "pip install optuna") from error
    objectives = recording.spec.objectives
    name = name or recording.name
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=["maximize" if each.maximize else "minimize" for each in objectives],
        )
    except DuplicatedStudyError as error:
        raise Conflict(f"the storage has a study {name!r} already.", "Give another name=.") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names([each.metric for each in objectives])
    study.set_user_attr("hippo_study", recording.name)
    study.set_user_attr("hippo_state", recording.state)
    parameters = _Parameters(recording.spec.space.domains, recording.spec.lengths)
    begun = (
        datetime.fromisoformat(recording.created).astimezone().replace(tzinfo=None)
    )  # local, as Optuna has it
    seconds = {each.trial: each.seconds for each in recording.arrivals if not each.probe}
    for trial in recording.trials:
        if trial.assignment is not None:
            ended = begun + timedelta(seconds=seconds.get(trial.number, 0.0))
            study.add_trial(_frozen(trial, recording, parameters, begun, ended))
    return study


class _Parameters:
    """Domains as Optuna's distributions, and what was drawn as their values.

    Args:
        domains: By name.
        horizons: How long trials are, where that is one more parameter.
    """

    def __init__(self, domains: Mapping[str, Domain], horizons: Sequence[int] = ()) -> None:
        self._domains = domains
        self._horizons = horizons
        self._labels = {
            name: labels(domain.options) for name, domain in domains.items() if isinstance(domain, Choice)
        }
        self.distributions = {name: self._distribution(name) for name in domains}

    def value(self, name: str, drawn: Any) -> Any:
        """What was drawn, as Optuna has it: of a choice the option's label."""
        return self._labels[name][drawn] if name in self._labels else drawn

    def _distribution(self, name: str) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        domain = self._domains[name]
        match domain:
            case Choice():
                return CategoricalDistribution(self._labels[name])
            case Uniform():
                return FloatDistribution(domain.low, domain.high, log=domain.log)
            case Stepped():
                assert domain.size is not None
                last: Any = domain.item(domain.size - 1)
                return FloatDistribution(domain.low, last, step=domain.q)
            case Horizon():
                return CategoricalDistribution(self._horizons)
            case Integer():
                return IntDistribution(domain.low, domain.high, log=domain.log)
            case _:
                raise TypeError(f"{domain!r} is no domain that can be drawn")


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


def _frozen(
    trial: RecordedTrial, recording: Recording, parameters: _Parameters, begun: datetime, ended: datetime
) -> optuna.trial.FrozenTrial:
    from optuna.trial import FrozenTrial

    assert trial.assignment is not None
    state, values, reports = _outcome(trial, recording)
    return FrozenTrial(
        number=trial.number,
        trial_id=trial.number,
        state=state,
        value=None,
        values=values,
        datetime_start=begun,
        datetime_complete=ended if state.is_finished() else None,
        params={name: parameters.value(name, drawn) for name, drawn in trial.assignment.items()},
        distributions={name: parameters.distributions[name] for name in trial.assignment},
        user_attrs=_attributes(trial),
        system_attrs=_margins(trial, recording),
        intermediate_values=reports,
    )


def _outcome(
    trial: RecordedTrial, recording: Recording
) -> tuple[optuna.trial.TrialState, list[float] | None, dict[int, float]]:
    """State, values and reports. With several objectives Optuna knows no reports, and no values of pruned trials."""
    from optuna.trial import TrialState as State

    names = [objective.metric for objective in recording.spec.objectives]
    values = [trial.history[max(trial.history)].get(name) for name in names] if trial.history else []
    known = [value for value in values if value is not None]
    last = known if values and len(known) == len(names) else None
    reports: dict[int, float] = {}
    if len(names) == 1:
        for step, metrics in trial.history.items():
            value = metrics.get(names[0])
            reports[step] = math.nan if value is None else value
    match trial.state:
        case TrialState.COMPLETED if last is not None:
            return State.COMPLETE, last, reports
        case TrialState.STOPPED:
            return State.PRUNED, last if len(names) == 1 else None, reports
        case TrialState.DIVERGED | TrialState.FAILED | TrialState.COMPLETED:
            return State.FAIL, None, reports
        case _:
            return State.RUNNING, None, reports


def _margins(trial: RecordedTrial, recording: Recording) -> dict[str, Any]:
    """What constraints came to, where Optuna looks for it: each above 0 is violated."""
    constraints = recording.spec.constraints
    if not constraints or not trial.history:
        return {}
    metrics = trial.history[max(trial.history)]
    return {"constraints": [constraint.margin(metrics) for constraint in constraints]}


def _attributes(trial: RecordedTrial) -> dict[str, Any]:
    return {
        "hippo_trial": trial.number,
        "hippo_state": trial.state.value,
        "hippo_reason": trial.reason,
        "hippo_steps": trial.step,
        "hippo_fork": None if trial.parent is None else {"trial": trial.parent, "at": trial.forked_at},
        "hippo_metrics": dict(trial.history[max(trial.history)]) if trial.history else {},
        "hippo_hyperparameters": dict(trial.hyperparameters),
    }
