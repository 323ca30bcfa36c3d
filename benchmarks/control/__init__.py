"""The control plane: no-op trials, reports, their latencies and what they cost each process, as a study grows."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from benchmarks.control import growth, real, statements
from benchmarks.control.playing import Played, play, quantile
from benchmarks.control.serving import Served, served
from benchmarks.control.specs import study
from benchmarks.figures import Curve, Figure

ROUNDS = 3
SECONDS = 3.5
REAL_SECONDS = 6.0
TRAIN_SECONDS = 0.5
SLOTS = (1, 2, 16, 64)
REAL_SLOTS = (1, 2, 16, 64)
CLIENTS = 64
AHEAD = 8
LONG_STEPS = 10_000_000
TRIALS = 120_000
"""More than are trained meanwhile."""
LARGE = 30_000
BESIDE_SECONDS = 8.0
BESIDE_A_SECOND = 100.0
STARTING_SECONDS = 60.0
"""Stand-ins that have not begun by then have failed."""


def measure() -> Iterator[Figure | Curve]:
    """Rates first, then statements, then how latencies grow."""
    with served() as server:
        yield from _trials(server)
        yield from _reports(server)
        yield from _real(server)
    yield from statements.measure()
    yield from growth.measure()


def _trials(server: Served) -> Iterator[Figure]:
    server.submit(study("trials", server.bundle, TRIALS, 10))
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
    rate = statistics.median(run.counted.trials / run.counted.seconds for run in polling)
    yield Figure(
        f"lease p99, {CLIENTS} workers of one slot",
        tuple(1e3 * quantile(run.counted.lease_seconds, 0.99) for run in polling),
        "ms",
        50.0,
        note="from saying that a slot is free to its next lease, all workers as fast as the server lets them:"
        f" as {CLIENTS} always wait, the mean is what {CLIENTS} trials take it, {1e3 * CLIENTS / rate:.0f} ms at its"
        f" {rate:.0f} trials/s",
    )
    training = [play(server, CLIENTS, 1, train_seconds=TRAIN_SECONDS, seconds=SECONDS) for _ in range(ROUNDS)]
    yield Figure(
        f"lease p99, {CLIENTS} workers of one slot that train",
        tuple(1e3 * quantile(run.counted.lease_seconds, 0.99) for run in training),
        "ms",
        50.0,
        note=f"the same, where each trial trains for {TRAIN_SECONDS / 2:g} to {TRAIN_SECONDS * 1.5:g} s; p50"
        f" {1e3 * quantile(training[-1].counted.lease_seconds, 0.5):.1f} ms,"
        f" {training[-1].counted.trials / training[-1].counted.seconds:.0f} trials/s",
    )
    server.stop("trials")


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
    yield from _submissions(server)
    server.stop("long")


def _submissions(server: Served) -> Iterator[Figure]:
    """What others wait for while a large study is submitted."""
    took, beside = list[float](), list[float]()
    for number in range(ROUNDS):
        large = study(f"large-{number}", server.bundle, LARGE, LONG_STEPS)
        begun = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            reporting = partial(play, server, 16, 1, batch=1, rate=BESIDE_A_SECOND, seconds=BESIDE_SECONDS)
            playing = pool.submit(reporting, look=begun.set)
            begun.wait(STARTING_SECONDS)
            began = time.perf_counter()
            server.submit(large)
            took.append(time.perf_counter() - began)
            beside.append(1e3 * quantile(playing.result().counted.report_seconds, 0.99))
        server.stop(large.name)
    yield Figure(f"submitting {LARGE:,} trials", tuple(took), "s", note="until all are there")
    yield Figure(
        f"report p99 while {LARGE:,} trials are submitted",
        tuple(beside),
        "ms",
        note=f"{BESIDE_A_SECOND:.0f} a second of another study, over {BESIDE_SECONDS:.0f} s in which they are created",
    )


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
            note=f"{slots} runners, on {os.cpu_count()} cores with all else, and a durable checkpoint each;"
            f" us a trial: {shares}",
        )


def _trial_shares(runs: list[Played]) -> str:
    return runs[-1].shares(runs[-1].counted.trials)
