"""A server that starts with 100,000 trials and 1,000,000 rows of metrics in its database."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.core.apart import apart, proportional_bytes
from benchmarks.core.studies import large
from benchmarks.core.training import all_created, registered, reports
from benchmarks.figures import Figure
from hippo_core.engine.commands import Command, CreateProject, CreateTrials, SubmitStudy
from hippo_core.engine.engine import Engine
from hippo_core.engine.events import LeaseGranted, MetricsRecorded

TRIALS = 100_000
METRICS = 1_000_000
EVALUATE_EVERY = 1
ROUNDS = 3
READY_SECONDS = 3.0
BATCH_EVENTS = 20_000
SLOTS = 8


@dataclass(frozen=True, slots=True)
class Filled:
    """What a database holds.

    Attributes:
        trials: How many there are.
        metrics: How many rows of metrics.
        rows: By table: rows, and bytes with indexes.
        seconds: What deciding and writing it took.
    """

    trials: int
    metrics: int
    rows: dict[str, tuple[int, int]]
    seconds: float


@dataclass(frozen=True, slots=True)
class Started:
    """A server's start.

    Attributes:
        ready: From the start of its process to 200 at /readyz, seconds.
        rebuilt: Of these, taking the lead and rebuilding the engine.
        processor: The server's CPU seconds up to then.
        resident: Its memory then, bytes, without PostgreSQL's.
    """

    ready: float
    rebuilt: float
    processor: float
    resident: int


def measure() -> Iterator[Figure]:
    """Fills a database by the engine and the store themselves, and starts servers on it, and on an empty one."""
    with tempfile.TemporaryDirectory(prefix="hippo-bench-") as folder:
        empty, full = Path(folder) / "empty", Path(folder) / "full"
        nothing = apart(fill, str(empty), 0, 0)
        filled = apart(fill, str(full), TRIALS, METRICS)
        _start(empty), _start(full)  # PostgreSQL's own first start
        pairs = [(_start(empty), _start(full)) for _ in range(ROUNDS)]
    what = f"{filled.trials} trials, {filled.metrics} rows of metrics"
    yield _figure(f"ready again, {what}", [full.ready for _, full in pairs], READY_SECONDS, "s")
    yield _figure("of it the engine's rebuilding", [full.rebuilt for _, full in pairs], None, "s")
    yield _figure("CPU until then", [full.processor for _, full in pairs], None, "s")
    yield _figure("ready again, empty database", [empty.ready for empty, _ in pairs], None, "s")
    yield _figure("memory then", [full.resident / 2**20 for _, full in pairs], None, "MiB")
    yield _figure("memory then, empty database", [empty.resident / 2**20 for empty, _ in pairs], None, "MiB")
    yield _figure("filling the database", [filled.seconds], None, "s")
    del nothing
    for table, (rows, size) in sorted(filled.rows.items(), key=lambda each: -each[1][1])[:8]:
        yield _figure(f"database: {table}", [size / max(rows, 1)], None, "B/row", f"{rows} rows")
    total = sum(size for _, size in filled.rows.values())
    yield _figure(
        "database, a trial", [total / max(filled.trials, 1)], None, "B/trial", "all tables, indexes too"
    )


def _figure(name: str, values: list[float], aim: float | None, unit: str, note: str = "") -> Figure:
    return Figure(name, tuple(values), unit, aim, note=note)


def fill(home: str, trials: int, metrics: int) -> Filled:
    """Trains a study until there are so many rows of metrics, and writes it as a server does."""
    from hippo_server.databases import EmbeddedDatabase
    from hippo_server.store import Record, Store

    began = time.perf_counter()
    folder = Path(home)
    (folder / "server").mkdir(parents=True, mode=0o700)
    database = EmbeddedDatabase(folder)
    store = Store(database.start())
    try:
        store.migrate()
        term = store.lead("bench", 3600.0)
        waiting: list[Record] = []
        batch = 0

        def write() -> None:
            nonlocal batch
            batch += 1
            store.write(waiting, term, batch)
            waiting.clear()

        found = 0
        for cause, outcome in _training(trials, metrics) if trials else ():
            waiting.append(Record(cause=cause, events=outcome, answer=None, actor="bench"))
            found += sum(isinstance(each, MetricsRecorded) for each in outcome)
            if sum(len(each.events) for each in waiting) >= BATCH_EVENTS:
                write()
        if waiting:
            write()
        store.resign(term)
        rows = _rows(store)
    finally:
        store.close()
        database.stop()
    return Filled(trials, found, rows, time.perf_counter() - began)


def _training(trials: int, metrics: int):  # type: ignore[no-untyped-def]
    """Commands' causes and events, up to so many rows of metrics; then the worker leaves what it has."""
    spec = large(trials)
    spec = replace(spec, program=replace(spec.program, evaluate_every=EVALUATE_EVERY))
    engine = Engine()
    now, found = 0.0, 0
    todo: list[Command] = [
        CreateProject(project="default"),
        SubmitStudy(project="default", user="bench", spec=spec),
        registered(SLOTS),
    ]
    while todo and found < metrics:
        command = todo.pop(0)
        now += 0.01
        events = engine.handle(command, now).events
        yield type(command).__name__, events
        for created in all_created(engine, now):
            yield CreateTrials.__name__, created.events
            events += created.events
        for each in events:
            if isinstance(each, LeaseGranted):
                parts = list(reports(each, EVALUATE_EVERY))
                items = tuple(item for part in parts for item in part.items)
                todo.append(replace(parts[0], items=items))
            found += isinstance(each, MetricsRecorded)


def _rows(store) -> dict[str, tuple[int, int]]:  # type: ignore[no-untyped-def]
    """By table: how many rows, and its bytes with indexes."""
    with store._database.transaction() as cursor:
        cursor.execute("ANALYZE")
    with store._database.transaction() as cursor:
        cursor.execute(
            "SELECT relname, n_live_tup, pg_total_relation_size(relid) FROM pg_stat_user_tables WHERE n_live_tup > 0"
        )
        return {name: (rows, size) for name, rows, size in cursor.fetchall()}


def _start(home: Path) -> Started:
    """Starts a server and ends it; what it takes until it can answer."""
    port = _free_port()
    command = [sys.executable, "-m", "hippo_server.main", "--home", str(home), "--log-format", "json"]
    command += ["--grpc-port", "0", "--http-port", str(port)]
    log = home / "bench.log"
    with log.open("wb") as written:
        began = time.perf_counter()
        process = subprocess.Popen(command, stderr=written, stdout=written)
        try:
            while not _is_ready(port):
                if process.poll() is not None:
                    raise RuntimeError(f"the server ended: {log.read_text()[-2000:]}")
                time.sleep(0.01)
            ready = time.perf_counter() - began
            ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            processor = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
            resident = proportional_bytes(process.pid)
        finally:
            process.terminate()
            process.wait()
    lines = [json.loads(line) for line in log.read_text().splitlines() if "term_began" in line]
    return Started(ready, lines[0]["seconds"], processor, resident)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
