"""The reference of the three programs, and of their environment variables, from click."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click
from building.markdown import cell, page, prose, table

from hippo_client.cli.main import app
from hippo_server.main import main as server
from hippo_worker.main import cli as worker

PROGRAMS: dict[str, click.Command] = {"hippo": app, "hippo-server": server, "hippo-worker": worker}
_EXAMPLE = re.compile(r"^Examples?:\s*(.+)$", re.DOTALL)
_ENVIRONMENT = re.compile(r"\s*\[env(?: var)?: [A-Z_, ]+\]")


def pages() -> dict[str, str]:
    """A page for each program, by name, and one of the environment variables."""
    found = {
        name: page(f"`{name}`", *(_section(words, each) for words, each in _walk(name, program)))
        for name, program in PROGRAMS.items()
    }
    return found | {"configuration": _variables()}


def _walk(words: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command and all below it, in the order of its help."""
    if getattr(command, "hidden", False):
        return
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _walk(f"{words} {name}", below)


def _section(words: str, command: click.Command) -> str:
    """What one command is told with ``--help``."""
    usage = " ".join(command.collect_usage_pieces(click.Context(command)))
    head = "" if " " not in words else f"## {words}\n\n"
    parts = [_paragraph(each) for each in inspect.cleandoc(command.help or "").split("\n\n")]
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    rows = [(_flags(each), cell(_meaning(each)), cell(_default(each, command))) for each in options]
    return head + "\n\n".join(
        part
        for part in (f"```text\n{words} {usage}\n```", *parts, table(("option", "", "default"), rows))
        if part
    )


def _paragraph(text: str) -> str:
    """A paragraph of help; one that begins with Example is what to type, one with click's mark is laid out."""
    example = _EXAMPLE.match(text)
    if example:
        return "```sh\n" + "\n".join(line.strip() for line in example[1].splitlines()) + "\n```"
    if text.startswith("\b"):
        return "```text\n" + text.removeprefix("\b").strip("\n") + "\n```"
    return prose(text)


def _flags(option: click.Option) -> str:
    shown = ", ".join(f"`{each}`" for each in (*option.opts, *option.secondary_opts))
    if option.is_flag or option.count:
        return shown
    metavar = option.make_metavar(click.Context(click.Command("")))
    return f"{shown} `{metavar}`"


def _meaning(option: click.Option) -> str:
    variables = "".join(f" `{name}`" for name in _names(option))
    return _ENVIRONMENT.sub("", option.help or "") + (f" Environment:{variables}." if variables else "")


def _default(option: click.Option, command: click.Command) -> str:
    """As the help shows it; a function that makes a default says in words what it makes."""
    if isinstance(option.show_default, str):
        return option.show_default
    shown = option.show_default or command.context_settings.get("show_default")
    default = option.default
    if (
        not shown
        or option.is_flag
        or callable(default)
        or default in (None, "", ())
        or "UNSET" in repr(default)
    ):
        return ""
    return f"`{default}`"


def _names(option: click.Option) -> list[str]:
    if option.envvar is None:
        return []
    return [option.envvar] if isinstance(option.envvar, str) else list(option.envvar)


def _variables() -> str:
    """All environment variables that stand for an option, by name, with what each program takes them for."""
    told: dict[str, dict[str, list[str]]] = {}
    for name, program in PROGRAMS.items():
        for words, command in _walk(name, program):
            for option in command.params:
                for variable in _names(option) if isinstance(option, click.Option) else ():
                    meaning = _ENVIRONMENT.sub("", option.help or "")
                    told.setdefault(variable, {}).setdefault(meaning, []).append(words)
    rows = [
        (f"`{variable}`", ", ".join(f"`{each}`" for each in dict.fromkeys(words)), cell(meaning))
        for variable, meanings in sorted(told.items())
        for meaning, words in meanings.items()
    ]
    return page(
        "Environment variables",
        "Each stands for an option, which goes before it. Programs that use `hippo_client` read `HIPPO_SERVER`, "
        "`HIPPO_TOKEN` or `HIPPO_TOKEN_FILE`, and `HIPPO_HOME`, too. Who names a token acts as that token, at "
        "the server of this machine's home too: [which one is used](errors.md#not_allowed).",
        table(("variable", "read by", ""), rows),
    )
