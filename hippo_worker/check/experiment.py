"""One experiment on a trainer, in a process of its own: some steps, with what is to be shown to change nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hippo_core.program import Program
from hippo_core.training import Trainer
from hippo_core.values import Scalar, scalar_from_json, scalar_to_json
from hippo_storage.state import capture, read, write
from hippo_worker.check.alterations import alter
from hippo_worker.check.hidden import observe_hidden
from hippo_worker.check.observation import Digests, differing, observe
from hippo_worker.hosting.collection import NotRestorable
from hippo_worker.hosting.failures import explain
from hippo_worker.hosting.hosted import HostedTrainer, TrainerFailed, user_code
from hippo_worker.hosting.loading import Code
from hippo_worker.hosting.metrics import settle
from hippo_worker.hosting.numerics import Plain, capture_numerics, restore_numerics
from hippo_worker.hosting.runtime import prepare, require_threads
from hippo_worker.hosting.survey import Surveyor
from hippo_worker.secrets import Redaction, Secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """What to do.

    Attributes:
        program: What is trained.
        code: The folder of the bundle.
        data_dir: As ``context.data_dir``.
        device: "cpu" or "cuda".
        values: The values at steps 0, 1, ...; as many steps are trained.
        start: The state to start from, taken from `saved`; 0: from nothing.
        evaluate: Whether every state is evaluated.
        apply_again: Whether ``apply`` is called before every step, and twice where values change.
        save: Whether every state is written to `saved` and looked at; else only the last is looked at.
        saved: The folder of written states.
        warm: States to load afterwards, in the same process, and to train to the end from; 0: from nothing again, by
            another trainer object.
        alterations: What is altered about the process.
        secrets: Names of the secrets that the trainer gets.
        secrets_file: The file that has them; their values are in no other.
    """

    program: Program
    code: Path
    data_dir: Path
    device: str
    values: tuple[Mapping[str, Scalar], ...]
    start: int = 0
    evaluate: bool = True
    apply_again: bool = False
    save: bool = False
    saved: Path
    warm: tuple[int, ...] = ()
    alterations: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    secrets_file: Path

    def to_json(self) -> dict[str, Any]:
        """The experiment as a JSON object."""
        values = [{name: scalar_to_json(value) for name, value in each.items()} for each in self.values]
        return {
            "program": self.program.to_json(),
            "code": str(self.code),
            "data_dir": str(self.data_dir),
            "device": self.device,
            "values": values,
            "start": self.start,
            "evaluate": self.evaluate,
            "apply_again": self.apply_again,
            "save": self.save,
            "saved": str(self.saved),
            "warm": list(self.warm),
            "alterations": list(self.alterations),
            "secrets": list(self.secrets),
            "secrets_file": str(self.secrets_file),
        }

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Experiment:
        """The inverse of `to_json`."""
        content = dict(json)
        content["program"] = Program.from_json(content["program"])
        for name in ("code", "data_dir", "saved", "secrets_file"):
            content[name] = Path(content[name])
        content["values"] = tuple(
            {name: scalar_from_json(value) for name, value in each.items()} for each in content["values"]
        )
        for name in ("warm", "alterations", "secrets"):
            content[name] = tuple(content[name])
        return cls(**content)


@dataclass(slots=True)
class State:
    """What was seen at one state: metrics as hexadecimal floats, digests by path."""

    metrics: dict[str, str] = field(default_factory=dict)
    strict: Digests = field(default_factory=dict)
    lax: Digests = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """A run of steps.

    Attributes:
        start: Where it started.
        loaded: What was seen right after the state was loaded.
        states: What was seen, by state.
        changed_by_evaluate: The paths that ``evaluate`` changed.
        changed_by_apply: The paths that a second ``apply`` with the same values changed.
    """

    start: int
    loaded: State = field(default_factory=State)
    states: dict[int, State] = field(default_factory=dict)
    changed_by_evaluate: list[str] = field(default_factory=list)
    changed_by_apply: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Result:
    """What came of an experiment.

    Attributes:
        runs: The run, and after it the warm ones.
        failure: The trainer's error in words; empty: none.
        trace: Its trace.
        failed_at: The step it failed at.
        hidden_before: State outside the trainer after ``setup``.
        hidden_after: The same at the end of the first run.
        hidden_again: The same after the ``setup`` of another trainer object.
    """

    runs: list[Run] = field(default_factory=list)
    failure: str = ""
    trace: str = ""
    failed_at: int = 0
    hidden_before: Digests = field(default_factory=dict)
    hidden_after: Digests = field(default_factory=dict)
    hidden_again: Digests = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Result:
        """The inverse of `to_json`."""
        content = dict(json)
        content["runs"] = [_run_from_json(run) for run in content["runs"]]
        return cls(**content)


def _run_from_json(json: Mapping[str, Any]) -> Run:
    content = dict(json)
    content["loaded"] = State(**content["loaded"])
    content["states"] = {int(step): State(**state) for step, state in content["states"].items()}
    return Run(**content)


class Laboratory:
    """Carries an experiment out in this process."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._threads = experiment.program.resources.cpus
        self._code = Code(experiment.code)
        self._surveyor = Surveyor(self._code.is_users)
        self._result = Result()
        self._step = experiment.start
        self._numerics: dict[str, Plain] = {}

    def run(self) -> Result:
        """What came of it; errors of the trainer are part of that."""
        experiment, result = self._experiment, self._result
        try:
            prepare(experiment.device, self._threads, experiment.program.deterministic)
            with user_code():
                cls = self._code.trainer_class(experiment.program.trainer)
                self._code.require_accounted()
            self._numerics = capture_numerics()
            hosted = self._make(cls)
            result.hidden_before = self._hidden(hosted)
            self._train(hosted, experiment.start)
            result.hidden_after = self._hidden(hosted)
            for start in experiment.warm:
                if start:
                    hosted = self._train(hosted, start, cls)
                else:
                    hosted.close()
                    del hosted  # as the host does: it may need the room
                    hosted = self._begin_again(cls)
        except TrainerFailed as error:
            words = explain(error.error, self._code.folder)
            result.failure, result.trace, result.failed_at = words.message, words.traceback, self._step
        return result

    def _make(self, cls: type[Trainer]) -> HostedTrainer:
        restore_numerics(self._numerics)  # as the host does
        hosted = HostedTrainer(
            cls,
            program=self._experiment.program,
            values=self._experiment.values[0],
            device=self._experiment.device,
            threads=self._threads,
            data_dir=self._experiment.data_dir,
            is_users=self._code.is_users,
        )
        with user_code():
            self._code.require_accounted()
        return hosted

    def _begin_again(self, cls: type[Trainer]) -> HostedTrainer:
        """A run by another trainer, as a second trial is trained in the same process; gives the trainer."""
        run = self._run_from(0)
        hosted = self._make(cls)
        self._result.hidden_again = self._hidden(hosted)
        self._train_from(hosted, run)
        return hosted

    def _train(self, hosted: HostedTrainer, start: int, cls: type[Trainer] | None = None) -> HostedTrainer:
        """One run; gives the trainer that it ended with, a new one where the old could not take the state."""
        run = self._run_from(start)
        if start:
            state = read(self._experiment.saved / str(start), self._experiment.device)
            try:
                hosted.load(state)
            except TrainerFailed as error:
                if cls is None or not isinstance(error.error, NotRestorable):
                    raise
                hosted = self._make(cls)
                hosted.load(state)
            run.loaded = State({}, *self._see(hosted))
        self._train_from(hosted, run)
        return hosted

    def _run_from(self, start: int) -> Run:
        run = Run(start)
        self._result.runs.append(run)
        self._step = start
        return run

    def _train_from(self, hosted: HostedTrainer, run: Run) -> None:
        for step in range(run.start, len(self._experiment.values)):
            self._step = step
            self._apply(hosted, run, step)
            with user_code():
                hosted.train(step)
                require_threads(self._threads)
                self._code.require_accounted()
            run.states[step + 1] = self._at_state(hosted, run, step + 1)

    def _apply(self, hosted: HostedTrainer, run: Run, step: int) -> None:
        values = self._experiment.values[step]
        if not (self._experiment.apply_again or step == run.start or hosted.differs(values)):
            return
        if not self._experiment.apply_again:
            hosted.apply(values, step)
            return
        if step == run.start or hosted.differs(values):
            hosted.apply(values, step)
        before = self._see(hosted)[0]
        hosted.apply(values, step)
        run.changed_by_apply += differing(before, self._see(hosted)[0])

    def _at_state(self, hosted: HostedTrainer, run: Run, step: int) -> State:
        state = State()
        observed = (
            self._experiment.save or step == len(self._experiment.values) or not self._experiment.evaluate
        )
        if self._experiment.evaluate:
            before = self._see(hosted)[0] if observed else {}
            metrics = settle(hosted.evaluate())
            state.metrics = {name: value.hex() for name, value in metrics.items()}
            if observed:
                run.changed_by_evaluate += differing(before, self._see(hosted)[0])
        if self._experiment.save and run is self._result.runs[0]:
            with user_code():
                captured = capture(hosted.state())
            write(captured, self._experiment.saved / str(step))
        if observed:
            state.strict, state.lax = self._see(hosted)
        return state

    def _see(self, hosted: HostedTrainer) -> tuple[Digests, Digests]:
        return observe(self._surveyor, hosted.trainer, self._experiment.device)

    def _hidden(self, hosted: HostedTrainer) -> Digests:
        return observe_hidden(self._code, self._surveyor, hosted.trainer)


def carry_out(experiment: Mapping[str, Any], answer: str) -> None:
    """The process's work: the experiment as JSON in, the result as a file of JSON out."""
    # What the trainer prints is talk; the command's standard output is for its result.
    os.dup2(2, 1)
    wanted = Experiment.from_json(experiment)
    secrets = Secrets(wanted.secrets_file).chosen(wanted.secrets)
    os.environ.update({**wanted.program.env, **secrets})
    alter(wanted.alterations, wanted.code)
    result = Laboratory(wanted).run()
    redaction = Redaction(secrets)
    result.failure, result.trace = redaction.text(result.failure), redaction.text(result.trace)
    path = Path(answer)
    path.with_suffix(".part").write_text(json.dumps(result.to_json()))
    path.with_suffix(".part").rename(path)
