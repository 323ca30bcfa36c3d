"""How much memory is left: the host's, and that of the control groups that a process is in."""

from __future__ import annotations

from pathlib import Path

import pytest

from hippo_worker.memory import available_bytes

MIB = 1 << 20


def group(folder: Path, limit: str, used: int, cached: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\nactive_file 5\n")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "meminfo").write_text("MemTotal: 8192 kB\nMemFree: 1 kB\nMemAvailable: 4096 kB\n")
    (tmp_path / "cgroup").write_text("5:cpu:/old\n0::/a/b\n")
    return tmp_path


def available(host: Path) -> int:
    return available_bytes(host / "meminfo", host / "groups", host / "cgroup")


def test_the_host_s_memory_counts_where_no_group_has_a_limit(host: Path) -> None:
    assert available(host) == 4 * MIB
    group(host / "groups" / "a" / "b", "max", 100 * MIB, 0)
    assert available(host) == 4 * MIB


def test_the_tightest_group_counts_without_files_that_nobody_uses(host: Path) -> None:
    group(host / "groups" / "a" / "b", str(10 * MIB), 9 * MIB, 2 * MIB)
    assert available(host) == 3 * MIB
    group(host / "groups" / "a", str(20 * MIB), 19 * MIB, 0)
    assert available(host) == 1 * MIB
    group(host / "groups" / "a", str(20 * MIB), 21 * MIB, 0)
    assert available(host) == 0


def test_groups_of_the_first_version_count_as_well(host: Path) -> None:
    (host / "cgroup").write_text("5:cpu,memory:/old\n0::/\n")
    group = host / "groups" / "memory" / "old"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text(f"{10 * MIB}\n")
    (group / "memory.usage_in_bytes").write_text(f"{9 * MIB}\n")
    (group / "memory.stat").write_text(f"inactive_file 1\ntotal_inactive_file {2 * MIB}\n")
    assert available(host) == 3 * MIB
    (group / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert available(host) == 4 * MIB


def test_a_system_that_does_not_say_has_none(host: Path) -> None:
    (host / "meminfo").write_text("MemTotal: 8192 kB\n")
    assert available(host) == 0
    (host / "meminfo").unlink()
    assert available(host) == 0
