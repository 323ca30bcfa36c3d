"""``python -m benchmarks``: overhead, sharing and start-up, each as a ratio within one run.

``--device cuda`` measures the overhead on a GPU, and only that: the others are about the processor.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.bounds import makespan_steps
from hippo_client.study_file import load

RESULTS = Path(__file__).resolve().parent / "results"
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure."""

    name: str
    value: float
    low: float
    high: float
    aim: float
    unit: str
    note: str


def spread(name: str, values: Sequence[float], aim: float, unit: str, note: str) -> Figure:
    """A figure of several rounds: median, least and most."""
    return Figure(name, statistics.median(values), min(values), max(values), aim, unit, note)


def calibrated(seconds: float, device: str) -> int:
    """How many repeats of the workload take about so long on a core, or a GPU, of its own."""
    probe = 50
    took = machine.bare(probe, 20, device).processor_seconds / 20
    return max(1, round(probe * seconds / took))


def overhead(step_seconds: float, steps: int, aim: float, device: str, rounds: int) -> list[Figure]:
    """One trial, nothing to share, against the bare loop: both in turn, each between two of the other."""
    repeats = calibrated(step_seconds, device)
    walls, processors = [], []
    with machine.home() as folder:
        machine.hippo(folder, "up", "--slots", "1", "--grpc-port", "0", "--http-port", "0")
        before = machine.bare(repeats, steps, device)
        for turn in range(rounds):
            file, notes = machine.study(folder, f"overhead-{turn}", repeats, steps)
            machine.hippo(folder, "run", str(file), "--slots", "1")
            shared, after = machine.read_clock(notes), machine.bare(repeats, steps, device)
            walls.append(2 * shared.seconds / (before.seconds + after.seconds))
            processors.append(
                2 * shared.processor_seconds / (before.processor_seconds + after.processor_seconds)
            )
            before = after
    name = f"overhead, {step_seconds * 1000:g} ms steps on {device}"
    note = f"{steps} steps of one trial, each evaluated, against bare loops before and after"
    return [
        spread(f"{name}, wall", walls, aim, "x bare loop", note),
        spread(f"{name}, processor", processors, aim, "x bare loop", "the training process alone"),
    ]


def sharing() -> list[Figure]:
    """The demo's space as a grid on two slots, against the lower bound of its stage tree."""
    study = load(str(machine.EXAMPLE / "study.py"))
    spec = study.spec()
    trials = [spec.sequence(spec.point(number)) for number in range(spec.max_trials)]
    steps = max(spec.max_steps_of(spec.point(number)) for number in range(spec.max_trials))
    bound = makespan_steps(([trial.key(step) for step in range(steps)] for trial in trials), slots=2)
    with machine.home() as folder:
        file = machine.EXAMPLE / "study.py"
        grid = folder / "digits"
        grid.mkdir()
        (grid / "trainer.py").write_text((machine.EXAMPLE / "trainer.py").read_text())
        text = file.read_text().replace(
            "policy=policies.asha(min_steps=1, reduction_factor=3)", "policy=policies.full()"
        )
        (grid / "study.py").write_text(text)
        machine.hippo(folder, "up", "--slots", "2", "--grpc-port", "0", "--http-port", "0")
        # Start-up is measured apart: when a first study has been trained, the worker is there.
        first, _ = machine.study(folder, "first", 1, 1)
        machine.hippo(folder, "run", str(first), "--slots", "2")
        began = time.perf_counter()
        result = json.loads(machine.hippo(folder, "run", str(grid / "study.py"), "--slots", "2", "--json"))
        wall = time.perf_counter() - began
    savings = result["savings"]
    step_seconds = savings["seconds_trained"] / savings["steps_trained"]
    ratio = wall / (bound * step_seconds)
    note = (
        f"{savings['steps_trained']} steps for {savings['steps_without_sharing']}, {step_seconds:.3f} s a step, "
        f"wall {wall:.1f} s with the command and imports, bound {bound} rounds = {bound * step_seconds:.1f} s"
    )
    return [Figure("sharing, 64 trials in full, two slots", ratio, ratio, ratio, 1.10, "x lower bound", note)]


def start_up() -> Figure:
    """From ``hippo run`` to the first training step, with a database that exists; torch's import subtracted."""
    values = []
    with machine.home() as folder:
        for turn in range(ROUNDS):
            file, notes = machine.study(folder, f"start-{turn}", 1, 1)
            if turn > 0:
                machine.hippo(folder, "down")
            imported = machine.torch_import_seconds()
            began = time.time()
            machine.hippo(folder, "run", str(file), "--slots", "1")
            values.append(machine.read_clock(notes).started - began - imported)
    return spread(
        "start-up, warm database", values[1:], 3.0, "s beyond torch's import", "hippo run to the first step"
    )


def show(figures: Sequence[Figure]) -> None:
    """Prints the table."""
    print(f"{'':46} {'median':>8} {'least':>8} {'most':>8} {'aim':>6}")
    for each in figures:
        print(
            f"{each.name:46} {each.value:8.3f} {each.low:8.3f} {each.high:8.3f} {each.aim:6.2f}  {each.unit}"
        )
        print(f"    {each.note}")


def main() -> None:
    """Measures all, prints a table and keeps the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of the overhead's measurement")
    arguments = parser.parse_args()
    if arguments.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a GPU that happens to be there trains nothing
    about: dict[str, Any] = machine.description()
    print(f"{about['processor']}, {about['cores']} cores, load {about['load']:.1f}, Python {about['python']}")
    figures = [
        figure
        for step_seconds, steps, aim in ((0.2, 20, 1.01), (0.005, 400, 1.05))
        for figure in overhead(step_seconds, steps, aim, arguments.device, arguments.rounds)
    ]
    if arguments.device == "cpu":
        figures += [*sharing(), start_up()]
    show(figures)
    RESULTS.mkdir(exist_ok=True)
    kept = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    kept.write_text(json.dumps({"machine": about, "figures": [asdict(each) for each in figures]}, indent=1))
    print(f"kept in {kept}")


if __name__ == "__main__":
    main()
