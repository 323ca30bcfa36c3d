"""A worker that has trained whatever it is granted at once, and reports it: what the engine alone costs."""

from __future__ import annotations

from collections.abc import Iterator

from hippo_core.engine.commands import (
    CreateTrials,
    MetricsReport,
    PublishedReport,
    RegisterWorker,
    Report,
    ReportItem,
    SlotSpec,
    StepsReport,
    TrainedReport,
)
from hippo_core.engine.engine import Engine, Outcome
from hippo_core.engine.events import LeaseGranted

WORKER = "host"
INCARNATION = "1"
CHECKPOINT_BYTES = 1_000_000
DIGEST = "0" * 64


def registered(slots: int) -> RegisterWorker:
    """The worker comes."""
    specs = tuple(SlotSpec(index=each, device="cpu", model="bench", cpus=1, gpus=0) for each in range(slots))
    environment = {"python": "3.11", "torch": "2", "cuda": ""}
    return RegisterWorker(
        worker=WORKER, incarnation=INCARNATION, host=WORKER, slots=specs, environment=environment
    )


def all_created(engine: Engine, now: float) -> Iterator[Outcome]:
    """What it comes to that all trials are created whose points are known."""
    while wanted := engine.wanted_of(CreateTrials):
        for each in wanted:
            yield engine.handle(each, now)


def reports(granted: LeaseGranted, evaluate_every: int) -> Iterator[Report]:
    """What is reported of a path, one evaluation at a time; the last report ends it.

    Args:
        granted: The path.
        evaluate_every: At which states there are metrics.
    """
    items: list[ReportItem] = []
    report = 0
    saved = dict.fromkeys(granted.save_points)
    for node, start, stop in granted.stages:
        at = start
        while at < stop:
            step = min(stop, (at // evaluate_every + 1) * evaluate_every)
            step = min([each for number, each in saved if number == node and at < each < step], default=step)
            items.append(StepsReport(node=node, start=at, stop=step, train_seconds=1.0, evaluate_seconds=0.1))
            at = step
            evaluated = step % evaluate_every == 0
            if evaluated:
                metrics = {"accuracy": (node * 31 + step) % 997 / 997}
                items.append(
                    MetricsReport(node=node, step=step, metrics=metrics, training={}, evaluated=True)
                )
            if (node, step) in saved:
                items.append(
                    PublishedReport(
                        node=node,
                        step=step,
                        size_bytes=CHECKPOINT_BYTES,
                        digest=DIGEST,
                        blocked_seconds=0.0,
                        total_seconds=0.0,
                    )
                )
            if (node, step) == (granted.stages[-1][0], granted.stages[-1][2]):
                items.append(TrainedReport())
            elif not evaluated:
                continue
            report += 1
            yield Report(
                worker=WORKER,
                incarnation=INCARNATION,
                fence=granted.fence,
                number=report,
                items=tuple(items),
            )
            items = []
