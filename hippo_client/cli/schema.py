"""``hippo schema``: what the output of a command looks like, for programs."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import click

from hippo_client.cli.terminal import print_json

#: Not of a command's output: of what is written for it.
STUDY_FILE = "study-file"


@click.command()
@click.argument("command", nargs=-1)
def schema(command: tuple[str, ...]) -> None:
    """Print the JSON Schema of what a command prints with --json.

    COMMAND is as it is called: `study ls`; `error` is what is printed where it could not be done, `study-file` a study
    in YAML. Without one, those of all commands, as definitions of one schema.

    Example: hippo schema study show
    """
    print_json(_found(" ".join(command)))


def _found(name: str) -> dict[str, Any]:
    from hippo_client.cli.output_schema import ERROR, all_schemas, schema_of
    from hippo_client.cli.outputs import OUTPUTS

    if not name:
        return all_schemas()
    if name == STUDY_FILE:
        from hippo_client import study_schema

        return study_schema.schema()
    if name == ERROR or name in OUTPUTS:
        return schema_of(name)
    near = get_close_matches(name, [*OUTPUTS, ERROR, STUDY_FILE], n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    raise click.UsageError(f"No command {name!r} prints JSON with --json.{meant}")
