"""``python observe.py PLAN.json``: runs a command, and accounts for the processes that it leaves all over the place.

The plan is ``{"command": [...], "afterwards": [[...], ...], "environment": {...}, "log": path, "result": path}``.
Commands run in the log's folder. Linux only, and nothing but the standard library: this process is small beside what
it watches.

Theory of operation. This process asks the kernel for the orphans among its descendants (PR_SET_CHILD_SUBREAPER), waits
for all of them, and never has children of its own. So the processor time of its children, and what the kernel has
added to its own account of input and output, are those of every process that the command ever started, however short
it lived. A process that ignores the ends of its children loses their accounts: what was last seen of them is added.
Memory is sampled: what is resident, with what is shared divided among those that share it (PSS). To find that out takes
the longer the more processes have, so it is done the less often, and costs no system's training more than another's.

What is written is counted three times, as no count is all of the truth. ``written_bytes`` is what was given to write
calls: to files and pipes, not to sockets. ``dirtied_bytes`` is the kernel's account of pages of files on disks that
became dirty; it takes whole folios, so that a commit of 8 KB may count as 1 MB. ``device_bytes`` is what the disk
wrote, for anybody, with what a last sync writes.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
SAMPLE_SECONDS = 1.0
MEMORY_SHARE = 0.005  #: of a core is spent on looking at memory, unless looks were then further apart than
MEMORY_SECONDS = 3.0  #: so that no peak of some seconds is missed where there are many processes
LEAVE_SECONDS = 60.0
"""What still runs so long after the last command is ended."""


def children_of(pid: int) -> Iterator[int]:
    """The processes that one has started, or was given, and that have not been waited for."""
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            yield from [int(each) for each in listed.read_text().split()]
        except OSError:  # the thread has ended
            continue


def descendants(pid: int) -> Iterator[int]:
    """All processes below one."""
    for child in children_of(pid):
        yield child
        yield from descendants(child)


def memory_bytes(pid: int) -> int:
    """The proportional share of memory of a process; 0 where it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))


def device_bytes(folder: Path) -> int:
    """What the disk that a folder lies on has written, for anybody; 0: the folder lies on none."""
    number = folder.stat().st_dev
    try:
        text = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat").read_text()
    except OSError:
        return 0
    return int(text.split()[6]) * 512


def io_account(pid: int) -> dict[str, int]:
    """What a process and all those that it has waited for have read and written."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return {name: int(value) for name, value in (line.split(": ") for line in lines)}


@dataclass(slots=True)
class Account:
    """What processes have used: seconds of processors, bytes given to write calls, and bytes dirtied."""

    processor_seconds: float = 0.0
    written: int = 0
    dirtied: int = 0

    def __add__(self, other: Account) -> Account:
        return Account(
            self.processor_seconds + other.processor_seconds,
            self.written + other.written,
            self.dirtied + other.dirtied,
        )


def account_of(pid: int) -> Account:
    """Of a process that runs, with all those that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(int(each) for each in fields[11:15])
    io = io_account(pid)
    return Account(ticks / os.sysconf("SC_CLK_TCK"), io["wchar"], io["write_bytes"])


def ignores_children(pid: int) -> bool:
    """Whether the kernel throws away the accounts of a process's children, as it ignores SIGCHLD."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigIgn:"):
            return bool(int(line.split()[1], 16) >> (signal.SIGCHLD - 1) & 1)
    return False


class Observer:
    """Runs commands one after the other, and watches them."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment, self._log, self.folder = environment, log, log.parent
        self._next_sample = self._next_look = 0.0
        self._ends, told = os.pipe()  # readable when a child has ended
        os.set_blocking(told, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        self.peak_bytes = 0
        self.peak_processes = 0
        self._lost: dict[
            int, Account
        ] = {}  # by process: of those whose parents ignore their ends, as last seen

    def run(self, command: list[str]) -> int:
        """Runs one command to its end; gives its exit code."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        while True:
            for pid, status in self._collect():
                if pid == process.pid:
                    process.returncode = os.waitstatus_to_exitcode(status)
                    return process.returncode
            self._sample()
            self._await_end()

    def await_all(self) -> None:
        """Waits until nothing runs any more."""
        give_up = time.monotonic() + LEAVE_SECONDS
        while remaining := list(descendants(os.getpid())):
            if time.monotonic() > give_up:
                for pid in remaining:
                    os.kill(pid, signal.SIGKILL)
            list(self._collect())
            self._await_end()

    def _await_end(self) -> None:
        """Sleeps until a child has ended, or for a sample's time."""
        ended, _, _ = select.select([self._ends], [], [], SAMPLE_SECONDS)
        if ended:
            os.read(self._ends, 4096)

    def _collect(self) -> Iterator[tuple[int, int]]:
        """Waits for what has ended, orphans among it."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            yield pid, status

    def _sample(self) -> None:
        began = time.monotonic()
        if began < self._next_sample:
            return
        # Each sleep that is not cut short has its sample.
        self._next_sample = began + 0.9 * SAMPLE_SECONDS
        found = list(descendants(os.getpid()))
        self.peak_processes = max(self.peak_processes, len(found))
        self._note_lost([os.getpid(), *found])
        if began >= self._next_look:
            used = time.thread_time()
            self.peak_bytes = max(self.peak_bytes, sum(memory_bytes(pid) for pid in found))
            pause = min((time.thread_time() - used) / MEMORY_SHARE, MEMORY_SECONDS)
            self._next_look = began + pause

    def _note_lost(self, parents: list[int]) -> None:
        for parent in parents:
            try:
                if ignores_children(parent):
                    for child in children_of(parent):
                        self._lost[child] = account_of(child)
            except OSError:  # it has ended
                continue

    def lost(self) -> Account:
        """Of all processes that this one's own account lacks."""
        return sum(self._lost.values(), Account())


def observe(plan: dict[str, Any]) -> dict[str, Any]:
    """Carries out a plan, and tells what it came to."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    observer = Observer(plan["environment"], Path(plan["log"]))
    os.sync()  # what others wrote before is not to be counted, nor in the way
    before, on_disk = io_account(os.getpid()), device_bytes(observer.folder)
    began = time.time()
    code = observer.run(plan["command"])
    ended = time.time()
    for command in plan["afterwards"]:
        observer.run(command)
    observer.await_all()
    used, after = resource.getrusage(resource.RUSAGE_CHILDREN), io_account(os.getpid())
    lost = observer.lost()
    os.sync()
    return {
        "exit_code": code,
        "began": began,
        "ended": ended,
        "processor_seconds": used.ru_utime + used.ru_stime + lost.processor_seconds,
        "peak_bytes": observer.peak_bytes,
        "peak_processes": observer.peak_processes,
        "written_bytes": after["wchar"] - before["wchar"] + lost.written,
        "dirtied_bytes": after["write_bytes"] - before["write_bytes"] + lost.dirtied,
        "device_bytes": device_bytes(observer.folder) - on_disk,
    }


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    Path(plan["result"]).write_text(json.dumps(observe(plan)))


if __name__ == "__main__":
    main()
