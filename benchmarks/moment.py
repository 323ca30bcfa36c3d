"""What a machine gives at a moment: its load, and what its host leaves it, which no load average shows.

The cores of a virtual machine may be shared with others, and caches and memory always are: then each core is slow, all
of them do hardly more than one alone, a process that waits is woken late, or what fits into no cache takes longer.
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
print(count / {SECONDS})
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
        counts_m_s: How far one core counts in Python, reading the clock each time, in 10^6 a second. None: it was not
            measured.
    """

    load: float = 0.0
    at_once: float | None = None
    wake_us: float | None = None
    copy_gb_s: float | None = None
    counts_m_s: float | None = None

    def __str__(self) -> str:
        said = f"load {self.load:.1f}"
        if self.counts_m_s is not None:
            said += f", one core counts {self.counts_m_s:.1f} M/s"
        if self.at_once is not None:
            said += f", all cores {self.at_once:.2f} x one"
        if self.wake_us is not None:
            said += f", a wake-up {self.wake_us:.0f} us"
        if self.copy_gb_s is not None:
            said += f", copies {self.copy_gb_s:.1f} GB/s"
        return said


def now() -> Moment:
    """The machine as it is now; takes some seconds, before which the load is read."""
    load = os.getloadavg()[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    counted = [(_counted(1), _counted(cores)) for _ in range(ROUNDS)]
    return Moment(
        load=load,
        at_once=round(statistics.median(together / alone for alone, together in counted), 2),
        wake_us=_wake_us(),
        copy_gb_s=_copy_gb_s(),
        counts_m_s=round(statistics.median(alone for alone, _ in counted) / 1e6, 2),
    )


def _counted(processes: int) -> float:
    """How far so many processes count in a second, all together."""
    counting = [_child(COUNT) for _ in range(processes)]
    for each in counting:
        assert each.stdout is not None
        each.stdout.read(len("ready\n"))
    for each in counting:
        _tell(each, b"\n")
    return sum(float(each.communicate()[0]) for each in counting)


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
