"""Following a study while it runs: the snapshots that the server sends, and whoever shows them.

The server sends a study whenever it changed. A stream that breaks is opened again: the server may be
restarting, and what it sends first is complete, so nothing is missed. A thread reads the stream, so that
whoever waits can be interrupted, give up after a while, or look after other things meanwhile.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from hippo_core.errors import Unavailable
from hippo_wire.json_shapes import is_over

if TYPE_CHECKING:
    from hippo_wire.streams import Responses
    from hippo_wire.v1 import study_pb2

#: A server that cannot be reached for so long is given up.
GIVE_UP_SECONDS = 60.0
#: How often other things are looked after while nothing comes.
TICK_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySnapshot:
    """A study and all its trials as the server sees them in one look, which of many trials takes seconds.

    Attributes:
        study: The study; where it has ended, its trials are as they ended.
        trials: Its trials by number, ascending.
        changed: Numbers of the trials that differ from the snapshot before, ascending; all of them in the
            first, and after a broken stream.
    """

    study: study_pb2.Study
    trials: Mapping[int, study_pb2.Trial]
    changed: tuple[int, ...]


class Progress(Protocol):
    """Shows a study while it runs. A context manager; all calls come from one thread, between enter and exit.

    The order is: any number of ``notice``; ``submitted``, where a study was submitted; then ``show`` and
    ``notice`` in any order. The last ``show`` is that of the study that has ended or was given up, unless the
    user detached or does not want to wait any longer.
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
        """Show the study as it is now. May come many times a second: draw as often as a person can read.

        Where nothing comes from the server, what is known is shown again now and then, with no trial changed.
        """
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


def fold(messages: Iterator[study_pb2.WatchStudyResponse]) -> Iterator[StudySnapshot]:
    """The snapshots that a stream's messages come to."""
    trials: dict[int, study_pb2.Trial] = {}
    arrived: dict[int, study_pb2.Trial] = {}
    for message in messages:
        arrived.update((trial.number, trial) for trial in message.trials)
        if message.more:
            continue
        if arrived.keys() - trials.keys():
            trials = dict(sorted({**trials, **arrived}.items()))
        else:
            trials = {**trials, **arrived}
        yield StudySnapshot(study=message.study, trials=trials, changed=tuple(sorted(arrived)))
        arrived = {}


class Watch:
    """Follows one study until it has ended or is given up, through any number of broken streams. A context manager.

    Args:
        open_stream: Opens a stream of the study anew.
        give_up_seconds: How long in a row the server may be out of reach, from the first break on.
    """

    def __init__(
        self,
        open_stream: Callable[[], Responses[study_pb2.WatchStudyResponse]],
        give_up_seconds: float = GIVE_UP_SECONDS,
    ) -> None:
        self._open_stream = open_stream
        self._give_up_seconds = give_up_seconds
        self._arrived: queue.SimpleQueue[StudySnapshot | BaseException | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._stream: Responses[study_pb2.WatchStudyResponse] | None = None
        self._thread = threading.Thread(target=self._follow, name="hippo-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._closed.set()
            if self._stream is not None:
                self._stream.cancel()
        self._thread.join()

    def snapshots(self, timeout: float | None = None) -> Iterator[StudySnapshot | None]:
        """The study whenever it changed, and None whenever nothing came for a moment, until it has ended.

        Args:
            timeout: Seconds to wait for the study's end.

        Raises:
            TimeoutError: It has not ended by then.
            Unavailable: The server was out of reach for too long.
            NotFound: The study does not exist, or was deleted meanwhile.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = TICK_SECONDS if deadline is None else min(TICK_SECONDS, deadline - time.monotonic())
            try:
                item = self._arrived.get(timeout=max(0.0, left))
            except queue.Empty:
                if deadline is not None and time.monotonic() >= deadline:
                    raise TimeoutError(f"The study has not ended within {timeout:g} s.") from None
                yield None
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def _follow(self) -> None:
        try:
            self._follow_streams()
        except BaseException as error:  # noqa: BLE001 - raised again where the study is waited for
            self._arrived.put(error)
        else:
            self._arrived.put(None)

    def _follow_streams(self) -> None:
        from hippo_wire.retries import pauses

        lost: float | None = None
        waits = pauses()

        def heard() -> Iterator[study_pb2.WatchStudyResponse]:
            nonlocal lost, waits
            for message in self._open():
                lost, waits = None, pauses()
                yield message

        while not self._closed.is_set():
            try:
                for snapshot in fold(heard()):
                    self._arrived.put(snapshot)
                    if is_over(snapshot.study):
                        return
            except Unavailable:
                lost = time.monotonic() if lost is None else lost
                if time.monotonic() - lost > self._give_up_seconds:
                    raise
            self._closed.wait(next(waits))

    def _open(self) -> Responses[study_pb2.WatchStudyResponse]:
        stream = self._open_stream()
        with self._lock:
            self._stream = stream
            if self._closed.is_set():
                stream.cancel()
        return stream
