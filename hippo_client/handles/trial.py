"""One trial of a study on a server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hippo_client.checkpoint import Checkpoint, find_checkpoint
from hippo_client.request_ids import CHANGE_SECONDS, new_request_id
from hippo_core.engine.states import TrialState
from hippo_core.errors import InvalidStudy
from hippo_wire import json_shapes, json_types

if TYPE_CHECKING:
    from hippo_client.client import Client
    from hippo_client.explanation import Explanation
    from hippo_core.values import Scalar
    from hippo_wire.v1 import study_pb2


class Trial:
    """One trial as it was when it was read; ``refresh`` reads it again. Methods ask the server.

    Args:
        client: The client that found it.
        study: The study's name.
        message: The trial as the server told it.
    """

    def __init__(self, client: Client, study: str, message: study_pb2.Trial) -> None:
        self._client = client
        self._message = message
        self.study = study
        self.warnings: tuple[str, ...] = ()  #: of the last change, in words

    @property
    def number(self) -> int:
        """Its number within the study, from 0."""
        return self._message.number

    @property
    def state(self) -> TrialState:
        """``waiting``, ``running``, ``paused``, ``completed``, ``stopped``, ``diverged`` or ``failed``."""
        return json_shapes.trial_state(self._message)

    @property
    def reason(self) -> str:
        """Why it is in its state, in words; may be empty."""
        return self._message.reason

    @property
    def step(self) -> int:
        """The step that it has reached."""
        return self._message.step

    @property
    def max_steps(self) -> int:
        """How far it may be trained."""
        return self._message.max_steps

    @property
    def horizon(self) -> int | None:
        """How long it is among its study's horizons; of a fork, its parent; None: the study has none."""
        return self._message.horizon if self._message.HasField("horizon") else None

    @property
    def parent(self) -> int | None:
        """The number of the trial that it was forked from; None: it is no fork."""
        return self._message.parent if self._message.HasField("parent") else None

    @property
    def forked_at(self) -> int | None:
        """The first step at which a fork may differ from its parent; None: it is no fork."""
        return self._message.forked_at if self._message.HasField("forked_at") else None

    @property
    def instead_of(self) -> int | None:
        """The number of the trial whose place it took, where its policy forked it; None: nobody's."""
        return self._message.instead_of if self._message.HasField("instead_of") else None

    def lineage(self) -> list[dict[str, int]]:
        """As which trials it goes: ``[{"trial": 3, "start": 0}, {"trial": 9, "start": 4}]``, itself the last.

        ``start`` is the first step that each may differ in from the one before it.
        """
        found = []
        trial: Trial = self
        while trial.parent is not None and trial.forked_at is not None:
            found.append({"trial": trial.number, "start": trial.forked_at})
            trial = Trial(self._client, self.study, self._detail_of(trial.parent).trial)
        return [{"trial": trial.number, "start": 0}, *reversed(found)]

    @property
    def metrics(self) -> dict[str, float | None]:
        """Its last evaluation's metrics by name; None for one that is not finite."""
        return json_shapes.metrics_json(self._message.metrics)

    @property
    def spread(self) -> dict[str, float | None]:
        """By name, the sample standard deviation of its repeats, whose means ``metrics`` has; empty without."""
        return json_shapes.metrics_json(self._message.spread)

    @property
    def violation(self) -> float | None:
        """By how much its metrics violate the study's constraints in all, each in terms of its bound; 0: not at all.

        None: the study has no constraints, or nothing is known yet.
        """
        return json_shapes.violation(self._message)

    @property
    def feasible(self) -> bool | None:
        """Whether its metrics keep the study's constraints; None: it has none, or nothing is known yet."""
        return None if self.violation is None else not self.violation

    def repeats(self) -> list[json_types.Repeat]:
        """Its repeats, each by itself; none without: ``[{"repeat", "seed", "state", "step", "history"}, ...]``."""
        return json_shapes.repeats_json(self._detail().repeats)

    def probes(self) -> list[json_types.Probe]:
        """Short branches that told its policy how good its states are; they are no trials, and changed nothing of it.

        ``[{"probe", "at", "to", "factors", "reason", "state", "step", "metrics", "failure"}, ...]``: from step ``at``
        on the values of the step before were held, those named in ``factors`` multiplied, up to step ``to``, at which
        the ``metrics`` are.
        """
        return json_shapes.probes_json(self._detail().probes)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """By name: constants plain, schedules as ``{"schedule": "cosine", "initial": 0.1, ...}``."""
        found: dict[str, Any] = json.loads(self._message.hyperparameters_json)
        return found

    def values(self, step: int) -> dict[str, Scalar]:
        """The hyper-parameters' values at a step, as the trainer gets them; also at one not reached yet.

        Args:
            step: From 0.
        """
        from hippo_core.study import StudySpec
        from hippo_wire.v1 import study_pb2

        if isinstance(step, bool) or not isinstance(step, int) or step < 0:
            raise InvalidStudy("step", f"must be an int of at least 0, not {step!r}.")
        response = self._client.connection.studies.GetStudy(study_pb2.GetStudyRequest(name=self.study))
        spec = StudySpec.from_json(json.loads(response.study.spec_json))
        return spec.sequence_of(self.hyperparameters).values(step)

    def history(self) -> list[json_types.Evaluation]:
        """Its evaluations by step: ``[{"step": 1, "metrics": {...}}, ...]``."""
        return json_shapes.history_json(self._detail().history)

    def checkpoint(self, step: int | None = None) -> Checkpoint:
        """Its state at a step, as kept in the server's storage.

        Args:
            step: The state's step; by default that of a completed trial's end, else the last that is kept.

        Raises:
            NotFound: None is kept, or none of that step.
        """
        detail = self._detail()
        if step is None and json_shapes.trial_state(detail.trial) is TrialState.COMPLETED:
            step = detail.trial.step
        return find_checkpoint(self._client, self.study, self.number, detail.checkpoints, step)

    def logs(self) -> str:
        """What user code printed while the nodes of the trial's path were trained, from its first step on.

        A node that the trial leaves for another has what was printed there for those that went on.
        """
        from hippo_wire.v1 import study_pb2

        stream = self._client.connection.studies.ReadTrialLog(
            study_pb2.ReadTrialLogRequest(name=self.study, trial=self.number)
        )
        return "".join(piece.text for piece in stream)

    def explain(self) -> Explanation:
        """What happened to it and why, in order: a list of events; printed, text for a person.

        Who proposed it, each request with its reason, what was trained for it and what was there already, what it
        reached, and why it rested, was promoted, stopped or failed.
        """
        from hippo_client.explanation import Explanation
        from hippo_wire.v1 import study_pb2

        answer: study_pb2.ExplainTrialResponse = self._client.connection.studies.ExplainTrial(
            study_pb2.ExplainTrialRequest(name=self.study, trial=self.number)
        )
        self._message = answer.trial
        return Explanation(self.study, answer)

    def retry(self) -> Trial:
        """Opens it again after it failed.

        Raises:
            Conflict: It has not failed, or a fork has taken its place in the population.
        """
        from hippo_wire.v1 import study_pb2

        request = study_pb2.RetryTrialsRequest(
            request_id=new_request_id(), name=self.study, trial=self.number
        )
        self._client.connection.studies.RetryTrials(request, timeout=CHANGE_SECONDS)
        return self.refresh()

    def extend(self, to: int) -> Trial:
        """Trains it up to a step, whatever its limit and its policy say; ``warnings`` tells what was rounded.

        What its policy asks of it comes first; the policy hears nothing of the rest, and decides on others as it
        would. A study that has ended runs again, and ends again.

        Args:
            to: The step, absolute; rounded up to one with an evaluation.

        Raises:
            InvalidStudy: It is below what the trial has reached.
            Conflict: The trial has diverged, or failed.
        """
        from hippo_wire.v1 import study_pb2

        if isinstance(to, bool) or not isinstance(to, int) or to < 1:
            raise InvalidStudy("to", f"must be an int of at least 1, not {to!r}.")
        request = study_pb2.ExtendTrialRequest(
            request_id=new_request_id(), name=self.study, trial=self.number, to=to
        )
        answer = self._client.connection.studies.ExtendTrial(request, timeout=CHANGE_SECONDS)
        self._message, self.warnings = answer.trial, tuple(answer.warnings)
        return self

    def stop(self) -> bool:
        """Ends it, whether it is being trained or rests; no extension of the study takes it up again.

        Returns:
            Whether there was something to stop; False: it had ended before.
        """
        from hippo_wire.v1 import study_pb2

        request = study_pb2.StopTrialRequest(request_id=new_request_id(), name=self.study, trial=self.number)
        answer = self._client.connection.studies.StopTrial(request, timeout=CHANGE_SECONDS)
        self._message = answer.trial
        return answer.stopped

    def refresh(self) -> Trial:
        """Reads it again."""
        self._message = self._detail().trial
        return self

    def to_json(self, detail: bool = False) -> json_types.Trial:
        """The trial as ``hippo trial ls --json`` prints it; with ``detail`` as ``trial show --json`` does."""
        return (
            json_shapes.trial_detail_json(self._detail()) if detail else json_shapes.trial_json(self._message)
        )

    def _detail(self) -> study_pb2.GetTrialResponse:
        return self._detail_of(self.number)

    def _detail_of(self, number: int) -> study_pb2.GetTrialResponse:
        from hippo_wire.v1 import study_pb2

        return self._client.connection.studies.GetTrial(
            study_pb2.GetTrialRequest(name=self.study, trial=number)
        )

    def __repr__(self) -> str:
        from hippo_core.words import hyperparameter, measured

        spread = self.spread
        metrics = " ".join(
            f"{name}={measured(value, spread.get(name))}" for name, value in self.metrics.items()
        )
        written = ", ".join(f"{name}={hyperparameter(value)}" for name, value in self.hyperparameters.items())
        return (
            f"<Trial {self.number}: {self.state} at step {self.step}; {metrics or 'no metrics'}; {written}>"
        )

    def _repr_html_(self) -> str:
        from hippo_client.notebook import trial_html

        return trial_html(self._message)


class Trials(list[Trial]):
    """Trials of a study in a list; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        from hippo_client.notebook import trials_html

        return trials_html([each._message for each in self])
