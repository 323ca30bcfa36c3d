"""The demo's space as a grid on two slots, against the lower bound of its stage tree, and where slots' time went.

Start-up is measured apart: what a study of one trial and one step takes, on the server that is there, with runners for
a program that they did not know. It is subtracted, and printed.
"""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.bounds import makespan_steps
from benchmarks.figures import Figure
from hippo_client.study_file import load
from hippo_core.simulation import Recording
from hippo_core.simulation.recorded_parts import RecordedLease

SLOTS = 2
ROUNDS = 3
WHOLE = "max_steps=27"
ONE_STEP = "max_trials=1, max_steps=1"


@dataclass(frozen=True, slots=True)
class Round:
    """What a run of the grid gave, in seconds but for the steps and the leases.

    Attributes:
        wall: Of the command.
        start_up: Of a command that trains one step.
        steps: That were trained.
        training: What slots spent on steps and evaluations, all together.
        leases: How many there were.
        spent: What else slots did, by what it was, all slots together.
    """

    wall: float
    start_up: float
    steps: int
    training: float
    leases: int
    spent: Mapping[str, float]

    def in_words(self, bound: int) -> str:
        """What the table says of it."""
        step = self.training / self.steps
        parts = ", ".join(f"{name} {1000 * spent / SLOTS:.0f} ms" for name, spent in self.spent.items())
        return (
            f"{self.steps} steps of {1000 * step:.1f} ms in {self.leases} leases; wall {self.wall:.2f} s, start-up "
            f"{self.start_up:.2f} s, bound {bound} steps = {bound * step:.2f} s; of a slot's time: {parts}"
        )


def measure() -> Iterator[Figure]:
    """Wall time without start-up over the bound's rounds of the mean step."""
    spec = load(str(processes.EXAMPLE / "study.py")).spec()
    trials = [spec.sequence(spec.point(number)) for number in range(spec.max_trials)]
    steps = max(spec.max_steps_of(spec.point(number)) for number in range(spec.max_trials))
    bound = makespan_steps(([trial.key(step) for step in range(steps)] for trial in trials), slots=SLOTS)
    with processes.home() as folder:
        processes.hippo(folder, "up", "--slots", str(SLOTS), "--grpc-port", "0", "--http-port", "0")
        grid(folder, "warm", seed=0, extent=ONE_STEP)
        rounds = [_round(folder, number) for number in range(1, ROUNDS + 1)]
    least = [bound * each.training / each.steps for each in rounds]
    ratios = [(each.wall - each.start_up) / bound for each, bound in zip(rounds, least, strict=True)]
    whole = [each.wall / bound for each, bound in zip(rounds, least, strict=True)]
    middle = rounds[ratios.index(statistics.median_low(ratios))]
    name = "64 trials in full, two slots"
    yield Figure(name, tuple(ratios), "x lower bound", 1.08, note=middle.in_words(bound))
    yield Figure(f"{name}, with start-up", tuple(whole), "x lower bound")


def grid(folder: Path, name: str, seed: int, extent: str) -> tuple[float, Any]:
    """Trains the grid under a seed of its own, which shares with no other; gives seconds and the result."""
    here = folder / name
    here.mkdir()
    shutil.copy(processes.EXAMPLE / "trainer.py", here)
    text = (processes.EXAMPLE / "study.py").read_text()
    for old, new in (
        ('name="digits"', f'name="{name}", seed={seed}'),
        (WHOLE, extent),
        ("policies.asha(min_steps=1, reduction_factor=3)", "policies.full()"),
    ):
        assert old in text, f"the example has no {old}"
        text = text.replace(old, new)
    (here / "study.py").write_text(text)
    began = time.perf_counter()
    said = processes.hippo(folder, "run", str(here / "study.py"), "--slots", str(SLOTS), "--json")
    return time.perf_counter() - began, json.loads(said)


def _round(folder: Path, number: int) -> Round:
    """Trains one step of the grid, then all of it."""
    start_up, _ = grid(folder, f"step-{number}", seed=2 * number, extent=ONE_STEP)
    wall, result = grid(folder, f"grid-{number}", seed=2 * number + 1, extent=WHOLE)
    savings = result["savings"]
    recording = Recording.from_json(json.loads(processes.hippo(folder, "study", "export", f"grid-{number}")))
    return Round(
        wall=wall,
        start_up=start_up,
        steps=savings["steps_trained"],
        training=savings["seconds_trained"],
        leases=len(recording.leases),
        spent=spent(recording),
    )


def spent(recording: Recording) -> dict[str, float]:
    """What slots did beside training, in seconds of all together.

    A lease that saves its last state while the next one has begun counts up to there.
    """
    over = max(each.seconds for each in recording.arrivals)
    took = dict.fromkeys(recording.leases, 0.0)
    for parts in recording.training.values():
        for *_, train, evaluate, fence in parts:
            took[fence] += train + evaluate
    by_slot: dict[tuple[str, int], list[RecordedLease]] = defaultdict(list)
    for lease in sorted(recording.leases.values(), key=lambda each: each.granted):
        by_slot[lease.worker, lease.slot].append(lease)
    found = dict.fromkeys(("in the first lease", "in later leases", "without a lease", "tail"), 0.0)
    for leases in by_slot.values():
        free = 0.0
        for lease, following in zip_longest(leases, leases[1:]):
            ended = over if lease.ended is None else min(over, lease.ended)
            if following is not None:
                ended = min(ended, following.granted)
            found["without a lease"] += max(0.0, lease.granted - free)
            found["in later leases" if free else "in the first lease"] += (
                ended - lease.granted - took[lease.fence]
            )
            free = ended
        found["tail"] += over - free
    return found
