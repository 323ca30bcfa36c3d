"""``hippo study export``: a study as a file of its own, or in the formats of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hippo_client.cli.connection import connect
from hippo_client.cli.terminal import say
from hippo_core.words import plural

if TYPE_CHECKING:
    from hippo_client.result_tables import Table
    from hippo_core.simulation.recording import Recording


@click.command()
@click.argument("name")
@click.option(
    "--format",
    "layout",
    type=click.Choice(["json", "csv", "parquet", "optuna", "tensorboard", "archive", "yaml"]),
    default="json",
    metavar="FORMAT",
    help="json (the default: all that is known), csv, parquet, optuna, tensorboard, archive (for `hippo study "
    "import` elsewhere), or yaml (a study file).",
)
@click.option(
    "--table",
    type=click.Choice(["trials", "history"]),
    help="Of csv and parquet: a row a trial (the default), or a metric of an evaluation.",
)
@click.option(
    "--style",
    type=click.Choice(["optuna", "plain", "mlflow"]),
    help="Whose columns the trials have; optuna by default.",
)
@click.option(
    "--output",
    "-o",
    metavar="PATH",
    help="A file; of tensorboard a folder; of optuna a URL, too.",
)
@click.option("--checkpoints", is_flag=True, help="Of an archive: with the checkpoints that are kept.")
def export(
    name: str, layout: str, table: str | None, style: str | None, output: str | None, checkpoints: bool
) -> None:
    """Write a study in a format of one's choice.

    JSON, CSV and YAML are printed where no --output is given. Of Optuna it is an SQLite database where PATH ends in .db
    or .sqlite, else a journal; the study is added to it.

    Example: hippo study export digits --format csv
    """
    if layout not in ("csv", "parquet") and (table or style):
        raise click.UsageError("--table and --style are for --format csv and parquet.")
    if table == "history" and style:
        raise click.UsageError("--style is for --table trials.")
    if output is None and layout not in ("json", "csv", "yaml"):
        raise click.UsageError(f"--format {layout} needs --output.")
    if checkpoints and layout != "archive":
        raise click.UsageError("--checkpoints is for --format archive.")
    try:
        if layout == "archive":
            _write_archive(name, Path(str(output)), checkpoints=checkpoints)
            return
        if layout == "yaml":
            _give(_study_file(name), output)
            return
        document = _read(name)
        if layout == "json":
            _give(document, output)
        elif layout == "csv":
            from hippo_client.exporting.csv_file import csv_text

            _give(csv_text(_table(document, name, table, style)).encode(), output)
        elif layout == "parquet":
            from hippo_client.exporting.parquet_file import write_parquet

            write_parquet(_table(document, name, table, style), Path(str(output)))
            say(f"Written: {output}")
        elif layout == "optuna":
            from hippo_client.exporting.optuna_storage import write_optuna

            say(f"Written: {write_optuna(_recording(document, name), str(output))}")
        else:
            from hippo_client.exporting.tensorboard_runs import write_tensorboard

            count = write_tensorboard(_recording(document, name), Path(str(output)))
            say(f"Written: {plural(count, 'run')}; `tensorboard --logdir {output}` shows them")
    except OSError as error:
        raise click.FileError(str(output), error.strerror) from error


def _write_archive(name: str, path: Path, *, checkpoints: bool) -> None:
    from hippo_client.archives import write_archive

    with connect() as client:
        written = write_archive(client.connection, name, path, checkpoints=checkpoints)
    states = f", with {plural(written.checkpoints, 'checkpoint')}" if written.checkpoints else ""
    say(f"Written: {path} ({written.size_bytes / 2**20:.1f} MiB{states})")


def _study_file(name: str) -> bytes:
    import json

    from hippo_client.cli import calls
    from hippo_client.study_yaml_writing import write
    from hippo_core.study import StudySpec

    with connect() as client:
        found = calls.get_study(client, name)
    return write(StudySpec.from_json(json.loads(found.spec_json))).encode()


def _read(name: str) -> bytes:
    from hippo_client.recordings import read_export

    with connect() as client:
        return read_export(client.connection, name)


def _recording(document: bytes, name: str) -> Recording:
    from hippo_client.recordings import parse

    return parse(document, name)


def _table(document: bytes, name: str, table: str | None, style: str | None) -> Table:
    from hippo_client.result_tables import history_table, trials_table

    recording = _recording(document, name)
    return history_table(recording) if table == "history" else trials_table(recording, style or "optuna")  # type: ignore[arg-type]


def _give(content: bytes, output: str | None) -> None:
    if output is None:
        click.echo(content, nl=False)
        return
    Path(output).write_bytes(content)
    say(f"Written: {output}")
