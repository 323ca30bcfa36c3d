"""Hippo beside Ray Tune, Optuna, Syne Tune and a bare loop, on one workload that knows none of them.

Two parts: the grid, in which 64 points are trained to the end, and ASHA (reduction 3, first rung 1, last 27). Each
system trains two trials at a time, a thread each. In a round every system has its turn, in an order that changes from
round to round. While one works on this, ``PEERS_WIDTH=4`` makes epochs short, ``PEERS_GRID_ROUNDS`` and
``PEERS_ASHA_ROUNDS`` say how many rounds there are, and ``PEERS_SYSTEMS="Hippo,Optuna"`` leaves the others out.

The peers' ASHA stops trials that are not among the best of a rung when they come to it. The paper's, and Hippo's by
default, promotes instead: who is not among the best waits. Hippo has both, and both are measured.

What the figures say:

- wall: from the command to its end. Start-up: from the command to the first epoch; wind-down: from the last one to
  the command's end.
- processor: of all processes that the command started, database and servers included.
- epochs: as the workload counts them; distinct: those that differ in their history of values.
- overhead: slot time between the first and the last epoch, beyond what the bare loop takes for as many epochs of the
  same batch sizes, for each trial and for each epoch; under ASHA slots also wait there for what is to be compared.
  Idle: the slot time in which no epoch was trained, for each trial; it does not depend on how fast epochs were.
- memory: the most that all processes had at a time, sampled; what they share is counted once.
- written: what all processes gave to write calls, which is files and pipes, those that are gone included; for systems
  with a database without and with its making. Written by the disk: what the disk wrote meanwhile, for anybody, so on
  a quiet machine. Dirtied: the kernel's account of pages, in folios of up to 1 MB of which a commit changes 8 KB.
  Files: those that are left, and what they take.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Iterator

from benchmarks.figures import Figure
from benchmarks.peers import environments, running, workload
from benchmarks.peers.running import Run, System

ROUNDS = {
    "grid": int(os.environ.get("PEERS_GRID_ROUNDS", "1")),
    "asha": int(os.environ.get("PEERS_ASHA_ROUNDS", "3")),
}
TRIALS = 64
MB = 1e6

WITH_DATABASE = "written, with the database's making"
AIMS = {"overhead per trial": 0.03, "written": 60.0, WITH_DATABASE: 60.0}
"""Of Hippo's, in each part and of each kind of ASHA."""
HIPPOS = (running.HIPPO, running.HIPPO_STOPPING)
MOST_OF_BOUND = 1.08
MOST_OF_BEST_PEER = 0.5
MOST_START_UP_SECONDS = 1.5

Runs = dict[str, list[Run]]
"""By system, in the order of the rounds."""


def prepare() -> None:
    """The environments of the systems that are measured."""
    environments.prepare(each.environment for each in _systems() if each.environment)


def measure() -> Iterator[Figure]:
    """All systems, the grid first."""
    failures: list[str] = []
    grid = _rounds("grid", failures)
    yield from _figures("grid", grid, grid)
    yield from _grid_aims(grid)
    asha = _rounds("asha", failures)
    yield from _figures("asha", asha, grid)
    yield from _asha_aims(asha)
    if failures:
        raise RuntimeError("; ".join(failures))


def _systems() -> list[System]:
    """Those that ``PEERS_SYSTEMS`` names, or all.

    Raises:
        SystemExit: It names one that there is not.
    """
    there = [each.name for each in running.ALL]
    named = os.environ.get("PEERS_SYSTEMS", ",".join(there)).split(",")
    if unknown := [name for name in named if name not in there]:
        raise SystemExit(f"PEERS_SYSTEMS: no system {unknown[0]!r}; there are {', '.join(there)}")
    return [each for each in running.ALL if each.name in named]


def _rounds(part: str, failures: list[str]) -> Runs:
    """Runs each system in each round; one that fails costs no other its figures."""
    systems = [each for each in _systems() if part in each.parts]
    found: Runs = defaultdict(list)
    for turn in range(ROUNDS[part]):
        for place in range(len(systems)):
            system = systems[(place + turn) % len(systems)]
            try:
                run = running.run(system, part)
            except (RuntimeError, ValueError) as error:
                failures.append(f"{part}, {system.name}: {error}")
                print(f"  {failures[-1]}", file=sys.stderr, flush=True)
                continue
            found[system.name].append(run)
            print(
                f"    {part}, {system.name}: {run.wall_seconds:.1f} s, {run.epochs.count} epochs", flush=True
            )
    return found


def _figures(part: str, runs: Runs, grid: Runs) -> Iterator[Figure]:
    bare = grid.get(running.BARE.name, [])
    hippos = {each.name for each in HIPPOS}
    for name, each in runs.items():
        note = each[0].said
        for what, unit, values in _columns(each, bare):
            aim = AIMS.get(what) if name in hippos else None
            yield Figure(f"{part}, {name}: {what}", values, unit, aim, note=note)
            note = ""


def _columns(runs: list[Run], bare: list[Run]) -> Iterator[tuple[str, str, tuple[float, ...]]]:
    """Name, unit and values of each figure of a system."""
    yield "wall", "s", tuple(run.wall_seconds for run in runs)
    yield "processor", "s", tuple(run.processor_seconds for run in runs)
    yield "epochs", "epochs", tuple(float(run.epochs.count) for run in runs)
    yield "distinct", "epochs", tuple(float(run.epochs.distinct) for run in runs)
    yield "start-up", "s", tuple(run.start_up_seconds for run in runs)
    yield "wind-down", "s", tuple(run.wind_down_seconds for run in runs)
    if bare:
        over = tuple(overhead_seconds(run, bare) for run in runs)
        yield "overhead per trial", "s", tuple(each / TRIALS for each in over)
        yield (
            "overhead per epoch",
            "s",
            tuple(e / run.epochs.count for e, run in zip(over, runs, strict=True)),
        )
    idle = tuple(run.epochs.idle_seconds(workload.SLOTS) / TRIALS for run in runs)
    yield "idle per trial", "s", idle
    yield (
        "processor per trial beside epochs",
        "s",
        tuple((run.processor_seconds - run.epochs.processor_seconds) / TRIALS for run in runs),
    )
    yield "memory", "MB", tuple(run.peak_bytes / MB for run in runs)
    yield "written", "MB", tuple(run.written.calls / MB for run in runs)
    yield "written by the disk", "MB", tuple(run.written.device / MB for run in runs)
    yield "dirtied", "MB", tuple(run.written.dirtied / MB for run in runs)
    if made := [(run, run.preparation) for run in runs if run.preparation is not None]:
        whole = tuple((run.written.calls + before.calls) / MB for run, before in made)
        yield WITH_DATABASE, "MB", whole
        yield "making the database", "s", tuple(run.preparation_seconds for run, _ in made)
    yield "files left", "files", tuple(float(run.files) for run in runs)
    yield "left on disk", "MB", tuple(run.left_bytes / MB for run in runs)


def overhead_seconds(run: Run, bare: list[Run]) -> float:
    """Slot time between a run's first and last epoch, beyond that of its epochs in the bare loop.

    There, each batch size has its mean time of an epoch, and a part of the slot time in which none was trained.
    """
    loop = [each.epochs for each in bare]
    slot_seconds = workload.SLOTS * sum(each.last - each.first for each in loop)
    per_second = slot_seconds / sum(each.seconds for each in loop)
    expected = 0.0
    for size, epochs in run.epochs.of_batch_size.items():
        alike = [each.of_batch_size[size] for each in loop]
        mean = sum(each.seconds for each in alike) / sum(each.count for each in alike)
        expected += epochs.count * mean * per_second
    return workload.SLOTS * (run.epochs.last - run.epochs.first) - expected


def _grid_aims(runs: Runs) -> Iterator[Figure]:
    """Hippo against the bare loop of the same round: the distinct epochs alone, two at a time, would take the bound."""
    pairs = list(zip(runs.get(running.HIPPO.name, []), runs.get(running.BARE.name, []), strict=False))
    if not pairs:
        return
    ratios = tuple(
        (hippo.wall_seconds - hippo.start_up_seconds)
        / ((bare.wall_seconds - bare.start_up_seconds) * bare.epochs.distinct / bare.epochs.count)
        for hippo, bare in pairs
    )
    hippo, bare = pairs[0]
    note = (
        f"bound: the bare loop's {bare.wall_seconds:.1f} s without start-up ({bare.start_up_seconds:.1f} s) x "
        f"{bare.epochs.distinct} / {bare.epochs.count}; Hippo's {hippo.wall_seconds:.1f} s without start-up "
        f"({hippo.start_up_seconds:.1f} s)"
    )
    yield Figure("grid, Hippo: wall against the bound", ratios, "x bound", MOST_OF_BOUND, note=note)
    name, unit = "grid, Hippo: start-up beyond the bare loop", "s beyond bare loop"
    beyond = tuple(hippo.start_up_seconds - bare.start_up_seconds for hippo, bare in pairs)
    note = "to the first epoch, beyond the bare loop's; the database exists"
    yield Figure(name, beyond, unit, MOST_START_UP_SECONDS, note=note)
    beyond = tuple(late + hippo.preparation_seconds for late, (hippo, _) in zip(beyond, pairs, strict=True))
    note = "with a command before it that starts Hippo and makes the database, so that two starts are in it"
    name += ", with the database's making"
    yield Figure(name, beyond, unit, MOST_START_UP_SECONDS, note=note)


def _asha_aims(runs: Runs) -> Iterator[Figure]:
    peers = [runs[each.name] for each in running.PEERS if each.name in runs]
    if not peers:
        return
    best = [min(run.wall_seconds for run in turn) for turn in zip(*peers, strict=False)]
    note = "wall, start-up included; the fastest peer of the same round, whose ASHA stops trials"
    for system in HIPPOS:
        if ours := runs.get(system.name):
            ratios = tuple(run.wall_seconds / wall for run, wall in zip(ours, best, strict=False))
            name = f"asha, {system.name}: wall against the best peer"
            yield Figure(name, ratios, "x best peer", MOST_OF_BEST_PEER, note=note)
