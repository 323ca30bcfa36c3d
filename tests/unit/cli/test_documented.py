"""What the pages tell people to type exists."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest

from hippo_client.cli.main import app
from hippo_server.main import main as server
from hippo_worker.main import cli as worker
from tests.code_blocks import PAGES, ROOT, Block, blocks

PROGRAMS: dict[str, click.Command] = {"hippo": app, "hippo-server": server, "hippo-worker": worker}
FILE = re.compile(r"\w[\w-]*\.[a-z]+")
INLINE = re.compile(r"`(hippo(?:-server|-worker)? [^`\n]+)`")
FENCED = re.compile(r"^( *)```.*?^\1```", re.DOTALL | re.MULTILINE)
STANDS_FOR_A_NUMBER = {"N", "STEP"}
COMMAND = re.compile(r"(?:`|^|\$ )hippo ([a-z]+)(?: ([a-z]+))?(?=[ `\n])", re.MULTILINE)


def test_there_are_pages_with_commands() -> None:
    assert sum(len(COMMAND.findall(page.read_text())) for page in PAGES) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_exist(page: Path) -> None:
    context = click.Context(app)
    for noun, verb in COMMAND.findall(page.read_text()):
        found = app.get_command(context, noun)
        assert found is not None, noun
        if isinstance(found, click.Group) and verb:
            assert found.get_command(click.Context(found), verb) is not None, f"{noun} {verb}"


def commands(block: Block) -> Iterator[list[str]]:
    """The words of each command of a block of shell; of a console's, of what was typed."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for line in lines:
        words = shlex.split(line, comments=True)
        while words:
            end = next(
                (at for at, word in enumerate(words) if word in {"&&", "|", ">", "<", "&", ";"}), len(words)
            )
            yield words[:end]
            words = words[end + 1 :]


def parse(
    command: click.Command, name: str, words: Sequence[str], parent: click.Context | None = None
) -> None:
    """Parses a command line as the program does, and calls nothing.

    Raises:
        UsageError: An option or a value that there is not.
    """
    context = command.make_context(name, list(words), parent=parent)
    rest = [*context._protected_args, *context.args]
    if isinstance(command, click.Group) and rest:
        found, below, left = command.resolve_command(context, rest)
        assert below is not None
        parse(below, found or "", left, context)


@pytest.mark.parametrize("block", blocks("sh", "bash", "console"), ids=lambda block: block.place)
def test_what_is_typed_is_understood(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option exists and takes its value; targets of make and scripts exist. Other programs are not looked at."""
    monkeypatch.setenv("HIPPO_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    if block.reason:
        return
    for words in commands(block):
        for file in filter(FILE.fullmatch, words):
            Path(file).touch()  # some options want that it exists
        program = words[0] if words else ""
        if program in PROGRAMS:
            parse(PROGRAMS[program], program, words[1:])
        elif program == "make":
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), block.place
        elif program == "python":
            assert words[1] == "-m" or (ROOT / words[1]).exists(), block.place


def test_the_links_of_the_readme_lead_somewhere() -> None:
    """Those of the other pages are followed when the site is built."""
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / "README.md").read_text()):
        assert target.startswith("https://") or (ROOT / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_sentence_tells_to_type_is_understood(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is within a sentence may leave off what is not its subject; what it says exists, and takes its value."""
    monkeypatch.setenv("HIPPO_HOME", str(tmp_path))
    for command in INLINE.findall(FENCED.sub("", page.read_text())):
        if "[" in command or "COMMAND" in command:  # a pattern of commands, and none
            continue
        program, *words = ("1" if word in STANDS_FOR_A_NUMBER else word for word in shlex.split(command))
        try:
            with contextlib.suppress(click.MissingParameter):
                parse(PROGRAMS[program], program, words)
        except click.UsageError as error:
            if not (isinstance(error, click.BadOptionUsage) and "requires an argument" in error.message):
                pytest.fail(f"{command}: {error.message}")
