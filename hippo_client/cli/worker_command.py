"""Running a sub-command of ``hippo-worker`` as a process: the client itself never imports torch or a trainer."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from hippo_client.local.commands import environment
from hippo_core.errors import (
    Conflict,
    HippoError,
    InvalidStudy,
    NotAllowed,
    NotFound,
    Stale,
    Unavailable,
)

_ERRORS: dict[str, type[HippoError]] = {
    error.code: error for error in (Conflict, NotAllowed, NotFound, Stale, Unavailable)
}


secrets_option = click.option(
    "--secrets-file",
    envvar="HIPPO_SECRETS_FILE",
    show_envvar=True,
    type=click.Path(path_type=Path),
    help="NAME=value lines, for a study that names secrets; by default those of the home's worker.",
)


def secrets_arguments(file: Path | None) -> list[str]:
    """The worker's option for another file of secrets."""
    return [] if file is None else [f"--secrets-file={file.expanduser().absolute()}"]


def run(name: str, arguments: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The lines of JSON that it prints, as they come. What the trainer prints goes to standard error.

    Args:
        name: ``check`` or ``verify``.
        arguments: Its options.

    Raises:
        Unavailable: The worker is not installed here.
        HippoError: What it refused, or that it ended before its last line.
    """
    require_worker()
    command = [sys.executable, "-P", "-m", "hippo_worker.main", name, *arguments]
    last: dict[str, Any] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stdout is not None  # it is a pipe
        for line in process.stdout:
            last = json.loads(line)
            if "error" in last:
                raise _refused(last["error"])
            yield last
    if "passed" not in last:
        raise HippoError(
            f"hippo-worker {name} ended with exit code {process.returncode} before it had a result.",
            "What it said is above.",
        )


def require_worker() -> None:
    """Check that this machine can train.

    Raises:
        Unavailable: It cannot.
    """
    if importlib.util.find_spec("torch") is None:
        raise Unavailable(
            "The worker is not installed on this machine (torch is missing).", "pip install 'hippo-hpo[all]'"
        )


def _refused(error: dict[str, str]) -> HippoError:
    code, message, hint = error["code"], error["message"], error["hint"]
    if code == InvalidStudy.code:
        field, _, rest = message.partition(": ")
        return InvalidStudy(field, rest, hint)
    return _ERRORS.get(code, HippoError)(message, hint)
