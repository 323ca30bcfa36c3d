"""The machine and what is installed on it, as far as they decide speed."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("torch", "grpcio", "psycopg2-binary", "sqlalchemy", "numpy")
SYNCED_BYTES = 8192
SYNCING_SECONDS = 1.0


def description() -> dict[str, Any]:
    """What two runs must have in common for their figures to be compared, and what else a reader asks for."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpu": _first_line("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"),
        "filesystem": _first_line(
            "findmnt", "--noheadings", "--output=FSTYPE", f"--target={tempfile.gettempdir()}"
        ),
        "fsync_8k_ms": _sync_ms(),
        "loop_ms": _loop_ms(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgresql": _postgresql(),
        **{name: _installed(name) for name in PACKAGES},
    }


def commit() -> str:
    """The repository's; it ends with + where files differ from it."""
    at = _first_line("git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD")
    changed = at and _first_line("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no")
    return f"{at}+" if changed else at


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _sync_ms() -> float:
    """Writing 8 KiB over an existing file and waiting for the disk: what a small commit of a database waits for."""
    with tempfile.NamedTemporaryFile() as file:
        content = os.urandom(SYNCED_BYTES)
        sync = getattr(os, "fdatasync", os.fsync)

        def write() -> None:
            os.pwrite(file.fileno(), content, 0)
            sync(file.fileno())

        write()
        return _median_ms(write, SYNCING_SECONDS)


def _loop_ms() -> float:
    """A fixed loop of Python on one core: how fast the machine is, and whether it was busy with something else."""

    def count() -> None:
        total = 0
        for each in range(200_000):
            total += each & 7

    return _median_ms(count, 0.5)


def _median_ms(what: Callable[[], None], seconds: float) -> float:
    took: list[float] = []
    end = time.perf_counter() + seconds
    while not took or time.perf_counter() < end:
        began = time.perf_counter()
        what()
        took.append(time.perf_counter() - began)
    return round(statistics.median(took) * 1000, 3)


def _postgresql() -> str:
    try:
        from hippo_server.postgres.cluster import binaries
    except ImportError:  # where the GPU's subject runs alone
        return ""
    return _first_line(str(binaries() / "postgres"), "--version").rpartition(" ")[2]


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _first_line(*command: str) -> str:
    """What a command prints first; empty where it is not there or fails."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return next(iter(done.stdout.splitlines()), "") if done.returncode == 0 else ""
