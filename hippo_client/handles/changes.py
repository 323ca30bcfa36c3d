"""What changes a study as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from hippo_client import study_arguments
from hippo_client.handles.seen import SeenStudy
from hippo_client.request_ids import CHANGE_SECONDS, new_request_id
from hippo_core.endings import Ending
from hippo_core.endings import checked as checked_endings
from hippo_core.errors import InvalidStudy

if TYPE_CHECKING:
    from hippo_client.study import Study
    from hippo_core.policies import PolicySpec
    from hippo_core.samplers import Sampler


class StudyChanges(SeenStudy):
    """A study that can be paused, resumed, stopped, extended, edited, tried again and deleted."""

    def pause(self) -> Self:
        """Grants it no further slots; what runs for it alone is saved and released."""
        from hippo_wire.v1 import study_pb2

        return self._change(
            self._studies.PauseStudy, study_pb2.PauseStudyRequest(request_id=new_request_id(), name=self.name)
        )

    def resume(self) -> Self:
        """Takes it up again after ``pause``, or tries a sampler or a policy again that kept failing."""
        from hippo_wire.v1 import study_pb2

        return self._change(
            self._studies.ResumeStudy,
            study_pb2.ResumeStudyRequest(request_id=new_request_id(), name=self.name),
        )

    def stop(self) -> Self:
        """Ends it; its open trials end as stopped."""
        from hippo_wire.v1 import study_pb2

        return self._change(
            self._studies.StopStudy, study_pb2.StopStudyRequest(request_id=new_request_id(), name=self.name)
        )

    def extend(
        self,
        max_trials: int | None = None,
        max_steps: int | None = None,
        priority: int | None = None,
        endings: Sequence[Ending] = (),
        horizons: Sequence[int] = (),
    ) -> Self:
        """Raises or changes what is given; the numbers are absolute, not added to what there is.

        An ended study is taken up again by a larger ``max_trials`` or ``max_steps``, by further horizons, and by a
        change of the ending that ended it.

        Args:
            max_trials: How many trials in all.
            max_steps: How far any one trial may be trained in all.
            priority: Studies with a higher one are trained first.
            endings: Each in place of the one of its kind; the others stay.
            horizons: Further lengths, at which every point is tried, too; only what is new of them is trained.

        Raises:
            InvalidStudy: A number is smaller than before, or nothing is given.
            Conflict: The study has ended and would end at once, since one of its endings holds.
        """
        import json

        from hippo_core.study_warnings import rounded_horizons
        from hippo_wire.v1 import study_pb2

        changed, further = checked_endings(endings), study_arguments.horizons(horizons)
        if max_trials is None and max_steps is None and priority is None and not changed and not further:
            raise InvalidStudy(
                "extend", "nothing is given.", "Give max_trials, max_steps, horizons, priority or endings."
            )
        request = study_pb2.ExtendStudyRequest(
            request_id=new_request_id(),
            name=self.name,
            max_trials=max_trials,
            max_steps=max_steps,
            priority=priority,
            endings_json=json.dumps([each.to_json() for each in changed]) if changed else "",
            horizons=further,
        )
        self._change(self._studies.ExtendStudy, request)
        every = json.loads(self._message.spec_json)["program"]["evaluate_every"] if further else 1
        self.warnings = rounded_horizons(further, every)
        return self

    def edit(
        self,
        study: Study | None = None,
        *,
        space: Mapping[str, Any] | None = None,
        sampler: Sampler | None = None,
        policy: PolicySpec | None = None,
        priority: int | None = None,
        max_trials: int | None = None,
        max_steps: int | None = None,
        checkpoint_every: int | None = None,
        keep: str | None = None,
        checkpoint_budget: int | str | None = None,
        dry_run: bool = False,
    ) -> tuple[str, ...]:
        """Changes it while it runs, or afterwards: what it draws from, the policy, how it is carried out.

        Trials that are there stay what they are; further ones are drawn from the edited space. Another policy, or other
        arguments of it, decides as if it had been there from the start: what it asks for is there at once as far as it
        is trained, trials that it wants go on, also those that the earlier one had stopped, and nothing that is trained
        is lost. ``warnings`` tells what else there is to know.

        Args:
            study: The whole study as it is to be, a changed study file's say, whose name is not looked at unless it
                gives one; or the parts that change:
            space: By name, other values, schedules or domains; the others stay.
            sampler: Which points to try from now on.
            policy: How far to train whom.
            priority: Studies with a higher one are trained first.
            max_trials: How many trials it has in all; larger than before.
            max_steps: How far any one trial may be trained; larger than before.
            checkpoint_every: Save after so many steps.
            keep: Which checkpoints stay whatever the budgets say: ``"best:3"``, ``"ends"``, ``"all"``.
            checkpoint_budget: How much its checkpoints may hold, e.g. ``"20GiB"``.
            dry_run: Only tell what would change.

        Returns:
            What has changed, in lines ``field: old -> new``; none: nothing.

        Raises:
            InvalidStudy: The edited study is not valid, or another kind of hyper-parameter is needed.
            Conflict: Another program would be needed; or somebody else changed the study meanwhile.
        """
        from hippo_client.editing import edit_request

        parts = {
            "sampler": sampler,
            "policy": policy,
            "priority": priority,
            "max_trials": max_trials,
            "max_steps": max_steps,
            "checkpoint_every": checkpoint_every,
            "keep": keep,
            "checkpoint_budget": checkpoint_budget,
        }
        request = edit_request(self._client, self.refresh(), study, space, parts, dry_run=dry_run)
        answer = self._studies.EditStudy(request, timeout=CHANGE_SECONDS)
        self._message, self.warnings = answer.study, tuple(answer.warnings)
        return tuple(answer.differences)

    def retry(self) -> int:
        """Opens all failed trials again, but for those that a fork has replaced; ``warnings`` tells of these.

        Returns:
            How many were opened.
        """
        from hippo_wire.v1 import study_pb2

        response = self._studies.RetryTrials(
            study_pb2.RetryTrialsRequest(request_id=new_request_id(), name=self.name), timeout=CHANGE_SECONDS
        )
        self._message, self.warnings = response.study, tuple(response.warnings)
        return response.trial_count

    def delete(self) -> int:
        """Forgets it, if it has ended or is paused. What was trained stays while an equal program has other studies.

        With the last one go its checkpoints, and an equal study is trained anew.

        Returns:
            How many trials went.

        Raises:
            Conflict: It runs.
        """
        from hippo_wire.v1 import study_pb2

        response = self._studies.DeleteStudy(
            study_pb2.DeleteStudyRequest(request_id=new_request_id(), name=self.name), timeout=CHANGE_SECONDS
        )
        return response.trial_count

    def _change(self, method: Callable[..., Any], request: object) -> Self:
        self._message = method(request, timeout=CHANGE_SECONDS).study
        return self
