"""What the kernel says of memory: how much there is left, and whether it has killed processes for lack of it."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
HOST = Path("/proc/vmstat")
AVAILABLE = Path("/proc/meminfo")


class OutOfMemoryKills:
    """Counts kills in the control group that the daemon and its runners live in, and where none counts, on the host.

    Each is one process's: who asks whether a death was such a kill takes it, so that it explains no other. Where there
    is no such count (an old kernel, another system), there are no kills to tell.

    Args:
        groups: Where those of the group are counted, as lines ``oom_kill N``; by default of the group of this process.
            The first one that counts does: memory is controlled by one version of control groups, and not by both.
        host: Where those of the host are.
    """

    def __init__(self, groups: tuple[Path, ...] | None = None, host: Path = HOST) -> None:
        files = _own_groups() if groups is None else groups
        self._file = next((file for file in files if _count(file) is not None), host)
        self._taken = 0

    def counted(self) -> int:
        """How many there were by now."""
        return _count(self._file) or 0

    def take(self, since: int) -> bool:
        """Whether there was one that explains no death yet; it explains one from now on.

        Args:
            since: How many there were when the process that has died was born.
        """
        taken = max(self._taken, since)
        found = self.counted() > taken
        if found:
            self._taken = taken + 1
        return found


def _count(file: Path) -> int | None:
    """How many there were, or ``None`` where this is not counted."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


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


def available_bytes(host: Path = AVAILABLE, root: Path = ROOT, own: Path = Path("/proc/self/cgroup")) -> int:
    """How much memory can be taken without others having to give up theirs; 0 where the system does not say.

    Args:
        host: What the host has, as lines ``MemAvailable: N kB``.
        root: The control groups; a process may take what is left in its group and those above it.
        own: Where the kernel says which of them this process is in.
    """
    try:
        lines = host.read_text().splitlines()
        least = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
        groups = [line.split(":", 2)[1:] for line in own.read_text().splitlines()]
    except (OSError, StopIteration):
        return 0
    for controllers, name in groups:
        if not controllers:
            top, names = root, _VERSION_2
        elif "memory" in controllers.split(","):
            top, names = root / "memory", _VERSION_1
        else:
            continue
        group = top / name.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(top):
                break
            least = min(least, _left(folder, names, least))
    return max(0, least)


_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2 = ("memory.max", "memory.current", "inactive_file")


def _left(group: Path, names: tuple[str, str, str], unlimited: int) -> int:
    """How much a control group may still take. Pages of files that nobody uses are given up for it."""
    most, current, unused = names
    try:
        limit = (group / most).read_text().strip()
        if limit == "max":
            return unlimited
        used = int((group / current).read_text())
        lines = (group / "memory.stat").read_text().splitlines()
    except OSError:
        return unlimited
    cached = next((int(line.split()[1]) for line in lines if line.startswith(f"{unused} ")), 0)
    return int(limit) - used + cached
