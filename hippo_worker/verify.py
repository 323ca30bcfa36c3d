"""``hippo-worker verify``: trains one trial alone, from step 0, and compares it with what was trained shared.

The request is a JSON file::

    {"spec": the study's specification,
     "hyperparameters": the trial's, schedules as objects and constants plain,
     "step": how far to train,
     "code": the folder of the bundle,
     "history": [{"step": ..., "metrics": {name: number, or null where it is not finite}}, ...],
     "checkpoint": {"step": ..., "folder": ...} or null}

Standard output has one JSON object a line: ``{"step": ..., "steps": ...}`` as training goes on, and last
``{"passed": ..., "steps": ..., "compared": {"metrics": ..., "tensors": ...}, "differences": [{"step", "name",
"shared", "alone"}, ...], "failure": ...}``; where it failed to train or to save, nothing is compared. Exit status: 0
equal bit by bit, 1 not, 2 usage or invalid request. the trainer prints goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from hippo_core.sequence import Sequence as Schedules
    from hippo_core.study import StudySpec
    from hippo_storage.manifest import FileEntry
    from hippo_worker.hosting.link import Instruction
    from hippo_worker.hosting.order import PathOrder
    from hippo_worker.secrets import Redaction

NODE = 1  #: a trial that is trained alone has one node
FIELDS = ("spec", "hyperparameters", "step", "code", "history", "checkpoint")


def main(argv: Sequence[str]) -> int:
    """The command.

    Args:
        argv: Its arguments, without the program's name.
    """
    parser = argparse.ArgumentParser(
        prog="hippo-worker verify", description="Trains a trial alone and compares."
    )
    parser.add_argument("--request", type=Path, required=True, help="what to train and compare, a JSON file")
    parser.add_argument(
        "--secrets-file", type=Path, help="the worker's secrets; by default those of the home"
    )
    arguments = parser.parse_args(argv)
    from hippo_core.errors import HippoError
    from hippo_worker.settings import secrets_of_home

    answers = _take_standard_output()
    try:
        request = Request.from_json(json.loads(arguments.request.read_text()))
        secrets = secrets_of_home(arguments.secrets_file).chosen(request.spec.secrets)
        result = _verify(request, secrets, answers)
    except HippoError as error:
        _print(error.to_json(), answers)
        return 2
    _print(result, answers)
    return 0 if result["passed"] else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to train and to compare with.

    Attributes:
        spec: The study.
        schedules: The trial's.
        step: How far to train.
        code: The folder of the bundle.
        history: The shared trial's metrics, by state.
        checkpoint: A state of the shared trial, and the folder of its files.
    """

    spec: StudySpec
    schedules: Schedules
    step: int
    code: Path
    history: Mapping[int, Mapping[str, float | None]]
    checkpoint: tuple[int, Path] | None

    @classmethod
    def from_json(cls, json: Any) -> Request:
        """Reads a request.

        Raises:
            InvalidStudy: It is not one; names the field.
        """
        from hippo_core.errors import InvalidStudy
        from hippo_core.study import StudySpec

        for name in FIELDS:
            if not isinstance(json, dict) or name not in json:
                raise InvalidStudy(f"request.{name}", "is missing")
        spec = StudySpec.from_json(json["spec"])
        checkpoint, step = json["checkpoint"], json["step"]
        if not isinstance(step, int) or step < 1 or (checkpoint and not 1 <= checkpoint["step"] <= step):
            raise InvalidStudy(
                "request.step", f"must be at least 1, and not before the checkpoint, not {step!r}"
            )
        return cls(
            spec=spec,
            schedules=schedules_of(spec, json["hyperparameters"]),
            step=step,
            code=Path(json["code"]).resolve(),
            history={each["step"]: each["metrics"] for each in json["history"]},
            checkpoint=None if checkpoint is None else (checkpoint["step"], Path(checkpoint["folder"])),
        )


def schedules_of(spec: StudySpec, hyperparameters: Mapping[str, Any]) -> Schedules:
    """A trial's schedules from its hyperparameters as JSON: those of a study that has no other point."""
    from hippo_core import schedule_forms
    from hippo_core.errors import InvalidStudy
    from hippo_core.laws import make
    from hippo_core.sequence import Sequence
    from hippo_core.space import Space

    kinds = spec.program.kinds
    stretches = {}
    for name, part in Space.from_json(hyperparameters).resolve({}).items():
        if name not in kinds:
            raise InvalidStudy(f"request.hyperparameters[{name!r}]", "is not known to the study")
        pieces = schedule_forms.pieces(part)
        stretches[name] = [
            (piece.start, make(piece.formula, piece.origin, piece.rounded, kinds[name])) for piece in pieces
        ]
    return Sequence(stretches)


@dataclass(slots=True)
class Alone:
    """What a trial gave that was trained alone; a link that only listens."""

    steps: int
    answers: TextIO
    redaction: Redaction
    flag: bytearray = field(default_factory=lambda: bytearray(1))
    history: dict[int, dict[str, float]] = field(default_factory=dict)
    folders: dict[int, Path] = field(default_factory=dict)
    failed_saves: list[str] = field(default_factory=list)

    def instructions(self) -> list[Instruction]:
        """None: nobody else takes part."""
        return []

    def stage_started(self, node: int) -> None:
        """There is one stage."""

    def metrics(
        self,
        node: int,
        step: int,
        metrics: Mapping[str, float],
        training: Mapping[str, float],
        evaluated: bool,
    ) -> None:
        """Keeps what ``evaluate`` returned."""
        if evaluated:
            self.history[step] = self.redaction.names(metrics)

    def steps_trained(
        self, node: int, start: int, stop: int, train_seconds: float, evaluate_seconds: float
    ) -> None:
        """Shows how far it is."""
        _print({"step": stop, "steps": self.steps}, self.answers)

    def checkpoint_written(
        self,
        node: int,
        step: int,
        folder: Path,
        files: Mapping[str, FileEntry],
        blocked_seconds: float,
    ) -> None:
        """Keeps where the state lies."""
        self.folders[step] = folder

    def save_failed(self, node: int, step: int, reason: str, full: bool) -> None:
        """Keeps why."""
        self.failed_saves.append(reason)

    def answered(self, node: int, step: int, will: bool) -> None:
        """Nothing was offered."""


def _verify(request: Request, secrets: Mapping[str, str], answers: TextIO) -> dict[str, Any]:
    # What a study sets for its libraries, they read when they are loaded.
    os.environ.update({**request.spec.program.env, **secrets})
    from hippo_worker.check import choose_device
    from hippo_worker.hosting.host import PathHost
    from hippo_worker.hosting.link import Failed
    from hippo_worker.secrets import Redaction

    redaction = Redaction(secrets)
    with tempfile.TemporaryDirectory(prefix="hippo-verify-") as made:
        alone = Alone(request.step, answers, redaction)
        host = PathHost(choose_device(request.spec), request.spec.program.resources.cpus)
        result = host.run(_order(request, Path(made)), alone)
        host.close()
        failure = result.message if isinstance(result, Failed) else "; ".join(alone.failed_saves)
        metrics = tensors = 0
        differences: list[dict[str, Any]] = []
        if not failure:  # else there is nothing whole to compare with
            metrics = sum(map(len, request.history.values()))
            differences = _compare_metrics(request, alone)
            if request.checkpoint is not None:
                step, folder = request.checkpoint
                tensors, found = _compare_states(step, folder, alone.folders[step])
                differences += found
    return {
        "passed": not failure and not differences,
        "steps": request.step,
        "compared": {"metrics": metrics, "tensors": tensors},
        "differences": differences,
        "failure": redaction.text(failure),
    }


def _order(request: Request, folder: Path) -> PathOrder:
    """One path over the whole trial; a stage for each stretch of laws."""
    from itertools import pairwise

    from hippo_worker.hosting.order import PathOrder, StageOrder

    schedules, program = request.schedules, request.spec.program
    bounds = [start for start in schedules.starts if start < request.step] + [request.step]
    (folder / "data").mkdir()
    stages = [
        StageOrder(node=NODE, start=start, stop=stop, laws=schedules.laws(start))
        for start, stop in pairwise(bounds)
    ]
    return PathOrder(
        fence=0,
        plan=0,
        program=program,
        program_key=program.key,
        code=request.code,
        setup_laws=schedules.laws(0),
        start=None,
        stages=tuple(stages),
        save_points=frozenset() if request.checkpoint is None else frozenset({(NODE, request.checkpoint[0])}),
        # Nothing but what is compared: the end, and the checkpoint's state.
        checkpoint_every=request.step,
        spool=folder / "spool",
        data_dir=folder / "data",
    )


def _compare_metrics(request: Request, alone: Alone) -> list[dict[str, Any]]:
    found = []
    for step, shared in sorted(request.history.items()):
        if step > request.step:
            continue
        mine = {name: _plain(value) for name, value in alone.history.get(step, {}).items()}
        for name in dict.fromkeys([*shared, *mine]):
            one, other = shared.get(name, "absent"), mine.get(name, "absent")
            if not _same(one, other):
                found.append({"step": step, "name": name, "shared": one, "alone": other})
    return found


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return float(one).hex() == float(other).hex()
    return bool(one == other)


def _compare_states(step: int, shared: Path, alone: Path) -> tuple[int, list[dict[str, Any]]]:
    """How many tensors and arrays were compared, and which of them differ."""
    from hippo_storage.state import read
    from hippo_worker.check.observation import bulk_digests, differing

    one, other = bulk_digests(read(shared)["trainer"]), bulk_digests(read(alone)["trainer"])
    return len(one), [
        {"step": step, "name": name, "shared": one.get(name, "absent"), "alone": other.get(name, "absent")}
        for name in differing(one, other)
    ]


def _take_standard_output() -> TextIO:
    """Keeps standard output for answers; what the trainer prints goes to standard error from now on."""
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _print(value: dict[str, Any], answers: TextIO) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()
