"""``hippo simulate``: what a study will take, by the production engine in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hippo_client.cli.terminal import print_json, say
from hippo_client.cli.whole_number import WholeNumber

if TYPE_CHECKING:
    from hippo_core.simulation import Simulated

_SECONDS = click.FloatRange(min=0.0)


@click.command()
@click.argument("study_files", metavar="STUDY.py[:NAME]...", nargs=-1, required=True)
@click.option("--slots", type=WholeNumber(1), required=True, help="Paths trained at a time.")
@click.option(
    "--step-seconds",
    type=click.FloatRange(min=0.0, min_open=True),
    default=1.0,
    help="What a step takes; 1 by default.",
)
@click.option("--evaluate-seconds", type=_SECONDS, default=0.0, help="What an evaluation takes.")
@click.option("--save-seconds", type=_SECONDS, default=0.0, help="For how long a save keeps a slot.")
@click.option("--load-seconds", type=_SECONDS, default=0.0, help="What loading a checkpoint takes.")
@click.option("--setup-seconds", type=_SECONDS, default=0.0, help="What making a slot ready takes.")
@click.option("--seed", type=WholeNumber(0), default=0, help="Of the learning curves that are made up.")
@click.option("--trial-based", is_flag=True, help="Beside it, the same engine without sharing.")
@click.option(
    "--gantt",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Draw what each slot does when, into this SVG file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def simulate(
    study_files: tuple[str, ...],
    slots: int,
    step_seconds: float,
    evaluate_seconds: float,
    save_seconds: float,
    load_seconds: float,
    setup_seconds: float,
    seed: int,
    trial_based: bool,
    gantt: Path | None,
    as_json: bool,
) -> None:
    """Say how long a study will take, before anything is spent.

    The production engine runs in virtual time. No server is asked and no trainer imported: the metrics are made up, by
    learning curves that equal hyper-parameters share. Several studies are submitted together.
    """
    from hippo_client.cli.study_files import load
    from hippo_core.simulation import Costs, Host
    from hippo_core.simulation import simulate as run

    specs = [load(file).spec() for file in study_files]
    costs = Costs(
        step_seconds=step_seconds,
        evaluate_seconds=evaluate_seconds,
        save_seconds=save_seconds,
        load_seconds=load_seconds,
        setup_seconds=setup_seconds,
    )
    hosts = [Host(name="slot", slots=slots)]
    found = run(specs, hosts, costs=costs, seed=seed)
    alone = run(specs, hosts, costs=costs, seed=seed, sharing=False) if trial_based else None
    if gantt is not None:
        from hippo_client.gantt_svg import draw

        try:
            gantt.write_text(draw(found), encoding="utf-8")
        except OSError as error:
            raise click.FileError(str(gantt), error.strerror) from error
        say(f"Drawn: {gantt}")
    if as_json:
        print_json(_json(found, alone))
    else:
        _print(found, alone)


def _json(found: Simulated, alone: Simulated | None) -> dict[str, Any]:
    content = found.to_json()
    if alone is not None:
        content["trial_based"] = alone.to_json()
        content["trial_based_over_hippo"] = _ratios(found, alone)
    return content


def _ratios(found: Simulated, alone: Simulated) -> dict[str, float | None]:
    """What trial-based execution takes of what sharing takes."""
    pairs = {
        "makespan": (alone.makespan_seconds, found.makespan_seconds),
        "slot_seconds": (alone.busy_seconds, found.busy_seconds),
        "steps": (alone.steps_trained, found.steps_trained),
    }
    return {name: one / other if other else None for name, (one, other) in pairs.items()}


def _print(found: Simulated, alone: Simulated | None) -> None:
    from hippo_client.cli.tables import columns_of, print_table

    outcomes = [found] if alone is None else [found, alone]
    headings = ["", "HIPPO"] if alone is None else ["", "HIPPO", "TRIAL-BASED", "RATIO"]
    rows = [
        _row("makespan", [each.makespan_seconds for each in outcomes], _duration),
        _row("lower bound", [each.lower_bound_seconds for each in outcomes], _duration),
        ["makespan / bound", *(_number(each.ratio_to_bound) for each in outcomes)],
        _row("steps trained", [each.steps_trained for each in outcomes], str),
        ["steps without sharing", *(str(each.steps_without_sharing) for each in outcomes)],
    ]
    for kind in found.slot_seconds:
        spent = [each.slot_seconds[kind] for each in outcomes]
        if any(spent):
            rows.append(_row(f"slots: {kind}", spent, _duration))
    cells = [[*row, *[""] * (len(headings) - len(row))] for row in rows]
    print_table(columns_of(headings, cells, right=headings[1:]), "--json shows them")
    for study in found.studies:
        counts = ", ".join(f"{count} {state}" for state, count in study.trials.items())
        click.echo(f"{study.study}: {study.state}, {counts}")


def _row(name: str, values: list[Any], show: Any) -> list[str]:
    cells = [name, *(show(each) for each in values)]
    if len(values) == 2 and values[0]:
        cells.append(f"{values[1] / values[0]:.2f}")
    return cells


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    if seconds < 120:
        return f"{seconds:.4g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
