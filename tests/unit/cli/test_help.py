"""Every command explains itself."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from hippo_client.cli.main import app, call

MOST_LINES = 25
COLUMNS = 80


def walk(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """A command and all below it."""
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, name
            yield from walk(below, click.Context(below, parent=context, info_name=name))


ROOT = click.Context(app, info_name="hippo", terminal_width=COLUMNS, **app.context_settings)
TREE = list(walk(app, ROOT))
COMMANDS = pytest.mark.parametrize(("command", "context"), TREE, ids=[each.command_path for _, each in TREE])


@COMMANDS
def test_help_fits_a_screen(command: click.Command, context: click.Context) -> None:
    lines = command.get_help(context).splitlines()
    assert len(lines) <= MOST_LINES, "\n".join(lines)
    assert max(map(len, lines)) <= COLUMNS


@COMMANDS
def test_each_option_is_described(command: click.Command, context: click.Context) -> None:
    for each in command.params:
        if isinstance(each, click.Option):
            assert each.help and each.help.endswith((".", "]")), each.name  # noqa: PT018
        else:
            assert each.make_metavar(context).strip("[].") in command.get_usage(context)


@COMMANDS
def test_the_example_is_a_line_that_the_command_takes(
    command: click.Command, context: click.Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("digits.hippo").touch()  # the file that one of them takes
    found = re.search(r"^ *Example: (hippo .*|eval .*)$", command.get_help(context), re.MULTILINE)
    assert found is not None
    line = re.split(r" > | \| ", found[1].removeprefix('eval "$(').removesuffix(')"'))[0]
    words = shlex.split(line)
    at: click.Command = app
    below, rest = ROOT, words[1:]
    while isinstance(at, click.Group):
        with at.make_context("hippo", list(rest), resilient_parsing=True):
            name, inner, rest = at.resolve_command(below, rest)
        assert inner is not None, name
        at, below = inner, click.Context(inner, parent=below, info_name=name)
    assert below.command_path.startswith(context.command_path)
    parser = at.make_parser(below)
    _, left, _ = parser.parse_args(list(rest))
    assert not left
    assert at.make_context(at.name, list(rest), parent=below.parent).params


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["completion", shell]) == 0
    assert f"_HIPPO_COMPLETE={shell}_complete" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "begun", "offered"),
    [
        ([], "st", {"study"}),
        (["study"], "ex", {"export", "extend"}),
        (["study", "extend", "digits"], "--max-t", {"--max-trials", "--max-trained-steps"}),
        (["token", "create", "ada", "--role"], "v", {"viewer"}),
        (["completion"], "z", {"zsh"}),
    ],
)
def test_what_a_shell_is_offered(typed: list[str], begun: str, offered: set[str]) -> None:
    complete = ShellComplete(app, {}, "hippo", "_HIPPO_COMPLETE")
    assert {each.value for each in complete.get_completions(typed, begun)} == offered


def test_a_study_file_is_completed_as_files_are() -> None:
    complete = ShellComplete(app, {}, "hippo", "_HIPPO_COMPLETE")
    assert [each.type for each in complete.get_completions(["run"], "st")] == ["file"]
