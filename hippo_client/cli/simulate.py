"""``hippo simulate``: what a study will take, by the production engine in virtual time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hippo_client.cli.completion import files
from hippo_client.cli.numbers import Number, WholeNumber
from hippo_client.cli.terminal import print_json, say

if TYPE_CHECKING:
    from hippo_core.simulation import RecordedMetrics, Recording, Simulated, SimulatedStudy
    from hippo_core.simulation.recording import Beyond
    from hippo_core.study import StudySpec

MadeUp = dict[tuple[str, int], int]

MOST_SLOTS = 100_000  # each is an object of its own

_SECONDS = Number(least=0)


@click.command()
@click.argument("study_files", metavar="[STUDY.py[:NAME]|STUDY.yaml...]", shell_complete=files, nargs=-1)
@click.option("--slots", type=WholeNumber(1, MOST_SLOTS), required=True, help="Paths trained at a time.")
@click.option(
    "--recorded",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Metrics and times are this export's.",
)
@click.option(
    "--beyond",
    type=click.Choice(["error", "power-law"]),
    default="error",
    metavar="HOW",
    help="What was not recorded: error (default), power-law.",
)
@click.option("--step-seconds", metavar="S", type=Number(above=0), help="Of a step; else as recorded, or 1.")
@click.option(
    "--evaluate-seconds", metavar="S", type=_SECONDS, help="Of an evaluation; else as recorded, or 0."
)
@click.option("--save-seconds", metavar="S", type=_SECONDS, help="Of a save; else as recorded, or 0.")
@click.option("--load-seconds", metavar="S", type=_SECONDS, help="Of loading a state; else of a start, or 0.")
@click.option("--setup-seconds", metavar="S", type=_SECONDS, help="Of making a slot ready; else 0.")
@click.option(
    "--checkpoint-bytes",
    "checkpoint_size",
    metavar="SIZE",
    help="As in 1.5GiB: what checkpoint_budget costs.",
)
@click.option("--seed", type=WholeNumber(0), default=0, help="Of the metrics that are made up.")
@click.option("--trial-based", is_flag=True, help="Beside it, the same engine without sharing.")
@click.option(
    "--gantt",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Draw what each slot does when, as SVG.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def simulate(
    study_files: tuple[str, ...],
    slots: int,
    recorded: Path | None,
    beyond: Beyond,
    step_seconds: float | None,
    evaluate_seconds: float | None,
    save_seconds: float | None,
    load_seconds: float | None,
    checkpoint_size: str | None,
    setup_seconds: float | None,
    seed: int,
    trial_based: bool,
    gantt: Path | None,
    as_json: bool,
) -> None:
    """Say how long a study will take, before anything is spent.

    The production engine, in virtual time. No trainer is imported: metrics are made up, or those of a study that was
    trained (--recorded).

    Example: hippo simulate study.py --slots 8
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices are small; NumPy reads it when it is loaded
    from hippo_client.cli.study_files import load
    from hippo_core.byte_sizes import parse_bytes
    from hippo_core.choosing import choose
    from hippo_core.simulation import Costs, Host
    from hippo_core.simulation import simulate as run

    if recorded is None and not study_files:
        raise click.UsageError("Nothing to simulate: give a STUDY.py, or --recorded.")
    if recorded is None and beyond != "error":
        raise click.UsageError("--beyond is about what was not recorded: give --recorded, too.")
    specs = [choose(load(file).spec(), slots) for file in study_files]
    costs_given: dict[str, Any] = {
        "step_seconds": step_seconds,
        "evaluate_seconds": evaluate_seconds,
        "save_seconds": save_seconds,
        "load_seconds": load_seconds,
        "setup_seconds": setup_seconds,
        "checkpoint_bytes": None
        if checkpoint_size is None
        else parse_bytes(checkpoint_size, "checkpoint-bytes"),
    }
    given = {name: cost for name, cost in costs_given.items() if cost is not None}
    record = None if recorded is None else _record(recorded, specs)
    costs = Costs(**given) if record is None else record.costs(**given)
    response = None if record is None else record.metrics(beyond, seed)
    hosts = [Host(name="slot", slots=slots)]

    def simulated(sharing: bool) -> Simulated:
        proposals = None if record is None else record.proposal
        return run(
            specs, hosts, response=response, costs=costs, seed=seed, sharing=sharing, proposals=proposals
        )

    found = simulated(sharing=True)
    alone = simulated(sharing=False) if trial_based else None
    made_up = None if response is None else _made_up(specs, found, response)
    if gantt is not None:
        _draw(found, gantt)
    if as_json:
        print_json(_json(found, alone, made_up))
    else:
        for spec in specs:
            if spec.chosen is not None:
                click.echo(f"{spec.name}: policies.auto() is {spec.policy.name}: {spec.chosen.reason}")
        _print(found, alone, made_up)


def _record(file: Path, specs: list[StudySpec]) -> Recording:
    """The recorded study, which is also what is simulated where no other is; says where their programs differ."""
    from hippo_client.recordings import load

    record = load(file)
    if not specs:
        specs.append(record.spec)
    for spec in specs:
        differing = record.differences(spec)
        if differing:
            say(
                f"{spec.name} trains another program than {file} ({', '.join(differing)}): its metrics stand in."
            )
    return record


def _made_up(specs: list[StudySpec], found: Simulated, response: RecordedMetrics) -> MadeUp:
    """By study and trial, how many steps go beyond the record, where any do."""
    beyond: MadeUp = {}
    for spec, study in zip(specs, found.studies, strict=True):
        for trial in study.leaderboard:
            sequence = spec.sequence_of(trial.hyperparameters)
            steps = trial.step - response.recorded_steps(map(sequence.values, range(trial.step)))
            if steps:
                beyond[study.study, trial.trial] = steps
    return beyond


def _draw(found: Simulated, file: Path) -> None:
    from hippo_client.gantt_svg import draw

    try:
        file.write_text(draw(found), encoding="utf-8")
    except OSError as error:
        raise click.FileError(str(file), error.strerror) from error
    say(f"Drawn: {file}")


def _json(found: Simulated, alone: Simulated | None, made_up: MadeUp | None) -> dict[str, Any]:
    content = found.to_json()
    if made_up is not None:
        content["made_up"] = {"trials": len(made_up), "steps": sum(made_up.values())}
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


def _print(found: Simulated, alone: Simulated | None, made_up: MadeUp | None) -> None:
    from hippo_client.cli.tables import columns_of, print_table
    from hippo_core.words import plural, time_taken

    outcomes = [found] if alone is None else [found, alone]
    headings = ["", "HIPPO"] if alone is None else ["", "HIPPO", "TRIAL-BASED", "RATIO"]
    rows = [
        _row("makespan", [each.makespan_seconds for each in outcomes], time_taken),
        _row("lower bound", [each.lower_bound_seconds for each in outcomes], time_taken),
        ["makespan / bound", *(_number(each.ratio_to_bound) for each in outcomes)],
        _row("steps trained", [each.steps_trained for each in outcomes], str),
        ["steps without sharing", *(str(each.steps_without_sharing) for each in outcomes)],
    ]
    if any(each.steps_retrained for each in outcomes):
        rows.append(["steps trained again", *(str(each.steps_retrained) for each in outcomes)])
    if any(each.steps_in_probes for each in outcomes):
        rows.append(["steps in probes", *(str(each.steps_in_probes) for each in outcomes)])
    for kind in found.slot_seconds:
        spent = [each.slot_seconds[kind] for each in outcomes]
        if any(spent):
            rows.append(_row(f"slots: {kind}", spent, time_taken))
    cells = [[*row, *[""] * (len(headings) - len(row))] for row in rows]
    print_table(columns_of(headings, cells, right=headings[1:]), "--json shows them")
    for study in found.studies:
        counts = ", ".join(f"{count} {state}" for state, count in study.trials.items())
        why = f"; {study.reason}" if study.reason else ""
        click.echo(f"{study.study}: {study.state}, {counts}{why}")
        if made_up is not None:
            _print_best(study, made_up)
    if made_up:
        click.echo(
            f"Made up: {sum(made_up.values())} steps of {plural(len(made_up), 'trial')}, beyond the record."
        )


def _print_best(study: SimulatedStudy, made_up: MadeUp) -> None:
    """The best trial, or the front: worth knowing where the metrics are real."""
    from hippo_client.cli.summary import MOST_OF_FRONT
    from hippo_core.words import hyperparameter, number, plural

    by_number = {trial.trial: trial for trial in study.leaderboard}
    shown = [("Best", trial) for trial in study.best_trials[:MOST_OF_FRONT]]
    if study.best_by_horizon:
        shown = [(f"Best at horizon {horizon}", trial) for horizon, trial in study.best_by_horizon.items()]
    for title, best in ((title, by_number[trial]) for title, trial in shown):
        written = ", ".join(f"{name}={hyperparameter(value)}" for name, value in best.hyperparameters.items())
        steps = made_up.get((study.study, best.trial), 0)
        remark = f" (the last {plural(steps, 'step')} made up)" if steps else ""
        feasible = {None: "", 0.0: ", feasible"}.get(
            best.violation, f", infeasible by {best.violation or 0:.3g}"
        )
        several = len(best.metrics) > 1
        values = (
            f"{name} {number(each)}" if several else number(each) for name, each in best.metrics.items()
        )
        click.echo(
            f"{title}: trial {best.trial}, {', '.join(values)} at step {best.step}{feasible}{remark}: {written}"
        )
    if not study.best_by_horizon and len(study.best_trials) > MOST_OF_FRONT:
        click.echo(f"and {len(study.best_trials) - MOST_OF_FRONT} more in the Pareto front")


def _row(name: str, values: list[Any], show: Any) -> list[str]:
    cells = [name, *(show(each) for each in values)]
    if len(values) == 2 and values[0]:
        cells.append(f"{values[1] / values[0]:.2f}")
    return cells


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
