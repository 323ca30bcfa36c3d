"""What a machine gives at a moment: its load, and what its host leaves it, which no load average shows.

The cores of a virtual machine may be shared with others, and caches and memory always are: then all cores at once do
hardly more than one alone, a process that waits is woken late, or what does not fit into a cache takes longer.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

ROUNDS = 3
SECONDS = 0.3
TURNS = 2000
COPIED_BYTES = 64 << 20
COPIES = 7

COUNT = f"""
import sys, time
print("ready", flush=True)
sys.stdin.readline()
count, end = 0, time.perf_counter() + {SECONDS}
while time.perf_counter() < end:
    count += 1
print(count)
"""
ECHO = """
import os
while sent := os.read(0, 1):
    os.write(1, sent)
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """A machine at a moment.

    Attributes:
        load: Over the last minute.
        at_once: How many times the work of one core alone all cores do at once; their number, where they are the
            machine's own. None: it was not measured.
        wake_us: Until a byte to a process on another core is back, in microseconds. None: it was not measured.
        copy_gb_s: How fast one core copies what fits into no cache, in 10^9 bytes a second. None: it was not measured.
    """

    load: float = 0.0
    at_once: float | None = None
    wake_us: float | None = None
    copy_gb_s: float | None = None

    def __str__(self) -> str:
        said = f"load {self.load:.1f}"
        if self.at_once is not None:
            said += f", all cores {self.at_once:.2f} x one"
        if self.wake_us is not None:
            said += f", a wake-up {self.wake_us:.0f} us"
        if self.copy_gb_s is not None:
            said += f", copies {self.copy_gb_s:.1f} GB/s"
        return said


def now() -> Moment:
    """The machine as it is now; takes some seconds, before which the load is read."""
    return Moment(load=os.getloadavg()[0], at_once=_at_once(), wake_us=_wake_us(), copy_gb_s=_copy_gb_s())


def _at_once() -> float:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return round(statistics.median(_counted(cores) / _counted(1) for _ in range(ROUNDS)), 2)


def _counted(processes: int) -> int:
    """How far so many processes count, all together."""
    counting = [_child(COUNT) for _ in range(processes)]
    for each in counting:
        assert each.stdout is not None
        each.stdout.read(len("ready\n"))
    for each in counting:
        _tell(each, b"\n")
    return sum(int(each.communicate()[0]) for each in counting)


def _wake_us() -> float | None:
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        return None
    allowed = os.sched_getaffinity(0)
    echo = _child(ECHO)
    assert echo.stdout is not None
    took = []
    try:
        # On one core they would take turns without a wake-up.
        os.sched_setaffinity(echo.pid, {max(allowed)})
        os.sched_setaffinity(0, {min(allowed)})
        for _ in range(TURNS):
            began = time.perf_counter()
            _tell(echo, b"x")
            echo.stdout.read(1)
            took.append(time.perf_counter() - began)
    except OSError:  # no process may say on which core it runs
        return None
    finally:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, allowed)
        echo.communicate()
    return round(statistics.median(took) * 1e6, 1)


def _copy_gb_s() -> float:
    source, target = bytearray(COPIED_BYTES), bytearray(COPIED_BYTES)
    took = []
    for _ in range(COPIES):
        began = time.perf_counter()
        target[:] = source
        took.append(time.perf_counter() - began)
    return round(COPIED_BYTES / statistics.median(took) / 1e9, 2)


def _child(program: str) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-I", "-S", "-c", program]
    return subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)


def _tell(child: subprocess.Popen[bytes], text: bytes) -> None:
    assert child.stdin is not None
    child.stdin.write(text)
