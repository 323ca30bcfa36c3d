"""The demo's space as a grid on two slots, against the lower bound of its stage tree."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from benchmarks import machine
from benchmarks.bounds import makespan_steps
from benchmarks.figures import Figure
from hippo_client.study_file import load


def measure() -> Iterator[Figure]:
    """Wall time over the bound's rounds of the mean step."""
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
    note = (
        f"{savings['steps_trained']} steps for {savings['steps_without_sharing']}, {step_seconds:.3f} s a step, "
        f"wall {wall:.1f} s with the command and imports, bound {bound} rounds = {bound * step_seconds:.1f} s"
    )
    ratio = wall / (bound * step_seconds)
    yield Figure("64 trials in full, two slots", (ratio,), "x lower bound", 1.10, note=note)
