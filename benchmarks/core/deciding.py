"""What the engine decides in a second, by how many trials there are."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.core.apart import apart, settled_bytes
from benchmarks.core.studies import EVALUATE_EVERY, grown, large
from benchmarks.core.training import all_created, registered, reports
from benchmarks.figures import Curve, Figure
from hippo_core.engine.commands import CreateProject, EnqueueTrial, SubmitStudy
from hippo_core.engine.engine import Engine, Outcome
from hippo_core.engine.events import LeaseGranted
from hippo_core.study import StudySpec

SIZES = (1_000, 10_000, 100_000)
ROUNDS = 3
FLAT = 1.5
PATHS = 500
TRIAL_BYTES = 2048


@dataclass(slots=True)
class Decided:
    """What one engine took, in CPU seconds; of what was done often the median.

    Attributes:
        trials: How many there are.
        submit: To submit them all.
        enqueue: To enqueue one more.
        reports: Each report but the last of a path.
        ends: Each last one, with the grant that follows.
        stages: How many the paths that were trained have together.
        forks: How many nodes begin on these.
        saves: How many states they were to save.
        trial_bytes: Of memory.
        node_count: How many nodes there are.
    """

    trials: int
    submit: float = 0.0
    enqueue: float = 0.0
    reports: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    stages: int = 0
    forks: int = 0
    saves: int = 0
    trial_bytes: float = 0.0
    node_count: int = 0


def measure() -> Iterator[Figure | Curve]:
    """Submitting, reporting, completing and granting; and memory, each in a process of its own."""
    found = [apart(decide, size) for size in SIZES]
    last = found[-1]
    nodes = f"{last.node_count / last.trials:.2f} nodes a trial"
    yield Figure(
        f"submit, {last.trials} trials", (last.trials / last.submit,), "trials/s", None, more_is_better=True,
        note=f"in one command: trials created, requests opened, stage tree made; {nodes}",
    )  # fmt: skip
    yield Figure(f"memory, {last.trials} trials", (last.trial_bytes,), "B/trial", TRIAL_BYTES, note=nodes)
    yield Figure(
        "report", tuple(1.0 / each for each in last.reports), "/s", more_is_better=True,
        note="ten steps and an evaluation",
    )  # fmt: skip
    yield Figure(
        "complete and grant", tuple(1.0 / each for each in last.ends), "/s", more_is_better=True,
        note="the last report of a path: requests close, the next path is granted",
    )  # fmt: skip
    first = found[0]
    shape = "; ".join(
        f"a path of {each.trials} trials has {each.stages / len(each.ends):.1f} stages, off which "
        f"{each.forks / len(each.ends):.1f} others fork, and saves {each.saves / len(each.ends):.1f} states"
        for each in (first, last)
    )
    for name, before, after in (
        ("report", first.reports, last.reports),
        ("complete and grant", first.ends, last.ends),
    ):
        yield Figure(
            f"{name}, {last.trials} trials", _growth(before, after), f"x at {first.trials}", FLAT, note=shape
        )
    yield Curve(
        "CPU time by trials there are",
        "trials",
        "microseconds",
        {
            "submit, a trial": tuple((each.trials, 1e6 * each.submit / each.trials) for each in found),
            "enqueue a trial": tuple((each.trials, 1e6 * each.enqueue) for each in found),
            "report": tuple((each.trials, 1e6 * statistics.median(each.reports)) for each in found),
            "complete and grant": tuple((each.trials, 1e6 * statistics.median(each.ends)) for each in found),
        },
        logarithmic=True,
        note="a path of a large study has more stages and forks than one of a small study: " + shape,
    )


def _growth(first: list[float], last: list[float]) -> tuple[float, ...]:
    """How many times as long what was done last takes; each part of the last against all of the first."""
    before = statistics.median(first)
    return tuple(statistics.median(last[number::ROUNDS]) / before for number in range(ROUNDS))


def decide(trials: int) -> Decided:
    """Submits a study of so many trials, and trains some paths of it."""
    spec = large(trials)
    spec.point(trials - 1)  # the points of the grid are no matter of the engine's
    engine = Engine()
    engine.handle(CreateProject(project="default"), 0.0)
    before = settled_bytes()
    began = time.process_time()
    engine.handle(SubmitStudy(project="default", user="bench", spec=spec), 0.0)
    for _ in all_created(engine, 0.0):
        pass
    decided = Decided(trials, submit=time.process_time() - began)
    decided.trial_bytes = (settled_bytes() - before) / trials
    decided.node_count = len(engine.state.nodes)
    _train(engine, decided)
    _enqueue(engine, spec, decided)
    return decided


def _train(engine: Engine, decided: Decided) -> None:
    now = 1.0
    granted = _granted(engine.handle(registered(1), now))
    for _ in range(min(PATHS, decided.trials // 2)):
        assert granted is not None
        found = list(reports(granted, EVALUATE_EVERY))
        decided.stages += len(granted.stages)
        decided.forks += sum(len(engine.state.nodes[node].children) for node, _, _ in granted.stages)
        decided.saves += len(granted.save_points)
        for each in found:
            now += 1.0
            began = time.process_time()
            outcome = engine.handle(each, now)
            took = time.process_time() - began
            (decided.ends if each is found[-1] else decided.reports).append(took)
        granted = _granted(outcome)


def _enqueue(engine: Engine, spec: StudySpec, decided: Decided) -> None:
    took = []
    for number in range(50):
        point = {name: options[number % len(options)] for name, options in grown().items()}
        began = time.process_time()
        engine.handle(EnqueueTrial(project="default", name=spec.name, point=point), 1e6)
        took.append(time.process_time() - began)
    decided.enqueue = statistics.median(took)


def _granted(outcome: Outcome) -> LeaseGranted | None:
    return next((each for each in outcome.events if isinstance(each, LeaseGranted)), None)
