from __future__ import annotations

import json
import subprocess
import sys

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
    ],
)
def test_a_typo_gets_a_suggestion(
    arguments: list[str], suggestion: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(arguments) == 2
    assert suggestion in capsys.readouterr().err


def test_usage_errors_are_json_where_json_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["study", "shwo", "--json"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    error = json.loads(err)["error"]
    assert (error["code"], set(error)) == ("USAGE", {"code", "message", "hint"})


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
        "error": {"code": "INVALID", "message": "max_steps: is 0.", "hint": "Give at least 1."}
    }


def test_delete_off_a_terminal_needs_yes(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["study", "delete", "digits"]) == 2
    assert "--yes" in capsys.readouterr().err
