"""How many round trips to PostgreSQL a transaction is: the store alone, on a connection that counts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2.extensions

from benchmarks.control.specs import METRICS, study
from benchmarks.figures import Figure
from hippo_core.engine import commands
from hippo_core.engine.engine import Engine
from hippo_server.postgres import EmbeddedPostgres
from hippo_server.store import Record, Store

TRIALS = 640
SLOTS = (2, 16, 64)
WARM = 2
"""Transactions after which the session keeps the statements of all but the last, in which the study ends; each of these
takes a trip of its own once."""


class CountingCursor(psycopg2.extensions.cursor):
    """Counts what it sends."""

    sent = 0

    def execute(self, query: Any, parameters: Any = None) -> None:
        """Counts a statement, or several that are sent together."""
        CountingCursor.sent += 1
        super().execute(query, parameters)


def measure() -> Iterator[Figure]:
    """Trips a transaction by how many trials are reported in it."""
    for slots in SLOTS:
        with tempfile.TemporaryDirectory(prefix="hippo-bench-") as folder:
            postgres = EmbeddedPostgres(Path(folder))
            store = Store(postgres.start())
            try:
                trips, batches = _count(store, slots)
            finally:
                store.close()
                postgres.stop()
        yield Figure(
            f"round trips a transaction, {slots} trials",
            (trips / batches,),
            "trips",
            note="its beginning with all tables together, and COMMIT",
        )


def _count(store: Store, slots: int) -> tuple[int, int]:
    store.migrate()
    term = store.lead("benchmark", 60.0)
    engine, batches, now = Engine(), 0, 0.0

    def write(*done: commands.Command) -> None:
        nonlocal batches, now
        records = []
        for command in done:
            now += 0.001
            events = engine.handle(command, now).events
            records.append(Record(cause="benchmark", events=events, answer=None, actor="benchmark"))
        batches += 1
        store.write(records, term, batches)

    slot = commands.SlotSpec(index=0, device="cpu", model="cpu", cpus=1, gpus=0)
    environment = {"python": "3.11", "torch": "none", "cuda": None, "platform": "Linux"}
    write(commands.CreateProject(project="default"))
    write(commands.SubmitStudy(project="default", user="u", spec=study("study", "b", TRIALS, 10)))
    while wanted := engine.wanted_of(commands.CreateTrials):
        write(*wanted)
    write(
        *(
            commands.RegisterWorker(
                worker=f"w{number}",
                incarnation="1",
                host=f"w{number}",
                slots=(slot,),
                environment=environment,
                leases=(),
            )
            for number in range(slots)
        )
    )
    connection = store._leadership._connection
    assert connection is not None
    connection.cursor_factory = CountingCursor
    first, known, sent = batches + WARM, set[int](), 0
    while True:
        if batches == first:
            CountingCursor.sent = 0
        granted = [
            (f"w{number}", order)
            for number in range(slots)
            for order in engine.directives(f"w{number}", known).leases
        ]
        if len(granted) < slots:
            return sent, batches - 1 - first
        sent = CountingCursor.sent
        known.update(order.fence for _, order in granted)
        write(
            *(
                commands.Report(
                    worker=worker, incarnation="1", fence=order.fence, number=1, items=_items(order)
                )
                for worker, order in granted
            )
        )


def _items(order: Any) -> tuple[commands.ReportItem, ...]:
    (stage,) = order.stages
    node = stage.node
    return (
        commands.StepsReport(node=node, start=0, stop=10, train_seconds=1e-4, evaluate_seconds=1e-4),
        *(
            commands.MetricsReport(node=node, step=step, metrics=METRICS, training={}, evaluated=True)
            for step in range(1, 11)
        ),
        commands.TrainedReport(),
        *(
            commands.PublishedReport(
                node=saved,
                step=step,
                size_bytes=1000,
                digest="d" * 64,
                blocked_seconds=0.0,
                total_seconds=0.0,
            )
            for saved, step in order.save_points
        ),
    )
