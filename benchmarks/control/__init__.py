"""The control plane: no-op trials, reports, their latencies and what they cost each process, as a study grows."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from benchmarks.control import real, statements
from benchmarks.control.playing import Played, play, quantile
from benchmarks.control.serving import Served, served
from benchmarks.control.specs import study
from benchmarks.figures import Curve, Figure
from hippo_wire.retries import ANSWER_SECONDS
from hippo_wire.v1 import study_pb2

ROUNDS = 3
SECONDS = 4.0
REAL_SECONDS = 6.0
SLOTS = (1, 2, 16, 64)
REAL_SLOTS = (1, 2, 16)
CLIENTS = 64
AHEAD = 8
LONG_STEPS = 10_000_000
SIZES = (5_000, 20_000, 100_000)
MOST_AT_ONCE = 10_000
"""Trials of one submission: a larger study is extended, so that each answer comes in time."""


def measure() -> Iterator[Figure | Curve]:
    """Rates first, then statements, then how latencies grow."""
    with served() as server:
        yield from _trials(server)
        yield from _reports(server)
        yield from _real(server)
    yield from statements.measure()
    yield from _growth()


def _trials(server: Served) -> Iterator[Figure]:
    server.submit(study("trials", server.bundle, MOST_AT_ONCE, 10))
    _extend(server, "trials", 8 * MOST_AT_ONCE)
    played: dict[int, list[Played]] = {slots: [] for slots in SLOTS}
    for _ in range(ROUNDS):
        for slots in SLOTS:
            played[slots].append(play(server, 1, slots, ahead=AHEAD, seconds=SECONDS))
    for slots, runs in played.items():
        yield Figure(
            f"no-op trials, {slots} slots, stand-in worker",
            tuple(run.counted.trials / run.counted.seconds for run in runs),
            "trials/s",
            1000.0 if slots == 2 else None,
            more_is_better=True,
            note=f"10 reports of 10 metrics, {AHEAD} leases ahead; us a trial: {_trial_shares(runs)}",
        )
    alone = [play(server, 1, 2, seconds=SECONDS) for _ in range(ROUNDS)]
    yield Figure(
        "no-op trials, 2 slots, no lease ahead",
        tuple(run.counted.trials / run.counted.seconds for run in alone),
        "trials/s",
        more_is_better=True,
        note=f"each slot asks once its trial is told; us a trial: {_trial_shares(alone)}",
    )
    polling = [play(server, CLIENTS, 1, seconds=SECONDS) for _ in range(ROUNDS)]
    yield Figure(
        f"lease p99, {CLIENTS} workers of one slot",
        tuple(1e3 * quantile(run.counted.lease_seconds, 0.99) for run in polling),
        "ms",
        50.0,
        note="from saying that a slot is free to its next lease, all workers as fast as the server lets them",
    )
    _stop(server, "trials")


def _reports(server: Served) -> Iterator[Figure]:
    server.submit(study("long", server.bundle, 1000, LONG_STEPS))
    batched, single, paced = list[Played](), list[Played](), list[Played]()
    for _ in range(ROUNDS):
        batched.append(play(server, CLIENTS, 1, batch=10, seconds=SECONDS))
        single.append(play(server, CLIENTS, 1, batch=1, seconds=SECONDS))
        paced.append(play(server, CLIENTS, 1, batch=1, rate=500.0, seconds=SECONDS))
    for name, runs, aim in (("10 a message", batched, 12_000.0), ("1 a message", single, 2_000.0)):
        yield Figure(
            f"reports, {name}, {CLIENTS} clients",
            tuple(run.counted.reports / run.counted.seconds for run in runs),
            "reports/s",
            aim,
            more_is_better=True,
            note=f"each waits for its commit; us a report: {runs[-1].shares(runs[-1].counted.reports)}",
        )
    yield Figure(
        "report p99 at 500 a second, open loop",
        tuple(1e3 * quantile(run.counted.report_seconds, 0.99) for run in paced),
        "ms",
        10.0,
        note=f"from when it is due to its acknowledgement; the server holds {paced[-1].memory_bytes >> 20} MB",
    )
    _stop(server, "long")


def _real(server: Served) -> Iterator[Figure]:
    for slots in REAL_SLOTS:
        ran = real.run(server, f"real-{slots}", slots, REAL_SECONDS)
        shares = ", ".join(f"{name} {share:.0f}" for name, share in ran.shares.items())
        yield Figure(
            f"no-op trials, {slots} slots, real worker",
            (ran.trials / ran.seconds,),
            "trials/s",
            1000.0 if slots == 2 else None,
            more_is_better=True,
            note=f"with runners and a durable checkpoint each; us a trial: {shares}",
        )


def _growth() -> Iterator[Curve]:
    """Latencies by how many trials the study has, at a rate that leaves the machine room."""
    lines: dict[str, list[tuple[float, float]]] = {
        "report p50": [],
        "report p99": [],
        "lease p50": [],
        "lease p99": [],
    }
    for size in SIZES:
        with served() as server:
            for name, steps in (("long", LONG_STEPS), ("short", 10)):
                server.submit(study(name, server.bundle, min(size, MOST_AT_ONCE), steps))
                _extend(server, name, size)
                paced = name == "long"
                run = play(
                    server, 16, 1, batch=1 if paced else 0, rate=200.0 if paced else 0.0, seconds=SECONDS
                )
                kind = "report" if paced else "lease"
                values = run.counted.report_seconds if paced else run.counted.lease_seconds
                for share in (50, 99):
                    lines[f"{kind} p{share}"].append((float(size), 1e3 * quantile(values, share / 100)))
                _stop(server, name)
    yield Curve(
        "latency as a study grows",
        "trials in the study",
        "ms",
        {label: tuple(points) for label, points in lines.items()},
        note="16 workers of one slot: reports at 200 a second, leases as fast as the server gives them",
    )


def _trial_shares(runs: list[Played]) -> str:
    return runs[-1].shares(runs[-1].counted.trials)


def _extend(server: Served, name: str, trials: int) -> None:
    """Extends a study piece by piece."""
    with server.connect() as connection:
        for upto in range(2 * MOST_AT_ONCE, trials + 1, MOST_AT_ONCE):
            request = study_pb2.ExtendStudyRequest(request_id=uuid.uuid4().hex, name=name, max_trials=upto)
            connection.studies.ExtendStudy(request, timeout=ANSWER_SECONDS)


def _stop(server: Served, name: str) -> None:
    request = study_pb2.StopStudyRequest(request_id=uuid.uuid4().hex, name=name)
    with server.connect() as connection:
        connection.studies.StopStudy(request, timeout=ANSWER_SECONDS)
