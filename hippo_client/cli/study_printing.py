"""Prints a study after a command has looked at it or changed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hippo_client.cli.terminal import print_json

if TYPE_CHECKING:
    from hippo_wire.v1 import study_pb2


def print_study(message: study_pb2.Study, as_json: bool) -> None:
    """Prints what the server told of a study, for a person or as JSON."""
    from hippo_client.cli.summary import study_summary
    from hippo_wire.json_shapes import study_json

    if as_json:
        print_json(study_json(message))
    else:
        click.echo(study_summary(message))
