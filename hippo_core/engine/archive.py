"""A study's archive: the events that made it, in an order in which an engine can apply them.

It is how a study moves to another server with its part of the search plan. The events are those that an engine is
rebuilt from, of one study, with its numbers of nodes and fences as they were there. One event a line, as JSON::

    {"hippo_archive": 1, "study": "digits"}
    {"event": "PlanCreated", ...}
    ...
    {"sha256": "..."}                                   of all lines before

Leases and workers stay behind, and so do failures that count: what was trained, measured and saved is all that counts
elsewhere. An archive comes from anywhere. So it is read by applying its events to a state of its own, each of which is
looked at first; what cannot be is refused, before any engine hears of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from hippo_core.engine import events as ev
from hippo_core.engine.archive_checks import ArchiveState, Refused, require_fields
from hippo_core.engine.journal import KINDS, from_json, to_json
from hippo_core.engine.study import Study
from hippo_core.errors import InvalidStudy
from hippo_core.plan import Plan
from hippo_core.study import StudySpec

FORMAT = 1
LARGEST_ARCHIVE_BYTES = 128 << 20
LONGEST_LINE_BYTES = 16 << 20

State = tuple[int, int]  #: node and step, as the archive numbers them

#: What an archive is made of.
ARCHIVED = (
    ev.PlanCreated,
    ev.StudySubmitted,
    ev.StudyPlanned,
    ev.NodeCreated,
    ev.StepsTrained,
    ev.CheckpointPublished,
    ev.MetricsRecorded,
    ev.NodeNotReproducible,
    ev.CheckpointPinned,
    ev.StudyChanged,
    ev.TrialCreated,
    ev.TrialLimited,
    ev.TrialStopped,
    ev.RequestOpened,
    ev.RequestClosed,
    ev.ProposalWanted,
    ev.ProposalFailed,
    ev.PolicyAnswered,
    ev.PolicyFailed,
    ev.TrialWanted,
    ev.TrialStateChanged,
    ev.StudyRan,
    ev.StudyCredited,
    ev.SpaceExhausted,
    ev.StudyStateChanged,
    ev.PointsWanted,
    ev.JudgementWanted,
    ev.JudgementGiven,
    ev.JudgementFailed,
    ev.EndingHeld,
)
_KINDS = {kind.__name__ for kind in ARCHIVED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What training of a node took, in all: completions of steps, and seconds of slots."""

    steps: int = 0
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A study as it was elsewhere. Nothing of it changes.

    Attributes:
        events: All of them, in order.
        study: What they amount to.
        environment: What decides bits where it was trained; empty: nothing was.
        plan: Its part of the search plan, as it was numbered there.
        ends: By node: one past the last step that anything of it is about.
        trained: By node.
        checkpoints: By state: what was kept.
        differing: By node that is not reproducible: a state that gave other metrics.
        digest: Tells the archive from any other.
    """

    events: tuple[ev.Event, ...]
    study: Study
    environment: str
    plan: Plan
    ends: Mapping[int, int]
    trained: Mapping[int, Trained]
    checkpoints: Mapping[State, ev.CheckpointPublished]
    differing: Mapping[int, int]
    digest: str

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.name

    @property
    def first_spec(self) -> StudySpec:
        """The study as it was submitted."""
        return self.study.former[0] if self.study.former else self.study.spec

    @property
    def bundle(self) -> str:
        """The digest of the code that it is trained with."""
        return self.study.spec.bundle


def write(name: str, events: Iterable[ev.Event]) -> Iterator[bytes]:
    """The lines of a study's archive."""
    hasher = hashlib.sha256()
    for line in (
        {"hippo_archive": FORMAT, "study": name},
        *({"event": type(event).__name__, **to_json(event)} for event in events),
    ):
        data = _line(line)
        hasher.update(data)
        yield data
    yield _line({"sha256": hasher.hexdigest()})


def read(data: bytes, name: str | None = None) -> Archive:
    """The study of an archive.

    Args:
        data: Its lines.
        name: What it is to be called; None: as it was.

    Raises:
        InvalidStudy: It is no archive of a study, or not whole, or not what an engine can have made.
    """
    lines = data.split(b"\n")
    if len(data) > LARGEST_ARCHIVE_BYTES:
        _refuse(f"has {len(data)} bytes, and may have {LARGEST_ARCHIVE_BYTES}")
    if len(lines) < 3 or lines.pop():
        _refuse("is cut short", "Export the study again.")
    head = _object(lines[0], 1)
    if head.get("hippo_archive") != FORMAT:
        _refuse(
            f"has format {head.get('hippo_archive')!r}, and this server reads {FORMAT}",
            "Export and import with servers of one version.",
        )
    digest = hashlib.sha256(b"".join(line + b"\n" for line in lines[:-1])).hexdigest()
    if _object(lines[-1], len(lines)).get("sha256") != digest:
        _refuse("differs from its own digest", "Export the study again.")
    state = ArchiveState()
    events = []
    for number, line in enumerate(lines[1:-1], start=2):
        event = _event(line, number)
        if name is not None:
            event = renamed(event, name)
        try:
            state.apply(event)
        except Exception as error:  # noqa: BLE001 - whatever a hostile archive brings about, it is refused
            _refuse(f"line {number} ({type(event).__name__}) cannot be: {_words(error)}")
        events.append(event)
    try:
        state.require_whole()
    except Exception as error:  # noqa: BLE001
        _refuse(f"is not a study: {_words(error)}")
    study = state.study
    plan = state.state.plans[study.plan]
    return Archive(
        events=tuple(events),
        study=study,
        environment=plan.environment,
        plan=plan.plan,
        ends=state.ends,
        trained={node: Trained(**sums) for node, sums in state.trained.items()},
        checkpoints=state.checkpoints,
        differing=state.differing,
        digest=digest,
    )


def renamed(event: ev.Event, name: str) -> ev.Event:
    """An event of a study that is called otherwise."""
    if isinstance(event, ev.StudySubmitted):
        return replace(event, name=name, spec={**event.spec, "name": name})
    if isinstance(event, ev.StudyChanged):
        return replace(event, spec={**event.spec, "name": name})
    return event


def _event(line: bytes, number: int) -> ev.Event:
    fields = _object(line, number)
    kind = fields.pop("event", None)
    if kind not in _KINDS:
        _refuse(f"line {number} is of an unknown kind: {str(kind)[:40]!r}")
    assert isinstance(kind, str)
    try:
        event = from_json(kind, fields)
        require_fields(event, KINDS[kind])
    except (KeyError, ValueError, TypeError, Refused) as error:
        _refuse(f"line {number} ({kind}) cannot be: {_words(error)}")
    return event


def _object(line: bytes, number: int) -> dict[str, Any]:
    if len(line) > LONGEST_LINE_BYTES or b"\\u0000" in line:
        _refuse(f"line {number} is too long, or holds what no text holds")
    try:
        found = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        _refuse(f"line {number} is no JSON: {_words(error)}")
    if not isinstance(found, dict):
        _refuse(f"line {number} is no object")
    return dict(found)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _refuse(what: str, hint: str = "") -> NoReturn:
    raise InvalidStudy("archive", what, hint)
