"""Processes of the supervisor: started so that they die with it, and known by more than their number."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST_LOG_BYTES = 10_000_000
_LINUX = platform.system() == "Linux"
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """A process: its number may be used again, its number and time of start together are not."""

    name: str
    pid: int
    started: str

    def is_alive(self) -> bool:
        """Whether this very process runs (a zombie does not)."""
        return started_at(self.pid) == self.started

    def send(self, sig: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.is_alive():
            try:
                os.kill(self.pid, sig)
            except ProcessLookupError:
                return


def started_at(pid: int) -> str | None:
    """When the process started, in the system's own words; None where there is none, or only a zombie."""
    if _LINUX:
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        # The name, in parentheses, may hold anything. The state follows it; 19 fields on, the start.
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    told = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return None if not told or told[0].startswith("Z") else told[1].strip()


def start(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str], on_orphaned: signal.Signals
) -> subprocess.Popen[bytes]:
    """Start a child of this process.

    To be called from the main thread of a process without other threads: on Linux the child is sent
    ``on_orphaned`` when the *thread* that started it ends, and what tells the kernel so runs between fork and
    exec.

    Args:
        command: Program and arguments.
        log: Takes its output; rotated once it has grown long.
        environment: All of its environment.
        on_orphaned: What it is sent when this process dies, on Linux.
    """
    if log.exists() and log.stat().st_size > LONGEST_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd="/",
            preexec_fn=_dies_with_parent(on_orphaned) if _LINUX else None,
        )


def log_tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def last_words(log: Path) -> str:
    """Why a child ended, as its log tells it: its last error in words, else the log's end."""
    tail = log_tail(log, 40)
    told = [line for line in tail.splitlines() if line.startswith("error[")]
    if told:
        return told[-1].partition("]: ")[2]
    return f"Its log, {log}, ends with:\n{log_tail(log)}"


def _dies_with_parent(on_orphaned: signal.Signals) -> Callable[[], None]:
    # Everything that the child needs is looked up before the fork.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    number, parent = int(on_orphaned), os.getpid()

    def tell_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel knew
            os.kill(os.getpid(), signal.SIGKILL)

    return tell_the_kernel
