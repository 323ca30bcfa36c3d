"""What a runner's death means, which variables it is born with, which GPU it sees."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from hippo_core.engine.states import FailureClass
from hippo_worker.environment import gpu_names
from hippo_worker.memory import OutOfMemoryKills
from hippo_worker.slots.process import death
from hippo_worker.slots.variables import MARK, base_environment


@pytest.mark.parametrize(
    ("code", "failure", "words"),
    [
        (-signal.SIGKILL, FailureClass.INFRASTRUCTURE, "killed by SIGKILL"),
        (-signal.SIGTERM, FailureClass.INFRASTRUCTURE, "killed by SIGTERM"),
        (-signal.SIGHUP, FailureClass.INFRASTRUCTURE, "killed by SIGHUP"),
        (-signal.SIGSEGV, FailureClass.USER, "killed by SIGSEGV"),
        (-signal.SIGABRT, FailureClass.USER, "killed by SIGABRT"),
        (-signal.SIGBUS, FailureClass.USER, "killed by SIGBUS"),
        (-signal.SIGFPE, FailureClass.USER, "killed by SIGFPE"),
        (0, FailureClass.USER, "exit code 0"),
        (3, FailureClass.USER, "exit code 3"),
    ],
)
def test_whose_fault_a_death_is(code: int, failure: FailureClass, words: str) -> None:
    found = death(code, out_of_memory=False)
    assert found.failure is failure
    assert words in found.message


def test_a_kill_for_lack_of_memory_is_told_with_advice() -> None:
    found = death(-signal.SIGKILL, out_of_memory=True)
    assert found.failure is FailureClass.MEMORY
    assert "smaller batch" in found.message


def test_a_kill_for_lack_of_memory_explains_one_death(tmp_path: Path) -> None:
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 5\noom_kill 2\noom_group_kill 0\n")
    kills = OutOfMemoryKills((tmp_path / "lacking", events))
    since = kills.counted()
    assert not kills.take(since)
    events.write_text("low 0\noom 7\noom_kill 4\noom_group_kill 0\n")
    assert [kills.take(since) for _ in range(3)] == [True, True, False]


def test_a_kill_for_lack_of_memory_explains_no_death_of_one_born_later(tmp_path: Path) -> None:
    """It was of some other process, whose death nobody tells: a trainer's own, or one of another container."""
    events = tmp_path / "memory.events"
    events.write_text("oom_kill 0\n")
    kills = OutOfMemoryKills((events,))
    events.write_text("oom_kill 1\n")
    since = kills.counted()
    assert not kills.take(since)
    events.write_text("oom_kill 2\n")
    assert [kills.take(since) for _ in range(2)] == [True, False]


def test_what_the_kernel_kills_elsewhere_on_the_host_is_none_of_ours(tmp_path: Path) -> None:
    group, host = tmp_path / "memory.oom_control", tmp_path / "vmstat"
    group.write_text("under_oom 0\noom_kill 0\n")
    host.write_text("oom_kill 4\n")
    kills = OutOfMemoryKills((group,), host)
    since = kills.counted()
    host.write_text("oom_kill 5\n")
    assert not kills.take(since)
    group.write_text("under_oom 0\noom_kill 1\n")
    assert kills.take(since)


def test_where_the_group_does_not_count_the_host_does(tmp_path: Path) -> None:
    silent, host = tmp_path / "memory.oom_control", tmp_path / "vmstat"
    silent.write_text("oom_kill_disable 0\nunder_oom 0\n")
    host.write_text("oom_kill 4\n")
    kills = OutOfMemoryKills((tmp_path / "lacking", silent), host)
    since = kills.counted()
    host.write_text("oom_kill 5\n")
    assert kills.take(since)


def test_where_nobody_counts_there_are_no_such_kills(tmp_path: Path) -> None:
    kills = OutOfMemoryKills((tmp_path / "lacking",), tmp_path / "host")
    since = kills.counted()
    assert not kills.take(since)
    (tmp_path / "host").write_text("oom_kill 0\n")
    assert not kills.take(since)


def test_only_listed_variables_pass() -> None:
    worker = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "HIPPO_TOKEN": "secret",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "HTTPS_PROXY": "http://user:secret@proxy",
        "OMP_NUM_THREADS": "8",
        "NVIDIA_TF32_OVERRIDE": "1",
        "CUDA_MPS_PIPE_DIRECTORY": "/run/mps",
        "ANYTHING": "else",
    }
    assert base_environment(worker, Path("/data")) == {
        "PATH": "/bin",
        "CUDA_MPS_PIPE_DIRECTORY": "/run/mps",
        "LC_ALL": "C",
        "MKL_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        MARK: "/data",
    }


@pytest.mark.parametrize(
    ("count", "visible", "names"),
    [
        (0, None, []),
        (2, None, ["0", "1"]),
        (2, "3,5", ["3", "5"]),
        (1, "GPU-8932f937", ["GPU-8932f937"]),
        (2, "", ["0", "1"]),
    ],
)
def test_gpus_are_named_as_the_daemon_sees_them(count: int, visible: str | None, names: list[str]) -> None:
    variables = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert gpu_names(count, variables) == names
