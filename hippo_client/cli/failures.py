"""From errors to words and exit codes."""

from __future__ import annotations

import errno
import json
from difflib import get_close_matches
from enum import IntEnum

import click

from hippo_core.errors import (
    Conflict,
    HippoError,
    InvalidStudy,
    NotAllowed,
    NotFound,
    Unavailable,
    error_json,
)


class ExitCode(IntEnum):
    """What the command came to; scripts rely on these."""

    DONE = 0
    FAILED = 1  #: the study (no trial completed) or the command
    USAGE = 2  #: or an invalid study
    UNREACHABLE = 3
    NOT_ALLOWED = 4
    NOT_FOUND = 5
    CONFLICT = 6
    INTERRUPTED = 130


_CODES: tuple[tuple[type[HippoError], ExitCode], ...] = (
    (InvalidStudy, ExitCode.USAGE),
    (Unavailable, ExitCode.UNREACHABLE),
    (NotAllowed, ExitCode.NOT_ALLOWED),
    (NotFound, ExitCode.NOT_FOUND),
    (Conflict, ExitCode.CONFLICT),
)


def exit_code(error: HippoError) -> ExitCode:
    """The exit code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.FAILED)


def report(error: HippoError, as_json: bool) -> ExitCode:
    """Tell a person, or a script, what went wrong."""
    if as_json:
        click.echo(json.dumps(error.to_json()), err=True)
    else:
        click.echo(f"Error: {error.message.rstrip()}", err=True)
        if error.hint:
            click.echo(f"Hint: {error.hint}", err=True)
    return exit_code(error)


def report_usage(error: click.ClickException, as_json: bool) -> ExitCode:
    """Tell what is wrong with the command line; where nothing is given that needs something, what there is."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not as_json:
        click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    if isinstance(error, click.NoSuchOption) and error.option_name.lstrip("-").isdecimal():
        error = click.UsageError(f"{error.option_name} is negative, and no number here is.", error.ctx)
    elif isinstance(error, click.NoSuchOption):
        near = get_close_matches(error.option_name, error.possibilities or (), n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        error = click.UsageError(f"No such option {error.option_name!r}.{meant}", error.ctx)
    if as_json:
        context = getattr(error, "ctx", None)
        hint = f"`{context.command_path} --help` tells more." if context is not None else ""
        click.echo(json.dumps(error_json("USAGE", error.format_message(), hint)), err=True)
    else:
        click.echo(_usage(error), err=True)
    return ExitCode.USAGE if isinstance(error, click.UsageError) else ExitCode.FAILED


def _usage(error: click.ClickException) -> str:
    """What is wrong, how it is to be, and where more is told; a line each."""
    lines = [f"Error: {error.format_message()}"]
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        usage = " ".join(context.get_usage().split())
        lines += [usage, f"Hint: `{context.command_path} --help` tells more."]
    return "\n".join(lines)


def report_unwritable(error: OSError, as_json: bool) -> ExitCode:
    """Tell that what was to be printed did not arrive."""
    reason = error.strerror or str(error)
    return report(HippoError(f"The output cannot be written: {reason}.", "Write it elsewhere."), as_json)


def is_about_output(error: OSError) -> bool:
    """Whether an error of the system comes from writing to where standard output leads: it names no file."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)
