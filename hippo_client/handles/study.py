"""A study on a server, as a program sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from hippo_client.handles.changes import StudyChanges
from hippo_client.handles.points import StudyPoints
from hippo_client.handles.results import StudyResults
from hippo_wire import json_shapes

if TYPE_CHECKING:
    from hippo_client.client import Client
    from hippo_client.watching import Progress, StudySnapshot


class StudyHandle(StudyResults, StudyChanges, StudyPoints):
    """A study on a server. Its properties ask the server each time; its text is what was last heard.

    Args:
        client: The client that found it.
        message: The study as the server told it.
        outcome: What its submission came to: ``created``, ``unchanged`` or ``extended``; empty if it was
            found.
        warnings: What its submission was warned of.
    """

    def at(self, client: Client) -> Self:
        """The same study for another client: where its server has moved, say."""
        return type(self)(client, self._message, self.outcome, self.warnings)

    def wait(self, progress: bool | Progress = True, timeout: float | None = None) -> Self:
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
