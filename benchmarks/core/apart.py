"""Measures in a process of its own, so that neither memory nor what is cached is another measurement's."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def apart(measured: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function of a module gives, called in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measured, *args, **kwargs).result()


def resident_bytes(pid: int | None = None) -> int:
    """What a process, by default this one, has in memory and shares with nobody."""
    text = Path(f"/proc/{os.getpid() if pid is None else pid}/smaps_rollup").read_text()
    fields = {line.split(":")[0]: line.split() for line in text.splitlines()[1:]}
    return 1024 * (int(fields["Private_Clean"][1]) + int(fields["Private_Dirty"][1]))


def proportional_bytes(pid: int) -> int:
    """What a process has in memory, its part of what it shares included (PSS)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * int(next(line.split()[1] for line in text.splitlines() if line.startswith("Pss:")))


def settled_bytes() -> int:
    """``resident_bytes`` of this process without what is garbage."""
    gc.collect()
    return resident_bytes()


def kept_alive(found: Any) -> Any:
    """Uses a value, so that it is there while memory is measured."""
    return found
