"""The kernel's count of processes that it killed for lack of memory, to tell such a death from a plain kill."""

from __future__ import annotations

from pathlib import Path


class OutOfMemoryKills:
    """Counts kills in the control group that the daemon and its runners live in.

    Where there is no such count (no cgroup v2, another system), there are no kills to tell.
    """

    def __init__(self, group: Path | None = None) -> None:
        self._events = (group or _own_group()) / "memory.events"
        self._seen = self._count()

    def happened(self) -> bool:
        """Whether there were any since this was last asked."""
        before, self._seen = self._seen, self._count()
        return self._seen > before

    def _count(self) -> int:
        try:
            lines = self._events.read_text().splitlines()
        except OSError:
            return 0
        return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def _own_group() -> Path:
    try:
        line = Path("/proc/self/cgroup").read_text().splitlines()[0]
    except (OSError, IndexError):
        return Path("/sys/fs/cgroup")
    return Path("/sys/fs/cgroup") / line.rpartition(":")[2].lstrip("/")
