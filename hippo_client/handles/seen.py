"""What a server tells of a study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hippo_client.handles.trial import Trial, Trials
from hippo_core.engine.states import StudyState
from hippo_wire import json_shapes, json_types

if TYPE_CHECKING:
    from hippo_client.client import Client
    from hippo_wire.v1 import study_pb2
    from hippo_wire.v1.study_pb2_grpc import StudyServiceStub


PAGE_SIZE = 1000


class SeenStudy:
    """A study as a server tells of it. Its properties ask the server each time."""

    def __init__(
        self, client: Client, message: study_pb2.Study, outcome: str = "", warnings: Sequence[str] = ()
    ) -> None:
        self._client = client
        self._name = message.name
        self._message = message
        self.outcome = outcome
        self.warnings = tuple(warnings)

    @property
    def name(self) -> str:
        """Its name within the project."""
        return self._name

    @property
    def last_heard(self) -> study_pb2.Study:
        """The study as the server told it last, without asking again."""
        return self._message

    @property
    def state(self) -> StudyState:
        """``running``, ``paused``, ``stopped``, ``completed`` or ``failed``; compares equal to these words."""
        return json_shapes.study_state(self.refresh())

    @property
    def reason(self) -> str:
        """Why it is in its state, or what it waits for; may be empty."""
        return self.refresh().reason

    @property
    def best_trial(self) -> Trial | None:
        """The best of the trials that completed; before, of those at the deepest step reached; None if it failed.

        Where the study has constraints: the best feasible one; where none is (``feasible`` is False), that which
        violates them least.
        """
        message = self.refresh()
        return self._trial(message.best_trial) if message.HasField("best_trial") else None

    @property
    def best_trials(self) -> list[Trial]:
        """The Pareto front, where there are several objectives; else the best trial."""
        return Trials(self._trial(trial) for trial in self.refresh().best_trials)

    @property
    def best_by_horizon(self) -> dict[int, Trial]:
        """Where the study has horizons: the best trial of each, by its length; without one where none has a value."""
        found: dict[int, Trial] = {}
        for trial in self.refresh().best_by_horizon:
            found.setdefault(trial.horizon, self._trial(trial))
        return found

    def trials(self) -> list[Trial]:
        """All trials, by number."""
        return Trials(self._trial(message) for message in self._list_trials())

    def trial(self, number: int) -> Trial:
        """The trial of that number.

        Raises:
            NotFound: There is none.
        """
        from hippo_wire.v1 import study_pb2

        detail: study_pb2.GetTrialResponse = self._studies.GetTrial(
            study_pb2.GetTrialRequest(name=self.name, trial=number)
        )
        return self._trial(detail.trial)

    def savings(self) -> json_types.Savings:
        """What sharing saved: steps without sharing, trained and retrained, merge rate, seconds."""
        return json_shapes.savings_json(self.refresh().savings)

    def to_json(self) -> json_types.Study:
        """The study as ``hippo study show --json`` prints it."""
        return json_shapes.study_json(self.refresh())

    def refresh(self) -> study_pb2.Study:
        """Asks the server for it.

        Raises:
            NotFound: It was deleted.
        """
        from hippo_wire.v1 import study_pb2

        self._message = self._studies.GetStudy(study_pb2.GetStudyRequest(name=self.name)).study
        return self._message

    @property
    def _studies(self) -> StudyServiceStub:
        return self._client.connection.studies

    def _trial(self, message: study_pb2.Trial) -> Trial:
        return Trial(self._client, self.name, message)

    def _list_trials(self) -> Iterator[study_pb2.Trial]:
        from hippo_wire.v1 import study_pb2

        token = ""
        while True:
            page = self._studies.ListTrials(
                study_pb2.ListTrialsRequest(name=self.name, page_size=PAGE_SIZE, page_token=token)
            )
            yield from page.trials
            token = page.next_page_token
            if not token:
                return
