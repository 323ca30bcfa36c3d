"""How subjects are measured: ended early, they leave their figures and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import results, running
from benchmarks.figures import Figure
from benchmarks.subjects import Subject

COMMAND = """
import sys
from benchmarks import subjects, surroundings
surroundings.description = lambda: dict.fromkeys(
    ("processor", "gpu", "kernel", "filesystem", "python", "torch", "postgresql", "grpcio"), ""
) | dict.fromkeys(("cores", "memory_gib", "fsync_8k_ms", "loop_ms"), 1)
subjects.SUBJECTS = (subjects.Subject("tested", "", "subject_of_test"),)
from benchmarks.__main__ import main
sys.exit(main())
"""
"""``python -m benchmarks`` with the one subject."""

DAEMON = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_DFL)
print(os.getpid(), flush=True)
signal.pause()
"""
STARTS_DAEMON = f"""
daemon = subprocess.Popen(
    [sys.executable, "-c", {DAEMON!r}], stdout=subprocess.PIPE, start_new_session=True, text=True, **ENVIRONMENT
)
open(os.environ["NOTED"], "w").write(daemon.stdout.readline())
"""


@pytest.fixture
def subject(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Subject:
    """A subject that gives a figure, and then does what the variable says."""
    (tmp_path / "subject_of_test.py").write_text(
        "import os, signal, subprocess, sys, time\n"
        "from benchmarks.figures import Figure\n"
        "def prepare():\n"
        "    exec(os.environ.get('FIRST', ''))\n"
        "def measure():\n"
        "    yield Figure('first', (1.0,), 's', note=os.environ['CUDA_VISIBLE_DEVICES'])\n"
        "    exec(os.environ['THEN'])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return Subject("tested", "", "subject_of_test")


@pytest.mark.parametrize(
    ("then", "told"),
    [
        ("raise SystemExit('hippo up exits 3')", "^hippo up exits 3$"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "its process ended with -9"),
        ("time.sleep(600)", "it took longer than its limit"),
    ],
)
def test_a_subject_that_fails_keeps_its_figures(
    subject: Subject, then: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THEN", then)
    given = running.found(subject, limit_seconds=600.0 if "sleep" not in then else 0.0)
    if "sleep" not in then:
        assert next(given) == Figure("first", (1.0,), "s", note="")
    with pytest.raises(running.Failed, match=told):
        list(given)


def test_what_is_prepared_counts_for_no_limit(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock passes the limit three times over before the preparation may end, and stands still then."""
    go, limit = tmp_path / "go", 100.0
    now = 0.0

    def monotonic() -> float:
        nonlocal now
        if now > 3 * limit:
            go.touch()
        else:
            now += limit
        return now

    monkeypatch.setattr(running, "time", SimpleNamespace(monotonic=monotonic, monotonic_ns=time.monotonic_ns))
    monkeypatch.setenv("FIRST", f"while not os.path.exists({str(go)!r}): time.sleep(0.01)")
    monkeypatch.setenv("THEN", "pass")
    assert [each.name for each in running.found(subject, limit)] == ["first"]


@pytest.mark.parametrize("environment", ["{}", "{'env': {}}"])
def test_whom_a_subject_started_is_ended_with_it(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    """Also in a session of its own, and in an environment that says nothing of whose it is."""
    noted = tmp_path / "noted"
    monkeypatch.setenv("NOTED", str(noted))
    monkeypatch.setenv("FIRST", STARTS_DAEMON.replace("ENVIRONMENT", environment))
    monkeypatch.setenv("THEN", "time.sleep(600)")
    given = running.found(subject, 600.0)
    next(given)
    pid = int(noted.read_text())
    os.kill(pid, 0)
    given.close()
    assert not runs(pid)


def test_whom_a_killed_subject_started_is_ended(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = tmp_path / "noted"
    monkeypatch.setenv("NOTED", str(noted))
    monkeypatch.setenv("FIRST", STARTS_DAEMON.replace("ENVIRONMENT", "{}"))
    monkeypatch.setenv("THEN", "os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(running.Failed):
        list(running.found(subject, 600.0))
    assert not runs(int(noted.read_text()))


def test_a_subject_in_a_pool_ends_with_its_jobs_undone(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool is left while one job runs that never ends, and others wait."""
    monkeypatch.setenv(
        "FIRST",
        "global pool\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "pool = ProcessPoolExecutor(1, mp_context=get_context('spawn'))\n"
        "[pool.submit(signal.pause) for _ in range(10)]\n",
    )
    monkeypatch.setenv("THEN", "with pool: signal.pause()")
    monkeypatch.setattr(running, "ENDING_SECONDS", 1e6)
    given = running.found(subject, 600.0)
    next(given)
    given.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_figures_until_a_signal_are_kept(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    file = tmp_path / "run.json"
    monkeypatch.setenv("THEN", "time.sleep(600)")
    with command(tmp_path, "--into", str(file)) as process:
        assert process.stdout is not None
        while "first (s)" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(number)
        _, said = process.communicate()
    assert process.returncode == 128 + number
    assert said == f"ended; what was measured until then is kept in {file}\n"
    measured = results.read(file).subjects["tested"]
    assert [each.name for each in measured.figures] == ["first"]
    assert measured.failed == "it was ended"


def test_where_nobody_reads_it_ends_without_a_word(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THEN", "pass")
    read, write = os.pipe()
    os.close(read)
    with command(tmp_path, "--into", str(tmp_path / "run.json"), stdout=write) as process:
        os.close(write)
        assert process.communicate()[1] == ""
    assert process.returncode == 128 + signal.SIGPIPE


def test_a_place_that_cannot_be_written_is_told_before_anything_is_measured(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRST", "raise AssertionError('it is measured')")
    (tmp_path / "folder.json").mkdir()
    for name, why in (
        ("folder.json", "is no file whose name ends with .json"),
        ("/dev/null", "is no file whose name ends with .json"),
        ("/proc/self/run.json", "cannot be written: "),
    ):
        with command(tmp_path, "--into", str(tmp_path / name)) as process:
            printed, said = process.communicate()
        assert (process.returncode, printed) == (2, "")
        assert said.splitlines()[-1].startswith(
            f"python -m benchmarks: error: --into: {tmp_path / name} {why}"
        )


def command(folder: Path, *arguments: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    """``python -m benchmarks`` with the subject in a folder."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(Path.cwd())])},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def runs(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
