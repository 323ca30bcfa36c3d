"""``hippo study``: list, show, watch and steer studies."""

from __future__ import annotations

import click

from hippo_client.cli.connection import connect
from hippo_client.cli.export import export
from hippo_client.cli.lazy import NounGroup
from hippo_client.cli.options import json_option, name_argument, quiet_option
from hippo_client.cli.plot import plot
from hippo_client.cli.points import enqueue, fork
from hippo_client.cli.steering import delete, edit, extend, pause, resume, retry, stop
from hippo_client.cli.study_import import import_file
from hippo_client.cli.study_printing import print_study
from hippo_client.cli.terminal import print_json, print_names
from hippo_core.words import percent


@click.group(cls=NounGroup, missing_verb="ls")
def study() -> None:
    """List, show, watch and steer studies.

    Example: hippo study show digits
    """


@study.command("ls")
@quiet_option
@json_option
def list_all(quiet: bool, as_json: bool) -> None:
    """List the studies, newest first.

    Example: hippo study ls
    """
    from hippo_client.cli import calls
    from hippo_client.cli.tables import columns_of, print_table
    from hippo_wire.json_shapes import study_json, study_state
    from hippo_wire.summaries import best_words, saved_fraction

    with connect() as client:
        studies = calls.list_studies(client)
    if as_json:
        print_json([study_json(each) for each in studies])
        return
    if quiet:
        print_names(each.name for each in studies)
        return
    rows = []
    for each in studies:
        saved = saved_fraction(each)
        rows.append(
            (
                each.name,
                study_state(each).value,
                f"{each.trial_counts.get('completed', 0)}/{sum(each.trial_counts.values())}",
                best_words(each),
                str(each.savings.steps_trained),
                "-" if saved is None else percent(saved),
            )
        )
    headings = ("STUDY", "STATE", "COMPLETED", "BEST", "STEPS", "SAVED")
    right, cuttable = ("COMPLETED", "STEPS", "SAVED"), ("STUDY", "BEST")
    print_table(columns_of(headings, rows, right=right, cuttable=cuttable), "--json shows them")


@study.command()
@name_argument
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a study: its state, its best trial, what sharing saved.

    Example: hippo study show digits
    """
    from hippo_client.cli import calls

    with connect() as client:
        print_study(calls.get_study(client, name), as_json)


@study.command()
@name_argument
@json_option
def savings(name: str, as_json: bool) -> None:
    """Tell what sharing saved: steps and seconds that were not trained twice.

    Example: hippo study savings digits
    """
    from hippo_client.cli import calls
    from hippo_client.cli.summary import sharing_summary
    from hippo_wire.json_shapes import study_json

    with connect() as client:
        found = calls.get_study(client, name)
    if as_json:
        print_json({"study": name, "savings": study_json(found)["savings"]})
    else:
        click.echo(sharing_summary(found) or "Nothing is trained yet.")


@study.command()
@name_argument
@json_option
def watch(name: str, as_json: bool) -> int:
    """Follow a study until it has ended, or its sampler or policy keeps failing.

    Ctrl-C stops watching; the study goes on.

    Example: hippo study watch digits
    """
    from hippo_client.cli.watching import follow

    return follow(name, as_json)


@study.command()
@name_argument
@click.option("--svg", is_flag=True, help="Print a drawing as SVG.")
@json_option
def tree(name: str, svg: bool, as_json: bool) -> None:
    """Show the study's stage tree: what is trained once, and where trials part.

    Example: hippo study tree digits --svg > digits.svg
    """
    from hippo_client.cli import calls
    from hippo_client.cli.terminal import width
    from hippo_client.stage_tree import StageTree, tree_node
    from hippo_wire.json_shapes import stage_tree_json

    if svg and as_json:
        raise click.UsageError("--svg and --json exclude each other.")
    with connect() as client:
        nodes = calls.get_tree(client, name)
    if as_json:
        print_json(stage_tree_json(nodes))
        return
    drawn = StageTree(tree_node(node) for node in nodes)
    click.echo(drawn.to_svg() if svg else drawn.to_text(width()))


for each in (export, plot, import_file, pause, resume, stop, extend, edit, fork, enqueue, retry, delete):
    study.add_command(each)
