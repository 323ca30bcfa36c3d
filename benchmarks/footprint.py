"""What a server keeps: bytes of the database, and of its write-ahead log, for each trial, report and checkpoint.

Studies are run by the engine in virtual time; the store writes their events into a PostgreSQL, in batches as a server's
writer makes them. Told is what one more trial, report or checkpoint adds: what an empty database takes is in none.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy

from benchmarks.figures import Figure
from hippo_core import policies, samplers, space
from hippo_core.engine.events import Event
from hippo_core.objective import Objective
from hippo_core.program import Program
from hippo_core.schedules import multistep
from hippo_core.simulation import Host, simulate
from hippo_core.study import StudySpec
from hippo_server.postgres import EmbeddedPostgres
from hippo_server.store import Record, Store

BATCH = 64
"""Events in one transaction."""
SIZES = {
    "database": "SELECT pg_database_size(current_database())",
    "of it the journal": "SELECT pg_total_relation_size('journal')",
    "write-ahead log": "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint",
}
METRICS = 10
TRIALS = 400
REPORTS = 20
"""How many more a longer study has of each trial."""


def measure() -> Iterator[Figure]:
    """The same each time but for a few pages."""
    base = stored(study(TRIALS, 2))
    longer = stored(study(TRIALS, 2 + REPORTS))
    saved = stored(replace(study(TRIALS, 2 + REPORTS), checkpoint_every=1))
    more = stored(study(2 * TRIALS, 2))
    reports = TRIALS * REPORTS
    report = {name: (longer[name] - base[name]) / reports for name in base}
    # Of a longer study's trial, the end is saved in any case.
    checkpoint = {name: (saved[name] - longer[name]) / (TRIALS * (1 + REPORTS)) for name in base}
    trial = {name: (more[name] - base[name]) / TRIALS - 2 * report[name] for name in base}
    for what, sizes, note in (
        ("a trial", trial, "with three hyper-parameters and one checkpoint, without its reports"),
        ("a report", report, f"of {METRICS} metrics"),
        ("a checkpoint", checkpoint, "its row and events; the state itself is in the storage"),
    ):
        for name, bytes_ in sizes.items():
            yield Figure(f"{what}, {name}", (bytes_ / 1000,), "KB", note=note if name == "database" else "")


class TenMetrics:
    """Every report has ten values."""

    def begin(self, seed: int) -> int:
        return seed

    def train(self, model: int, step: int, values: Mapping[str, Any]) -> int:
        return hash((model, step, repr(values)))

    def evaluate(self, model: int) -> dict[str, float]:
        return {f"m{index}": (model + index) % 1_000_003 / 1_000_003 for index in range(METRICS)}


def study(trials: int, steps: int, **program: Any) -> StudySpec:
    """Trials of three hyper-parameters that have nothing in common."""
    searched = space.Space(
        {
            "lr": space.loguniform(1e-5, 1.0),
            "momentum": space.uniform(0.0, 1.0),
            "batch_size": space.choice([32, multistep(32, gamma=2, milestones=[max(1, steps // 2)])]),
        }
    )
    return StudySpec(
        name="footprint",
        space=searched,
        objectives=(Objective(metric="m0", maximize=True),),
        max_trials=trials,
        max_steps=steps,
        sampler=samplers.random(),
        policy=policies.full(),
        program=Program(trainer="t:T", code_digest="", kinds=searched.kinds, **program),
    )


def stored(spec: StudySpec) -> dict[str, int]:
    """Runs a study, writes what happened into a database of its own, and gives what that takes in bytes."""
    events: list[Event] = []
    simulate([spec], [Host(name="host", slots=8)], response=TenMetrics(), watch=events.append)
    with tempfile.TemporaryDirectory(prefix="hippo-bench-") as folder:
        postgres = EmbeddedPostgres(Path(folder))
        url = postgres.start()
        store = Store(url)
        try:
            store.migrate()
            return _written(store, url, events)
        finally:
            store.close()
            postgres.stop()


def _written(store: Store, url: str, events: list[Event]) -> dict[str, int]:
    term = store.lead("benchmark", 600.0)
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:

        def sizes() -> dict[str, int]:
            return {
                name: int(connection.execute(sqlalchemy.text(statement)).scalar_one())
                for name, statement in SIZES.items()
            }

        before = sizes()
        for batch, start in enumerate(range(0, len(events), BATCH), start=1):
            part = tuple(events[start : start + BATCH])
            store.write([Record(cause="Report", events=part, answer=None, actor="worker")], term, batch)
        after = sizes()
    engine.dispose()
    return {name: after[name] - before[name] for name in SIZES}
