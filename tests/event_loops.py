"""Event loops that tests leave open.

One that is collected unclosed is a warning, and thus a failure, of whichever test happens to run then. So all are kept
in mind until they are closed, and what is left at a module's end is told with the test that made it.
"""

from __future__ import annotations

import asyncio
import os

_made: list[tuple[asyncio.BaseEventLoop, str]] = []


def watch() -> None:
    """Keeps in mind which loops are made from now on, and during which test."""
    begin = asyncio.BaseEventLoop.__init__

    def begin_watched(loop: asyncio.BaseEventLoop) -> None:
        begin(loop)
        _made.append((loop, os.environ.get("PYTEST_CURRENT_TEST", "no test")))

    asyncio.BaseEventLoop.__init__ = begin_watched  # type: ignore[method-assign]


def left_open() -> list[str]:
    """The tests that made the loops which neither run nor are closed; these are closed now."""
    _made[:] = [(loop, test) for loop, test in _made if not loop.is_closed()]
    left = [(loop, test) for loop, test in _made if not loop.is_running()]
    for loop, _ in left:
        loop.close()
    return [test for _, test in left]
