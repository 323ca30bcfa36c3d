"""A study and its trials on a server, as a program sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hippo_client import study_arguments
from hippo_client.request_ids import new_request_id
from hippo_client.trial import Trial, Trials
from hippo_core.endings import Ending
from hippo_core.endings import checked as checked_endings
from hippo_core.engine.states import StudyState
from hippo_core.errors import InvalidStudy
from hippo_wire import json_shapes, json_types

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from hippo_client.client import Client
    from hippo_client.result_tables import Style
    from hippo_client.stage_tree import StageTree
    from hippo_client.study import Study
    from hippo_client.watching import Progress, StudySnapshot
    from hippo_core.policies import PolicySpec
    from hippo_core.samplers import Sampler
    from hippo_core.simulation import Recording
    from hippo_wire.v1 import study_pb2
    from hippo_wire.v1.study_pb2_grpc import StudyServiceStub

#: What changes a study may wait for a server that is being restarted.
CHANGE_SECONDS = 60.0
_PAGE_SIZE = 1000


class StudyHandle:
    """A study on a server. Its properties ask the server each time; its text is what was last heard.

    Args:
        client: The client that found it.
        message: The study as the server told it.
        outcome: What its submission came to: ``created``, ``unchanged`` or ``extended``; empty if it was
            found.
        warnings: What its submission was warned of.
    """

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

    def at(self, client: Client) -> StudyHandle:
        """The same study for another client: where its server has moved, say."""
        return StudyHandle(client, self._message, self.outcome, self.warnings)

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

    def wait(self, progress: bool | Progress = True, timeout: float | None = None) -> StudyHandle:
        """Waits until the study has ended. One that a user paused has not.

        One that the server paused, since its sampler or policy kept failing, is waited for no longer: ``reason`` says
        why, and ``resume`` tries again.

        Args:
            progress: Whether to show how it goes on; or what shows it.
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: It has not ended by then; it goes on.
            Unavailable: The server was out of reach for a minute.
        """
        from hippo_client.showing import choose_progress

        with choose_progress(progress) as shown:
            self.follow(shown, timeout)
        return self

    def follow(
        self, shown: Progress, timeout: float | None = None, notices: Callable[[], Iterable[str]] = tuple
    ) -> None:
        """As ``wait``, for callers that have begun to show something already.

        Args:
            shown: What shows it; entered.
            timeout: Seconds to wait at most.
            notices: What else there is to tell, asked now and then.
        """
        with self._client.open_watch(self.name) as watch:
            last: StudySnapshot | None = None
            for snapshot in watch.snapshots(timeout):
                for notice in notices():
                    shown.notice(notice)
                if snapshot is not None:
                    self._message = snapshot.study
                    last = snapshot
                elif last is not None:
                    # Time passes for those who tell how long it stands so.
                    last = replace(last, changed=())
                if last is not None:
                    shown.show(last)

    def dataframe(self, style: Style = "optuna") -> pd.DataFrame:
        """The trials as a pandas table, a row each, by number; columns are typed, also where there is no trial.

        Args:
            style: ``"optuna"``: the columns of ``optuna.Study.trials_dataframe()`` (``params_*`` is what was drawn,
                ``user_attrs_*`` are the metrics beside the objectives), then ``hippo_*``, of which
                ``hippo_gpu_seconds`` is for how long slots trained the trial's steps, and
                ``hippo_shared_gpu_seconds`` the part of it that other trials of the study have in common with it.
                ``"plain"``: state, step, metrics and hyper-parameters by their names, schedules as in a study file.
                ``"mlflow"``: the columns of ``mlflow.search_runs()``.

                Of repeats metrics are means; spreads (standard deviations) have columns of their own. Where the study
                has constraints, so has what they are violated by.

        Raises:
            InvalidStudy: There is no such style.
            HippoError: pandas is not installed.
        """
        from hippo_client.exporting.frame import frame
        from hippo_client.result_tables import trials_table

        return frame(trials_table(self.export(), style), "dataframe()")

    def history(self) -> pd.DataFrame:
        """The evaluations of all trials as a pandas table: ``trial, step, metric, value, time``, a row each metric.

        Time is when the state was there, in UTC, also where another trial trained it. Of repeats values are means.

        Raises:
            HippoError: pandas is not installed.
        """
        from hippo_client.exporting.frame import frame
        from hippo_client.result_tables import history_table

        return frame(history_table(self.export()), "history()")

    def stage_tree(self) -> StageTree:
        """The study's part of the search plan: what is trained once for which trials."""
        from hippo_client.stage_tree import StageTree, tree_node
        from hippo_wire.v1 import study_pb2

        response: study_pb2.GetStageTreeResponse = self._studies.GetStageTree(
            study_pb2.GetStageTreeRequest(name=self.name)
        )
        return StageTree(tree_node(node) for node in response.nodes)

    def export(self, file: str | Path | None = None) -> Recording:
        """All that is known of it, as a document of its own: what was searched, what came of it, when and at what cost.

        ``hippo simulate --recorded FILE`` and :mod:`hippo_client.simulation` try out on it what another policy, or
        other slots, would have come to. Of a study that runs, each trial is as it was when it was read.

        Args:
            file: Where to write the document, as JSON.
        """
        from hippo_client.recordings import parse, read_export

        document = read_export(self._client.connection, self.name)
        if file is not None:
            Path(file).write_bytes(document)
        return parse(document, self.name)

    def to_optuna(self, storage: Any = None, name: str | None = None) -> optuna.Study:
        """It as an ``optuna.Study``, for Optuna's plots and importances.

        ``pip install 'hippo-hpo[plots]'`` brings what these need; :mod:`hippo_client.plots` draws them for a study.

        Parameters are what was drawn, by the names of the domains; an option of a choice that is a schedule or a
        sub-space has its text for a value. Trials that completed are COMPLETE, stopped ones PRUNED, failed and diverged
        ones FAIL, those of which nothing is trained WAITING, all others RUNNING. Evaluations are intermediate values,
        where there is one objective. A trial began when its first step was trained, or, where another one had trained
        it, when it was made. Trials that users forked are left out: nothing was drawn for them; those that a policy
        forked have what was drawn last. User attributes tell the rest: ``hippo_trial`` (its number here),
        ``hippo_state``, ``hippo_reason``, ``hippo_steps``, ``hippo_stage_path`` (node, start, stop),
        ``hippo_gpu_seconds``, ``hippo_shared_gpu_seconds``, ``hippo_checkpoint`` (the last step that one is kept of),
        ``hippo_fork``, ``hippo_metrics``, ``hippo_hyperparameters``. What constraints come to is where Optuna's
        samplers, plots and ``best_trial`` look for it.

        Args:
            storage: Where Optuna is to keep it, e.g. ``"sqlite:///studies.db"``; by default in memory.
            name: What it is called there; by default as here.

        Raises:
            HippoError: Optuna is not installed.
            Conflict: The storage has a study of that name.
        """
        from hippo_client.optuna_study import convert

        return convert(self.export(), storage, name)

    def savings(self) -> json_types.Savings:
        """What sharing saved: steps without sharing, trained and retrained, merge rate, seconds."""
        return json_shapes.savings_json(self.refresh().savings)

    def pause(self) -> StudyHandle:
        """Grants it no further slots; what runs for it alone is saved and released."""
        from hippo_wire.v1 import study_pb2

        return self._change(
            self._studies.PauseStudy, study_pb2.PauseStudyRequest(request_id=new_request_id(), name=self.name)
        )

    def resume(self) -> StudyHandle:
        """Takes it up again after ``pause``, or tries a sampler or a policy again that kept failing."""
        from hippo_wire.v1 import study_pb2

        return self._change(
            self._studies.ResumeStudy,
            study_pb2.ResumeStudyRequest(request_id=new_request_id(), name=self.name),
        )

    def stop(self) -> StudyHandle:
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
    ) -> StudyHandle:
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

    def checkpoints(self) -> list[dict[str, Any]]:
        """The checkpoints on the paths of its trials, as ``hippo checkpoint ls --json`` lists them.

        ``need`` and ``reason`` say why each is kept; ``steps`` and ``seconds`` are what training it again would take.
        """
        from hippo_client.checkpoint import checkpoint_json, kept_checkpoints

        return [checkpoint_json(each) for each in kept_checkpoints(self._client.connection, self.name)[0]]

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

    def _trial(self, message: study_pb2.Trial) -> Trial:
        return Trial(self._client, self.name, message)

    def _change(self, method: Callable[..., Any], request: object) -> StudyHandle:
        self._message = method(request, timeout=CHANGE_SECONDS).study
        return self

    def _list_trials(self) -> Iterator[study_pb2.Trial]:
        from hippo_wire.v1 import study_pb2

        token = ""
        while True:
            page = self._studies.ListTrials(
                study_pb2.ListTrialsRequest(name=self.name, page_size=_PAGE_SIZE, page_token=token)
            )
            yield from page.trials
            token = page.next_page_token
            if not token:
                return

    def __repr__(self) -> str:
        told = json_shapes.study_json(self._message)
        counts = ", ".join(f"{count} {state}" for state, count in told["trials"].items() if count)
        return f"<StudyHandle {self.name!r}: {told['state']}; trials: {counts or 'none'}>"

    def _repr_html_(self) -> str:
        from hippo_client.notebook import handle_html

        return handle_html(self._message)


class Studies(list[StudyHandle]):
    """Studies in a list; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        from hippo_client.notebook import studies_html

        return studies_html([each.last_heard for each in self])
