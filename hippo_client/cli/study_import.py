"""``hippo study import``: a study's archive, or a study file from the words of others."""

from __future__ import annotations

from pathlib import Path

import click

from hippo_client.cli.connection import connect
from hippo_client.cli.numbers import WholeNumber
from hippo_client.cli.options import json_option
from hippo_client.cli.study_printing import print_study


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="What the study is to be called here; by default as it was.")
@click.option("--trainer", metavar="MODULE:CLASS", help="Of a YAML file: what trains.")
@click.option("--max-steps", type=WholeNumber(1), help="Of a YAML file: how far one trial is trained.")
@click.option("--max-trials", type=WholeNumber(1), help="Of a YAML file: how many trials there are.")
@click.option("--skip-unsupported", is_flag=True, help="Of a YAML file: leave out what has no counterpart.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="Of a YAML file: the study file to write."
)
@json_option
def import_file(
    file: Path,
    name: str | None,
    trainer: str | None,
    max_steps: int | None,
    max_trials: int | None,
    skip_unsupported: bool,
    output: Path | None,
    as_json: bool,
) -> int:
    """Take in a study's archive, from `hippo study export --format archive`; one that ran comes paused.

    Of a W&B sweep or a Determined experiment in YAML it writes a study file, and names what has no counterpart.

    Example: hippo study import digits.hippo --name digits-2
    """
    from hippo_client.cli.foreign_files import Asked, import_foreign, is_study_text
    from hippo_client.cli.importing import import_study

    if is_study_text(file):
        asked = Asked(
            trainer=trainer,
            name=name,
            max_steps=max_steps,
            max_trials=max_trials,
            skip=skip_unsupported,
            output=output,
        )
        return import_foreign(file, asked, as_json)
    if trainer or max_steps or max_trials or skip_unsupported or output:
        raise click.UsageError(f"{file} is no YAML file: of an archive only --name can be given.")
    with connect() as client:
        print_study(import_study(client, file, name), as_json)
    return 0
