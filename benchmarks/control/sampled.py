"""``python -m benchmarks.control.sampled FILE ARGUMENT ...``: hippo-server, which looks where its threads are.

It looks 200 times a second: at its event loop, unless that waits, and at each other thread that does Hippo's work. At
SIGUSR1 it writes down, as JSON, how often each part of it was seen since the last time.
"""

from __future__ import annotations

import json
import runpy
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType

EACH_SECONDS = 0.005
SWITCH_SECONDS = 0.0005
"""After which a thread lets others run: the event loop, which looks, is to come to it in time."""
IDLE = {"select", "wait", "get", "_worker"}
"""Functions in which a thread waits for work."""
LOOP = "gRPC and the event loop"
PARTS = {
    "hippo_core/": "the engine",
    "hippo_server/store/sql.py:send": "round trips to PostgreSQL",
    "hippo_server/store/leader.py": "round trips to PostgreSQL",
    "hippo_server/store/": "rows and journal as text",
    "hippo_server/rpc/": "reports read, leases and answers made",
    "hippo_wire/": "reports read, leases and answers made",
    "hippo_server/main.py": LOOP,
    "hippo_server/": "who is told, what is counted",
    "grpc/": LOOP,
}
"""By how a place begins, the first that fits: what is done there."""


def part(frame: FrameType | None) -> str:
    """What the innermost frame does that is in one of these places; empty: it waits, or does nothing of Hippo's."""
    if frame is not None and frame.f_code.co_name in IDLE:
        return ""
    while frame is not None:
        where = f"{frame.f_code.co_filename}:{frame.f_code.co_name}"
        for begins, what in PARTS.items():
            if f"/{begins}" in where:
                return what
        frame = frame.f_back
    return ""


def main() -> None:
    """Runs the server."""
    file = Path(sys.argv[1])
    seen: Counter[str] = Counter()
    own = threading.get_ident()

    def look(_: int, frame: FrameType | None) -> None:
        others = (each for thread, each in sys._current_frames().items() if thread != own)
        seen.update(found for each in (frame, *others) if (found := part(each)))

    def tell(*_: object) -> None:
        unfinished = file.with_suffix(".part")
        unfinished.write_text(json.dumps(seen))
        unfinished.rename(file)
        seen.clear()

    sys.setswitchinterval(SWITCH_SECONDS)
    signal.signal(signal.SIGUSR1, tell)
    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, EACH_SECONDS, EACH_SECONDS)
    sys.argv = [sys.argv[0], *sys.argv[2:]]
    runpy.run_module("hippo_server.main", run_name="__main__")


if __name__ == "__main__":
    main()
