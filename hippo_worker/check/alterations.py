"""Another day and another machine, for one process: what a deterministic trainer must not depend on."""

from __future__ import annotations

import builtins
import datetime
import os
import time
from collections.abc import Callable
from datetime import date as Date  # noqa: N812  the classes of these names are ours
from datetime import datetime as DateTime  # noqa: N812
from pathlib import Path
from types import ModuleType
from typing import Any

SHIFT_SECONDS = 40 * 86_400 + 3 * 3_600 + 7
CLOCK = "clock"
PROCESSORS = "processors"


def alter(names: tuple[str, ...], code: Path) -> None:
    """Alters this process for good.

    Args:
        names: What is altered.
        code: The folder of the trainer's code.
    """
    if CLOCK in names:
        _shift_clock()
        _shift_dates(code)
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


def _shift_dates(code: Path) -> None:
    """Give modules of the trainer's code, and only them, another ``datetime``.

    Extension modules, pandas' for one, rely on the real classes' layout and crash with others in their place.
    """
    import_module = builtins.__import__
    shifted = ModuleType("datetime", datetime.__doc__)
    shifted.__dict__.update(vars(datetime), datetime=_ShiftedDateTime, date=_ShiftedDate)
    inside = str(code.resolve()) + os.sep

    def import_shifted(name: str, namespace: Any = None, *rest: Any, **more: Any) -> Any:
        found = import_module(name, namespace, *rest, **more)
        file = str((namespace or {}).get("__file__") or "")
        return shifted if name == "datetime" and os.path.realpath(file).startswith(inside) else found

    builtins.__import__ = import_shifted  # type: ignore[assignment]


def _later(counter: Callable[[], float]) -> Callable[[], float]:
    return lambda: counter() + SHIFT_SECONDS


def _at(function: Callable[..., Any], now: Callable[[], float]) -> Callable[..., Any]:
    return lambda seconds=None: function(now() if seconds is None else seconds)


_SHIFT = datetime.timedelta(seconds=SHIFT_SECONDS)


class _Alike(type):
    """What is an instance of the real class is one of ours: most dates still come from the real one."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.__mro__[1])


class _ShiftedDateTime(DateTime, metaclass=_Alike):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return DateTime.now(tz) + _SHIFT

    @classmethod
    def utcnow(cls) -> Any:
        return DateTime.now(datetime.UTC).replace(tzinfo=None) + _SHIFT

    @classmethod
    def today(cls) -> Any:
        return DateTime.now() + _SHIFT


class _ShiftedDate(Date, metaclass=_Alike):
    @classmethod
    def today(cls) -> Any:
        return (DateTime.now() + _SHIFT).date()


def _add_processors() -> None:
    count = (os.cpu_count() or 1) + 3
    os.cpu_count = lambda: count
    if hasattr(os, "sched_getaffinity"):
        os.sched_getaffinity = lambda pid: set(range(count))
