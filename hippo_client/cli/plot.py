"""``hippo study plot``: pictures of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hippo_client.cli.connection import connect
from hippo_client.cli.numbers import WholeNumber
from hippo_client.cli.terminal import print_json, say

#: By the ending of the file, what draws it.
_BACKENDS = {".png": "matplotlib", ".svg": "matplotlib", ".pdf": "matplotlib", ".html": "plotly"}


@click.command()
@click.argument("name")
@click.argument("kind", required=False)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file: .png, .svg, .pdf or .html (plotly).",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Which one; by default the first objective. For pareto_front twice, which two.",
)
@click.option(
    "--trial", "trials", type=WholeNumber(0), multiple=True, help="Only this trial; may be repeated."
)
@click.option(
    "--stopped/--no-stopped",
    default=None,
    help="Draw stopped trials, or leave them out. By default contour, rank and param_importances leave them out.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what there is, or was drawn, as JSON.")
def plot(
    name: str,
    kind: str | None,
    output: Path | None,
    metrics: tuple[str, ...],
    trials: tuple[int, ...],
    stopped: bool | None,
    as_json: bool,
) -> None:
    """Draw a study, into a file. Without KIND it lists what there is.

    Needs `pip install 'hippo-hpo[plots]'`; .html needs `pip install plotly`.

    Example: hippo study plot digits parallel_coordinate -o digits.png
    """
    from hippo_client import plots
    from hippo_client.recordings import parse, read_export

    if kind is None and as_json:
        print_json([{"plot": each, "shows": plots.summary(each)} for each in plots.__all__])
        return
    if kind is None:
        for each in plots.__all__:
            click.echo(f"{each:21} {plots.summary(each)}")
        return
    draw = plots.named(kind)
    if output is None or output.suffix not in _BACKENDS:
        raise click.UsageError(f"--output must be a file that ends in {', '.join(_BACKENDS)}.")
    two = "metrics" in plots.options(kind)
    if metrics and len(metrics) != 1 + two:
        wanted = "two metrics: give --metric twice" if two else "one metric: give --metric once"
        raise click.UsageError(f"The plot {kind} is of {wanted}.")
    given: dict[str, Any] = {
        "metrics" if two else "metric": (metrics if two else metrics[0]) if metrics else None,
        "trials": trials or None,
        "stopped": stopped,
    }
    options = {key: value for key, value in given.items() if value is not None}
    unknown = [key for key in options if key not in plots.options(kind)]
    if unknown:
        words = {"metric": "--metric", "trials": "--trial", "stopped": "--stopped"}
        raise click.UsageError(f"The plot {kind} has no {words[unknown[0]]}.")
    with connect() as client:
        study = parse(read_export(client.connection, name), name)
    figure = draw(study, backend=_BACKENDS[output.suffix], **options)
    try:
        if output.suffix == ".html":
            figure.write_html(output, include_plotlyjs=True)
        else:
            figure.savefig(output, dpi=150)
    except OSError as error:
        raise click.FileError(str(output), error.strerror) from error
    if as_json:
        print_json({"study": name, "plot": kind, "file": str(output)})
    else:
        say(f"Written: {output}")
