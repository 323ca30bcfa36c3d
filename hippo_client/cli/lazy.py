"""A click group whose commands are imported when they are called, and which suggests a name for a typo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group of commands in other modules.

    Args:
        commands_at: For each line of help its commands, by name: ``module:attribute``. The lines are written here so
            that the page imports nothing.
    """

    def __init__(self, *args: Any, commands_at: Mapping[str, Mapping[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._commands_at = {name: at for row in commands_at.values() for name, at in row.items()}
        self._rows = [(", ".join(row), line) for line, row in commands_at.items()]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help page."""
        return list(self._commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in self._commands_at:
            return None
        module, _, attribute = self._commands_at[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion for a name that does not exist."""
        suggest(ctx, args, self._commands_at)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the lines of help written with the names."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._rows))


class NounGroup(click.Group):
    """A group named by a noun, whose verbs are in one module; without a verb it does ``missing_verb``.

    Args:
        missing_verb: The verb's name.
    """

    def __init__(self, *args: Any, missing_verb: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._missing_verb = missing_verb

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order in which they are written."""
        return list(self.commands)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs alone: the only option is the one that prints this."""
        self.format_commands(ctx, formatter)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, with the missing verb put in."""
        missing = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        if missing and not ctx.resilient_parsing:  # as when a shell asks what may follow
            args = [self._missing_verb, *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion for a verb that does not exist."""
        suggest(ctx, args, self.commands, self._about(ctx, args[0]) if args else "")
        return super().resolve_command(ctx, args)

    def _about(self, ctx: click.Context, name: str) -> str:
        """The line that tells of what has this name, where one does with a name alone."""
        for verb in ("show", self._missing_verb):
            command = self.commands.get(verb)
            if command and [each.nargs for each in command.params if isinstance(each, click.Argument)] == [1]:
                return f"{ctx.command_path} {verb} {name}"
        return ""


def suggest(ctx: click.Context, args: list[str], known: Iterable[str], otherwise: str = "") -> None:
    """Refuse a name that is not known, naming the nearest that is.

    Args:
        ctx: The group's.
        args: The name, and what follows.
        known: The names.
        otherwise: What may be meant where none is near.

    Raises:
        UsageError: The first argument is not known.
    """
    name = args[0] if args else ""
    names = list(known)
    if not name or name.startswith("-") or name in names:
        return
    near = get_close_matches(name, names, n=1, cutoff=0.65)  # "digits" is of a study, and no "edit"
    meant = _elsewhere(ctx.find_root(), name) or (near[0] if near else otherwise)
    suggestion = f" Did you mean {meant!r}?" if meant else ""
    raise click.UsageError(f"No such command {name!r}.{suggestion}", ctx=ctx)


def _elsewhere(root: click.Context, name: str) -> str:
    """The line of a command that another noun has as its verb, or whose noun this is in the plural; else empty."""
    assert isinstance(root.command, click.Group)
    for noun in root.command.list_commands(root):
        group = root.command.get_command(root, noun)
        if not isinstance(group, NounGroup):
            continue
        verb = group._missing_verb if name == f"{noun}s" else name
        if verb in group.commands:
            takes = [
                each.make_metavar(root)
                for each in group.commands[verb].params
                if isinstance(each, click.Argument)
            ]
            return " ".join([root.command_path, noun, verb, *takes])
    return ""
