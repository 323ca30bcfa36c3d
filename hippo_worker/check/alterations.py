"""Another day and another machine, for one process: what a deterministic trainer must not depend on."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable
from datetime import date as Date  # noqa: N812  as `datetime.date` itself is replaced below
from datetime import datetime as DateTime  # noqa: N812
from typing import Any

SHIFT_SECONDS = 40 * 86_400 + 3 * 3_600 + 7
CLOCK = "clock"
PROCESSORS = "processors"


def alter(names: tuple[str, ...]) -> None:
    """Alters this process for good."""
    if CLOCK in names:
        _shift_clock()
    if PROCESSORS in names:
        _add_processors()


def _shift_clock() -> None:
    now, now_ns = time.time, time.time_ns
    counters = {name: getattr(time, name) for name in ("monotonic", "perf_counter", "process_time")}

    def shifted() -> float:
        return now() + SHIFT_SECONDS

    def shifted_ns() -> int:
        return now_ns() + SHIFT_SECONDS * 10**9

    time.time, time.time_ns = shifted, shifted_ns
    for name, counter in counters.items():
        setattr(time, name, _later(counter))
    for name in ("localtime", "gmtime", "ctime"):
        setattr(time, name, _at(getattr(time, name), shifted))
    strftime, localtime = time.strftime, time.localtime
    time.strftime = lambda text, *moment: strftime(text, *(moment or (localtime(),)))
    datetime.datetime = _ShiftedDateTime  # type: ignore[misc]
    datetime.date = _ShiftedDate  # type: ignore[misc]


def _later(counter: Callable[[], float]) -> Callable[[], float]:
    return lambda: counter() + SHIFT_SECONDS


def _at(function: Callable[..., Any], now: Callable[[], float]) -> Callable[..., Any]:
    return lambda seconds=None: function(now() if seconds is None else seconds)


_SHIFT = datetime.timedelta(seconds=SHIFT_SECONDS)


class _ShiftedDateTime(DateTime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return DateTime.now(tz) + _SHIFT

    @classmethod
    def utcnow(cls) -> Any:
        return DateTime.now(datetime.UTC).replace(tzinfo=None) + _SHIFT

    @classmethod
    def today(cls) -> Any:
        return DateTime.now() + _SHIFT


class _ShiftedDate(Date):
    @classmethod
    def today(cls) -> Any:
        return (DateTime.now() + _SHIFT).date()


def _add_processors() -> None:
    count = (os.cpu_count() or 1) + 3
    os.cpu_count = lambda: count
    if hasattr(os, "sched_getaffinity"):
        os.sched_getaffinity = lambda pid: set(range(count))
