"""Trials of one's own: forks, points, and those of an optimiser outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hippo_client.handles.seen import SeenStudy
from hippo_client.handles.trial import Trial
from hippo_client.request_ids import CHANGE_SECONDS, new_request_id
from hippo_core.errors import InvalidStudy


class StudyPoints(SeenStudy):
    """A study that takes trials from outside."""

    def fork(self, trial: int, at: int, hyperparameters: Mapping[str, Any]) -> Trial:
        """Makes a trial that goes as another up to a step, and has other hyper-parameters from there on.

        What it has in common with its parent is trained once. It is not counted in max_trials, no sampler hears of it,
        and the policy sees a trial like any other. A study that has ended runs again.

        Args:
            trial: The number of its parent, in any state.
            at: The first step at which they may differ; also 0, and also beyond what the parent has reached.
            hyperparameters: By name, a value or a schedule, which counts from ``at``; the others go on as the parent's.

        Returns:
            The new trial.

        Raises:
            InvalidStudy: A name is not the parent's, or a value is of another kind.
        """
        import json

        from hippo_core.domains import part_to_json
        from hippo_wire.v1 import study_pb2

        for field, number in (("trial", trial), ("at", at)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 0:
                raise InvalidStudy(field, f"must be an int of at least 0, not {number!r}.")
        written = {name: part_to_json(part) for name, part in hyperparameters.items()}
        request = study_pb2.ForkTrialRequest(
            request_id=new_request_id(),
            name=self.name,
            trial=trial,
            at=at,
            hyperparameters_json=json.dumps(written),
        )
        return self._trial(self._studies.ForkTrial(request, timeout=CHANGE_SECONDS).trial)

    def enqueue(self, point: Mapping[str, Any]) -> Trial:
        """Makes the next trial, at a point of one's own, whatever the sampler.

        A sampler that learns, learns from it; it takes the place of the point that would have come next, and counts in
        max_trials. Where all points are known from the start (grid, random, qmc) it is one more, beside max_trials, and
        a study that has ended runs again.

        Args:
            point: By hyper-parameter, nested or with dots: its value as a trial has it, an option of a choice as it is
                written in the space; or ``trial.hyperparameters`` of another trial. What is not searched may be left
                out.

        Returns:
            The new trial.

        Raises:
            InvalidStudy: It is no point of the space.
            Conflict: The study has all its trials, or has ended; names the remedy.
        """
        return self._enqueue(point)

    def ask(self, n: int = 1, timeout: float | None = None) -> list[str]:
        """Waits until the study wants points from outside, and takes on to make some; for ``samplers.outside()``.

        A point is wanted for each slot that would idle, and one where the study has nothing else to do. What one asks
        for, others do not get for a minute: an optimiser that dies keeps no slot idle, and one that takes longer may
        tell its point all the same while there is room.

        Args:
            n: How many points to make at most, 1 to 1000.
            timeout: Seconds to wait at most; None: until points are wanted, or will be no more. 0 does not wait.

        Returns:
            An ask for each point, to be given to ``tell``. None at all: the study has ended or has all its trials, or
            nothing was wanted in time.

        Raises:
            Conflict: The study's points do not come from outside.
            Unavailable: The server was out of reach for a minute.
        """
        from hippo_client import asking

        return asking.ask(self._studies, self.name, n, timeout)

    def tell(self, ask: str, point: Mapping[str, Any]) -> Trial:
        """Makes the trial that was asked for. Told again with the same point, the same trial.

        Args:
            ask: What ``ask`` returned.
            point: As for ``enqueue``.

        Returns:
            The new trial.

        Raises:
            InvalidStudy: It is no point of the space; the study goes on to wait for one.
            Conflict: The ask was answered with another point, or the study has all its trials, or has ended.
        """
        if not isinstance(ask, str) or not ask:
            raise InvalidStudy("ask", f"must be one that run.ask() returned, not {ask!r}.")
        return self._enqueue(point, ask)

    def results(self, since: int = 0, timeout: float | None = 0.0) -> tuple[list[Trial], int]:
        """The trials of which something new is known: they came to what was asked of them, or ended.

        Args:
            since: The mark that came with the results before; 0: from the beginning. Marks stay good over restarts.
            timeout: Seconds to wait for something new; None: until there is, or the study has ended.

        Returns:
            The trials as they are now, in the order in which the news came, and the mark for the next time.

        Raises:
            Unavailable: The server was out of reach for a minute.
        """
        from hippo_client import asking

        found, mark = asking.results(self._studies, self.name, since, timeout)
        return [self._trial(message) for message in found], mark

    def _enqueue(self, point: Mapping[str, Any], ask: str = "") -> Trial:
        import json

        from hippo_core.points import point_to_json
        from hippo_wire.v1 import study_pb2

        request = study_pb2.EnqueueTrialRequest(
            request_id=new_request_id(),
            name=self.name,
            point_json=json.dumps(point_to_json(point, "point")),
            ask=ask,
        )
        return self._trial(self._studies.EnqueueTrial(request, timeout=CHANGE_SECONDS).trial)
