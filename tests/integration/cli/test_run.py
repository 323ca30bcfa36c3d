"""The command with a real supervisor, server, database, worker and runners."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hippo_client.local import Home, record, running_server, shut_down
from hippo_core.errors import HippoError
from tests.integration.cli.conftest import Stage, kill
from tests.integration.cli.trainer_sources import write_study
from tests.unit.cli.schemas import validate
from tests.waiting import until

HIPPO = [sys.executable, "-m", "hippo_client.cli.main"]


class Shell:
    """Runs the command in a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.home = Home.at(folder / "home")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HIPPO_")},
            "HIPPO_HOME": str(self.home.path),
        }

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*HIPPO, *arguments],
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*HIPPO, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        validate(arguments, found)
        return found


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shut_down(shell.home)
    until(Stage(shell.home).ended, "the supervisor's end")


def test_run_trains_shares_and_prints_the_result(shell: Shell, tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    done = shell.run("run", str(study), "--slots", "1", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["study"], result["state"], result["trials"]["completed"]) == ("walk", "completed", 3)
    assert result["savings"]["steps_trained"] == 2 + 3 * 2
    assert result["savings"]["steps_without_sharing"] == 3 * 4
    assert result["best"]["trial"] == 2
    assert "The study walk has 3 trials." in done.stderr
    again = shell.run("run", str(study), "--json")
    assert json.loads(again.stdout) == result, "a finished study prints its result"

    assert shell.json("study", "ls") == [result]
    shown = shell.json("trial", "show", "walk", "1")
    assert [value["rate"] for value in shown["values"]] == [1.0, 1.0, 1.5, 1.5]
    assert [each["step"] for each in shown["history"]] == [1, 2, 3, 4]
    assert "step 3 at 1.5" in shell.run("trial", "logs", "walk", "1").stdout
    (worker,) = shell.json("worker", "ls")
    assert len(worker["slots"]) == 1
    verified = shell.json("verify", "walk", "--trial", "1")
    assert (verified["passed"], verified["steps"], verified["compared"]["metrics"]) == (True, 4, 4)


def test_a_failed_trial_tells_why_and_can_be_retried(shell: Shell, tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    trainer = tmp_path / "study" / "trainer.py"
    sound = trainer.read_text()
    broken = tmp_path / "broken"
    broken.touch()
    trainer.write_text(
        sound.replace(
            "        self.total +=",
            f"        if self.rate == 1.5 and Path({str(broken)!r}).exists():\n"
            "            raise ValueError('too fast')\n"
            "        self.total +=",
        )
    )
    done = shell.run("run", str(study), "--slots", "1", "--json")
    assert done.returncode == 0, "two trials completed"
    assert json.loads(done.stdout)["trials"]["failed"] == 1
    assert "trial 1 failed at step 2" in done.stderr
    assert "ValueError: too fast" in done.stderr
    until(
        lambda: "step 2 at 1.5" in shell.run("trial", "logs", "walk", "1").stdout,
        "what it printed before it failed",
        60,
    )
    broken.unlink()
    assert shell.run("study", "retry", "walk").stderr.endswith("1 trial opened again.\n")
    assert shell.json("run", str(study))["trials"]["completed"] == 3


def test_a_sampler_that_keeps_failing_ends_run_and_watch_with_the_reason(
    shell: Shell, tmp_path: Path
) -> None:
    """1. It fails when it is asked for a point, three times: run ends. 2. Who watches later is told the same."""
    file = write_study(tmp_path / "study", branches=2)
    sampler = 'samplers.optuna("TPESampler", n_startup_trials=-5, n_ei_candidates=-2), max_trials=8'
    source = file.read_text().replace("import schedules, space", "import samplers, schedules, space")
    file.write_text(source.replace('name="walk"', f'name="walk", sampler={sampler}'))
    for arguments in (["run", str(file)], ["study", "watch", "walk"]):
        done = shell.run(*arguments)
        assert done.returncode == 1, done.stderr
        assert "the sampler optuna has failed 3 times" in done.stdout
        assert "hippo study resume walk tries again" in done.stdout
        assert "goes on" not in done.stdout


def test_an_invalid_study_starts_nothing(shell: Shell, tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    study.write_text(study.read_text().replace("max_steps=4", "max_steps=0"))
    done = shell.run("run", str(study), "--json")
    assert (done.returncode, done.stdout) == (2, "")
    error = json.loads(done.stderr)["error"]
    assert error["code"] == "INVALID"
    assert "max_steps" in error["message"]
    assert not shell.home.path.exists()


def test_an_interrupt_saves_and_detaches_and_run_again_resumes(shell: Shell, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    study = write_study(tmp_path / "study", hold=str(hold))
    running = shell.start("run", str(study), "--slots", "1")
    until(lambda: _steps_trained(shell) == 2, "the first steps")
    running.send_signal(signal.SIGINT)
    hold.unlink()
    _, err = running.communicate(timeout=200)
    assert running.returncode == 130, err
    assert "Run again to resume" in err
    until(Stage(shell.home).ended, "the end of everything")

    result = shell.json("run", str(study))
    assert result["trials"]["completed"] == 3
    assert result["savings"]["steps_retrained"] == 0, "what was trained was saved"


def test_a_second_run_attaches_and_both_see_the_end(shell: Shell, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    study = write_study(tmp_path / "study", hold=str(hold))
    first = shell.start("run", str(study), "--slots", "1", "--json")
    until(lambda: _steps_trained(shell) == 2, "the first steps")
    second = shell.start("run", str(study), "--json")
    assert second.stderr is not None
    until(lambda: "submitted before" in second.stderr.readline(), "the second's attaching")  # type: ignore[union-attr]
    hold.unlink()
    results = [json.loads(each.communicate(timeout=200)[0]) for each in (first, second)]
    assert results[0] == results[1]
    assert results[0]["trials"]["completed"] == 3


def test_a_killed_run_leaves_nothing_in_the_way(shell: Shell, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    study = write_study(tmp_path / "study", hold=str(hold))
    running = shell.start("run", str(study), "--slots", "1")
    until(lambda: _steps_trained(shell) == 2, "the first steps")
    kill(running.pid)
    running.communicate()
    hold.unlink()
    assert shell.json("run", str(study))["trials"]["completed"] == 3


def test_a_run_whose_supervisor_is_killed_goes_on_by_itself(shell: Shell, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    study = write_study(tmp_path / "study", hold=str(hold))
    running = shell.start("run", str(study), "--slots", "1", "--json")
    until(lambda: _steps_trained(shell) == 2, "the first steps")
    kill(_supervisor(shell))
    hold.unlink()
    out, err = running.communicate(timeout=200)
    assert running.returncode == 0, err
    assert "the local supervisor was killed; another one takes over" in err
    result = json.loads(out)
    assert result["trials"]["completed"] == 3
    without_the_fault = 2 + 3 * 2
    retrained = result["savings"]["steps_retrained"]
    assert result["savings"]["steps_trained"] == without_the_fault + retrained
    assert retrained <= 2, "at most what the killed worker had not saved yet"


def test_a_killed_supervisor_leaves_nothing_in_the_way(shell: Shell, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    study = write_study(tmp_path / "study", hold=str(hold))
    running = shell.start("run", str(study), "--slots", "1")
    until(lambda: _steps_trained(shell) == 2, "the first steps")
    supervisor = _supervisor(shell)
    kill(running.pid)
    kill(supervisor)
    running.communicate()
    hold.unlink()
    assert shell.json("run", str(study))["trials"]["completed"] == 3


def test_a_watch_goes_on_where_the_supervisor_is_killed(shell: Shell, tmp_path: Path) -> None:
    shell.json("up", "--slots", "1", "--grpc-port", "0", "--http-port", "0")
    hold = tmp_path / "hold"
    hold.touch()
    study = write_study(tmp_path / "study", hold=str(hold))
    assert shell.run("submit", str(study)).returncode == 0
    until(lambda: _steps_trained(shell) == 2, "the first steps")
    shell.json("study", "pause", "walk")
    watching = shell.start("study", "watch", "walk", "--json")
    assert watching.stderr is not None
    assert "walk paused by a user" in watching.stderr.readline(), "it watches now"
    kill(_supervisor(shell))
    hold.unlink()
    assert "another one takes over" in watching.stderr.readline()
    shell.json("study", "resume", "walk")
    out, err = watching.communicate(timeout=200)
    assert watching.returncode == 0, err
    assert json.loads(out)["trials"]["completed"] == 3


def test_up_stays_submit_hands_over_and_down_ends(shell: Shell, tmp_path: Path) -> None:
    address = shell.json("up", "--slots", "1", "--grpc-port", "0", "--http-port", "0")
    assert running_server(shell.home) is not None
    study = write_study(tmp_path / "study")
    submitted = shell.run("submit", str(study), "--watch", "--json")
    assert submitted.returncode == 0, submitted.stderr
    assert json.loads(submitted.stdout)["trials"]["completed"] == 3
    named = shell.run("study", "show", "walk", HIPPO_SERVER=address["server"])
    assert named.returncode == 0, "the home's own token is for the home's own server"
    wrong = shell.run("study", "show", "walk", HIPPO_SERVER=address["server"], HIPPO_TOKEN="wrong")
    assert wrong.returncode == 4
    assert shell.run("study", "show", "wlak").returncode == 5
    study.write_text(study.read_text().replace("0.5 + n", "0.25 + n"))
    conflict = shell.run("submit", str(study), "--json")
    assert conflict.returncode == 6
    assert json.loads(conflict.stderr.splitlines()[-1])["error"]["code"] == "CONFLICT"
    assert shell.json("study", "delete", "walk", "--yes") == {"study": "walk", "trials_deleted": 3}
    assert shell.json("down") == {"ended": True}
    assert running_server(shell.home) is None


def test_a_named_server_that_is_not_there(shell: Shell) -> None:
    done = shell.run("study", "ls", "--json", HIPPO_SERVER="127.0.0.1:9", HIPPO_TOKEN="x")
    assert done.returncode == 3
    assert json.loads(done.stderr)["error"]["code"] == "UNAVAILABLE"


def test_a_terminal_of_80_columns_shows_the_study_in_place(shell: Shell, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    study = write_study(tmp_path / "study", hold=str(hold))
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [*HIPPO, "run", str(study), "--slots", "1"],
        env={**shell.environment, "TERM": "xterm", "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    drawn = b""
    while True:
        try:
            drawn += os.read(ours, 65536)
        except OSError:  # the terminal's other end was closed
            break
        if b"walk running" in drawn:
            hold.unlink(missing_ok=True)
    os.close(ours)
    assert running.wait(200) == 0
    assert running.stdout is not None
    with running.stdout as out:
        assert out.read().startswith(b"Study walk completed: 3 trials, 3 completed.")
    text = drawn.decode()
    assert "\x1b[1A" in text, "it is redrawn in place"


def _steps_trained(shell: Shell) -> int:
    """What the running study has trained, asked of the server without keeping it up."""
    from hippo_client import Client

    address = running_server(shell.home)
    if address is None:
        return 0
    with contextlib.suppress(HippoError), Client(address.grpc, shell.home.admin_token()) as client:
        studies = client.studies()
        return studies[0].savings()["steps_trained"] if studies else 0
    return 0


def _supervisor(shell: Shell) -> int:
    written = record.read(shell.home)
    assert written is not None
    (parent,) = {_parent(child.pid) for child in written.children}
    return parent


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
