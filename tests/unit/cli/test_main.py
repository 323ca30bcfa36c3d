from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hippo_client.cli import failures
from hippo_client.cli.main import app, call
from hippo_core.errors import (
    Conflict,
    HippoError,
    InvalidStudy,
    InvariantViolated,
    NotAllowed,
    NotFound,
    Stale,
    Unavailable,
)


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from hippo_client.cli.main import call; code = call(['--help']);"
        "heavy = {'grpc', 'torch', 'numpy', 'sqlalchemy', 'rich', 'google.protobuf'} & set(sys.modules);"
        "sys.exit(f'{code} {heavy}' if heavy or code else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Train a study on this machine" in done.stdout


@pytest.mark.parametrize("name", app.list_commands(None))  # type: ignore[arg-type]
def test_every_command_exists_and_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call([name, "--help"]) == 0
    assert "Usage: hippo" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["rnu"], "Did you mean 'run'?"),
        (["study", "shwo", "x"], "Did you mean 'show'?"),
        (["run", "study.py", "--slot", "2"], "--slots"),
        (["study", "best"], "Did you mean 'hippo trial best NAME'?"),
        (["study", "trials"], "Did you mean 'hippo trial ls NAME'?"),
        (["trial", "watch", "digits"], "Did you mean 'hippo study watch NAME'?"),
        (["logs", "digits", "3"], "Did you mean 'hippo trial logs NAME N'?"),
        (["study", "digits"], "Did you mean 'hippo study show digits'?"),
        (["trial", "digits"], "Did you mean 'hippo trial ls digits'?"),
    ],
)
def test_a_typo_gets_a_suggestion(
    arguments: list[str], suggestion: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(arguments) == 2
    assert suggestion in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "said"), [([], "Usage: hippo "), (["certs"], "Usage: hippo certs ")])
def test_nothing_but_a_group_tells_what_there_is(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "s.py", "--slots", "0"], "'--slots': must be a whole number of at least 1, not '0'."),
        (["run", "s.py", "--slots", "two"], "'--slots': must be a whole number of at least 1, not 'two'."),
        (["up", "--grpc-port", "99999"], "must be a whole number from 0 to 65535, not '99999'."),
        (["trial", "show", "digits", "x"], "'N': must be a whole number of at least 0, not 'x'."),
        *(
            ([*words, str(2**63)], f"must be a whole number of at most {2**63 - 1}, not '{2**63}'.")
            for words in (
                ["trial", "show", "digits"],
                ["trial", "extend", "digits", "1", "--to"],
                ["study", "extend", "digits", "--max-trials"],
                ["study", "fork", "digits", "--at"],
                ["checkpoint", "pin", "digits", "--step"],
                ["verify", "digits", "--trial"],
                ["study", "plot", "digits", "slice", "--trial"],
                ["user", "edit", "ada", "--max-slots"],
            )
        ),
        (
            ["worker", "cordon", "w", "--slot", str(2**31)],
            "'--slot': must be a whole number from 0 to 2147483647",
        ),
        (
            ["user", "edit", "ada", "--max-slot-hours", "nan"],
            "'--max-slot-hours': must be a number of at least 0",
        ),
        (
            ["project", "edit", "default", "--weight", "inf"],
            "'--weight': must be a number above 0, not 'inf'.",
        ),
        (["trial", "show", "digits", "-1"], "-1 is negative, and no number here is."),
        (["study", "digits"], "No such command 'digits'. Did you mean 'hippo study show digits'?"),
    ],
)
def test_a_wrong_argument_is_told_in_words(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(arguments) == 2
    assert told in capsys.readouterr().err


def test_a_usage_error_is_three_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["study", "extend", "digits", "--max-trails", "3"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "Error: No such option '--max-trails'. Did you mean '--max-trials'?",
        "Usage: hippo study extend [OPTIONS] NAME",
        "Hint: `hippo study extend --help` tells more.",
    ]


def test_a_wrong_environment_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HIPPO_SLOTS", "many")
    assert call(["run", "s.py"]) == 2
    assert "not 'many' as HIPPO_SLOTS says." in capsys.readouterr().err


PLAN = [sys.executable, "-m", "hippo_client.cli.main", "plan"]


@pytest.fixture
def study_file(tmp_path: Path) -> str:
    file = tmp_path / "study.py"
    file.write_text(
        "import hippo_client as hippo\n"
        "study = hippo.Study('trainer:T', {'lr': 0.1}, maximize='accuracy', max_trials=1, max_steps=3)\n"
    )
    return str(file)


def test_what_a_study_file_and_its_programs_print_is_talk(study_file: str) -> None:
    with Path(study_file).open("a") as file:
        file.write("import os, sys\nprint('printed')\nos.system('echo by a program')\n")
        file.write("sys.__stdout__.write('behind the back')\n")
    done = subprocess.run([*PLAN, study_file, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["together"]["trials"] == 1
    assert all(word in done.stderr for word in ("printed", "by a program", "behind the back"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_output_that_cannot_be_written_is_told(options: list[str], study_file: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PLAN, study_file, *options], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert "The output cannot be written: No space left on device." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_gone_is_no_traceback(study_file: str) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run([*PLAN, study_file], stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (1, b"")


def test_standard_output_may_be_closed(study_file: str) -> None:
    command = f"exec {shlex.join([*PLAN, study_file])} >&-"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_usage_errors_are_json_where_json_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["study", "shwo", "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    error = json.loads(err)["error"]
    assert (error["code"], set(error)) == ("USAGE", {"code", "message", "hint", "docs"})


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HippoError("x"), 1),
        (InvariantViolated("x"), 1),
        (Stale("x"), 1),
        (InvalidStudy("max_steps", "is 0"), 2),
        (Unavailable("x"), 3),
        (NotAllowed("x"), 4),
        (NotFound("x"), 5),
        (Conflict("x"), 6),
    ],
)
def test_exit_codes(error: HippoError, code: int) -> None:
    assert failures.exit_code(error) == code


def test_errors_tell_what_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    error = InvalidStudy("max_steps", "is 0.", "Give at least 1.")
    assert failures.report(error, as_json=False) == 2
    assert capsys.readouterr().err == "Error: max_steps: is 0.\nHint: Give at least 1.\n"
    assert failures.report(error, as_json=True) == 2
    assert json.loads(capsys.readouterr().err) == {
        "error": {
            "code": "INVALID",
            "message": "max_steps: is 0.",
            "hint": "Give at least 1.",
            "docs": "docs/reference/errors.md#invalid",
        }
    }
