"""A study as Optuna's: for its plots, its importances, and whatever else reads an ``optuna.Study``."""

from __future__ import annotations

import warnings
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from hippo_core.domains import Choice, Domain, Horizon, Integer, Stepped, Uniform
from hippo_core.errors import Conflict, HippoError
from hippo_core.optuna_words import Drawn, State, last_metrics, outcome
from hippo_core.simulation.recorded_parts import RecordedTrial
from hippo_core.simulation.recording import Recording
from hippo_core.simulation.timeline import Timeline

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution


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
        raise HippoError("to_optuna() needs Optuna.", "pip install 'hippo-hpo[plots]'") from error
    objectives = recording.spec.objectives
    name = name or recording.name
    told = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(told, optuna.logging.WARNING))  # a new study is no news
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=["maximize" if each.maximize else "minimize" for each in objectives],
        )
    except DuplicatedStudyError as error:
        raise Conflict(f"the storage has a study {name!r} already.", "Give another name=.") from error
    finally:
        optuna.logging.set_verbosity(told)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study.set_metric_names([each.metric for each in objectives])
    study.set_user_attr("hippo_study", recording.name)
    study.set_user_attr("hippo_state", recording.state)
    made = _Trials(recording)
    study.add_trials([made.frozen(trial) for trial in recording.trials if trial.assignment is not None])
    return study


def local_time(recording: Recording, seconds: float | None) -> datetime | None:
    """Seconds since a study's submission as Optuna has times: local, without a zone."""
    if seconds is None:
        return None
    return datetime.fromisoformat(recording.created).astimezone().replace(tzinfo=None) + timedelta(
        seconds=seconds
    )


class _Trials:
    """Makes trials of Optuna's."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._timeline = Timeline(recording)
        self._drawn = Drawn(recording)
        self._distributions = {
            name: self._distribution(name, domain) for name, domain in recording.spec.space.domains.items()
        }

    def frozen(self, trial: RecordedTrial) -> optuna.trial.FrozenTrial:
        from optuna.trial import FrozenTrial, TrialState

        found, params = outcome(trial, self._recording), self._drawn.values(trial)
        begun, ended = self._times(trial, found.state)
        return FrozenTrial(
            number=trial.number,
            trial_id=trial.number,
            state=TrialState[found.state],
            value=None,
            values=None if found.values is None else list(found.values),
            datetime_start=begun,
            datetime_complete=ended,
            params=params,
            distributions={name: self._distributions[name] for name in params},
            user_attrs=self._attributes(trial),
            system_attrs=self._margins(trial),
            intermediate_values=dict(found.reports),
        )

    def _times(self, trial: RecordedTrial, state: State) -> tuple[datetime | None, datetime | None]:
        """When it began and ended. What has not begun but is no more to wait began when it was made."""
        begun, ended = self._timeline.begun(trial), self._timeline.ended(trial)
        if begun is None and state is not State.WAITING:
            begun = self._recording.creations.get(trial.number, 0.0)
        over = state not in (State.WAITING, State.RUNNING)
        return local_time(self._recording, begun), local_time(self._recording, ended) if over else None

    def _distribution(self, name: str, domain: Domain) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        match domain:
            case Choice():
                return CategoricalDistribution(self._drawn.labels(name))
            case Uniform():
                return FloatDistribution(domain.low, domain.high, log=domain.log)
            case Stepped():
                assert domain.size is not None
                last: Any = domain.item(domain.size - 1)
                return FloatDistribution(domain.low, last, step=domain.q)
            case Horizon():
                return CategoricalDistribution(self._recording.spec.lengths)
            case Integer():
                return IntDistribution(domain.low, domain.high, log=domain.log)
            case _:
                raise TypeError(f"{domain!r} is no domain that can be drawn")

    def _margins(self, trial: RecordedTrial) -> dict[str, Any]:
        """What constraints came to, where Optuna looks for it: each above 0 is violated."""
        constraints, metrics = self._recording.spec.constraints, last_metrics(trial)
        if not constraints or not metrics:
            return {}
        return {"constraints": [constraint.margin(metrics) for constraint in constraints]}

    def _attributes(self, trial: RecordedTrial) -> dict[str, Any]:
        seconds, shared = self._timeline.seconds(trial)
        return {
            "hippo_trial": trial.number,
            "hippo_state": trial.state.value,
            "hippo_reason": trial.reason,
            "hippo_steps": trial.step,
            "hippo_stage_path": [list(part) for part in trial.path],
            "hippo_gpu_seconds": seconds,
            "hippo_shared_gpu_seconds": shared,
            "hippo_checkpoint": max(trial.checkpoints, default=None),
            "hippo_fork": None if trial.parent is None else {"trial": trial.parent, "at": trial.forked_at},
            "hippo_metrics": dict(last_metrics(trial)),
            "hippo_hyperparameters": dict(trial.hyperparameters),
        }
