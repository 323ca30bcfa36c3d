"""Following a study while it runs: the snapshots that the server sends, and whoever shows them.

The server sends a study whenever it changed. A stream that breaks is opened again: the server may be
restarting, and what it sends first is complete, so nothing is missed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from hippo_core.errors import Unavailable

if TYPE_CHECKING:
    from hippo_wire.v1 import study_pb2

#: A server that cannot be reached for so long is given up.
GIVE_UP_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0

Messages = Iterator["study_pb2.WatchStudyResponse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySnapshot:
    """A study and all its trials at one moment.

    Attributes:
        study: The study.
        trials: Its trials by number, ascending.
        changed: Numbers of the trials that differ from the snapshot before, ascending; all of them in the
            first, and after a broken stream.
    """

    study: study_pb2.Study
    trials: Mapping[int, study_pb2.Trial]
    changed: tuple[int, ...]


class Progress(Protocol):
    """Shows a study while it runs. A context manager; all calls come from one thread, between enter and exit.

    The order is: any number of ``notice``; ``submitted``; then ``show`` and ``notice`` in any order. The last
    ``show`` is that of the ended study, unless the user detached or waited long enough.
    """

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Show no more; what was shown stays."""
        ...

    def notice(self, message: str) -> None:
        """Tell in a few words what goes on beside the study: a server starts, a worker died."""
        ...

    def submitted(self, study: study_pb2.Study, outcome: str, warnings: Sequence[str]) -> None:
        """The study is known to the server; ``outcome`` is ``created``, ``unchanged`` or ``extended``."""
        ...

    def show(self, snapshot: StudySnapshot) -> None:
        """Show the study as it is now. May come many times a second: draw as often as a person can read."""
        ...


class SilentProgress:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def notice(self, message: str) -> None:
        """Nothing."""

    def submitted(self, study: study_pb2.Study, outcome: str, warnings: Sequence[str]) -> None:
        """Nothing."""

    def show(self, snapshot: StudySnapshot) -> None:
        """Nothing."""


def fold(messages: Messages) -> Iterator[StudySnapshot]:
    """The snapshots that a stream's messages come to."""
    trials: dict[int, study_pb2.Trial] = {}
    for message in messages:
        arrived = {trial.number: trial for trial in message.trials}
        if arrived.keys() - trials.keys():
            trials = dict(sorted({**trials, **arrived}.items()))
        else:
            trials = {**trials, **arrived}
        yield StudySnapshot(study=message.study, trials=trials, changed=tuple(sorted(arrived)))


def follow(
    open_stream: Callable[[], Messages],
    *,
    give_up_seconds: float = GIVE_UP_SECONDS,
    on_break: Callable[[Unavailable], None] = lambda error: None,
) -> Iterator[StudySnapshot]:
    """The snapshots of a study until it has ended, through any number of broken streams.

    Args:
        open_stream: Opens a stream anew; it, and reading from it, may raise ``Unavailable``.
        give_up_seconds: How long in a row the server may be out of reach.
        on_break: Hears of every failed attempt.

    Raises:
        Unavailable: The server was out of reach for too long.
    """
    pause = _FIRST_PAUSE_SECONDS
    reached = time.monotonic()
    while True:
        try:
            for snapshot in fold(open_stream()):
                yield snapshot
                pause, reached = _FIRST_PAUSE_SECONDS, time.monotonic()
                if snapshot.study.state in _ended_states():
                    return
            raise Unavailable("The server ended the stream before the study had ended.")
        except Unavailable as error:
            if time.monotonic() - reached > give_up_seconds:
                raise
            on_break(error)
        time.sleep(random.uniform(0.0, pause))
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _ended_states() -> tuple[int, ...]:
    from hippo_wire.v1 import study_pb2

    return (study_pb2.STUDY_STATE_STOPPED, study_pb2.STUDY_STATE_COMPLETED, study_pb2.STUDY_STATE_FAILED)
