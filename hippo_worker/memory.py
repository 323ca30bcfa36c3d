"""The kernel's count of processes that it killed for lack of memory, to tell such a death from a plain kill."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
HOST = Path("/proc/vmstat")


class OutOfMemoryKills:
    """Counts kills in the control group that the daemon and its runners live in, and where none counts, on the host.

    Where there is no such count (an old kernel, another system), there are no kills to tell.

    Args:
        files: Where the counts are, as lines ``oom_kill N``; by default those of this process.
    """

    def __init__(self, files: tuple[Path, ...] | None = None) -> None:
        self._files = (*_own_groups(), HOST) if files is None else files
        self._seen = self._counts()

    def happened(self) -> bool:
        """Whether there were any since this was last asked."""
        before, self._seen = self._seen, self._counts()
        return any(now > then for now, then in zip(self._seen, before, strict=True))

    def _counts(self) -> tuple[int, ...]:
        return tuple(map(_count, self._files))


def _count(file: Path) -> int:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def _own_groups() -> tuple[Path, ...]:
    """The files in which the group of this process counts: of cgroup v2, and of v1."""
    found = []
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return ()
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            found.append(ROOT / group.lstrip("/") / "memory.events")
        elif "memory" in controllers.split(","):
            found.append(ROOT / "memory" / group.lstrip("/") / "memory.oom_control")
    return tuple(found)
