"""Where a study of Optuna's looks its trials up, while one point is drawn: they are shared, and never copied in."""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

#: Samplers may look at when trials began; they all began at once.
WHENEVER = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)
STUDY = 0  #: the number of the only study
NAME = "study"


class SharedTrials(BaseStorage):
    """A storage of one study, whose trials are numbered by their place.

    A trial that is added is kept as it is, and may be in several storages: what changes one puts a copy in its place.
    """

    def __init__(self) -> None:
        self._directions: list[StudyDirection] = []
        self._trials: list[FrozenTrial] = []
        self._user_attrs: dict[str, Any] = {}
        self._system_attrs: dict[str, Any] = {}

    def share(self, trial: FrozenTrial) -> None:
        """Adds a trial that was added to a storage before, at the same place."""
        self._trials.append(trial)

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """The only one."""
        self._directions = list(directions)
        return STUDY

    def delete_study(self, study_id: int) -> None:
        """Forgets its trials."""
        self._trials = []

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Notes something with the study."""
        self._user_attrs[key] = value

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Notes something with the study, for the sampler."""
        self._system_attrs[key] = value

    def get_study_id_from_name(self, study_name: str) -> int:
        """The only one there is."""
        return STUDY

    def get_study_name_from_id(self, study_id: int) -> str:
        """The only one there is."""
        return NAME

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """One for each objective."""
        return self._directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """What was noted."""
        return self._user_attrs

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """What was noted for the sampler."""
        return self._system_attrs

    def get_all_studies(self) -> list[Any]:
        """None is listed: whoever draws a point has the one."""
        return []

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Adds a trial as it is; or one that begins."""
        number = len(self._trials)
        trial = _begun(number) if template_trial is None else template_trial
        if (trial.number, trial._trial_id) != (number, number):
            raise ValueError(f"trial {trial.number} at place {number}")
        self._trials.append(trial)
        return number

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Notes what was drawn."""
        trial = self._renewed(trial_id)
        trial.params = {**trial.params, param_name: distribution.to_external_repr(param_value_internal)}
        trial.distributions = {**trial.distributions, param_name: distribution}

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Ends a trial."""
        trial = self._renewed(trial_id)
        begins_again = state == TrialState.RUNNING == trial.state
        trial.state = state
        if values is not None:
            trial.values = values
        if state.is_finished():
            trial.datetime_complete = WHENEVER
        return not begins_again

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Notes a report."""
        trial = self._renewed(trial_id)
        trial.intermediate_values = {**trial.intermediate_values, step: intermediate_value}

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Notes something with a trial."""
        trial = self._renewed(trial_id)
        trial.user_attrs = {**trial.user_attrs, key: value}

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Notes something with a trial, for the sampler."""
        trial = self._renewed(trial_id)
        trial.system_attrs = {**trial.system_attrs, key: value}

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A trial by its place."""
        if not 0 <= trial_id < len(self._trials):
            raise KeyError(f"there is no trial {trial_id}")
        return self._trials[trial_id]

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Those in some states, in order."""
        found = [each for each in self._trials if states is None or each.state in states]
        return copy.deepcopy(found) if deepcopy else found

    def _renewed(self, number: int) -> FrozenTrial:
        """A copy, in the place of a trial that runs."""
        trial = self.get_trial(number)
        self.check_trial_is_updatable(number, trial.state)
        self._trials[number] = copy.copy(trial)
        return self._trials[number]


def _begun(number: int) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.RUNNING,
        value=None,
        datetime_start=WHENEVER,
        datetime_complete=None,
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )
