"""How the server's answers grow with its study: of about 0, 10,000 and 100,000 trials.

Reports and leases are of studies whose trials wait. An ask (``run.ask``), an enqueue (``run.tell``; ``run.enqueue`` is
the same call) and results (``run.results``) are of one whose points come from outside, and whose trials have ended but
for those that are told meanwhile. All come at rates that leave the machine room, so that what is measured is an answer,
and no queue; but for the reports that are counted, each of which follows on the answer to the last. A point of TPE is
made as the server's processes do, of a study whose trials have completed.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import optuna

from benchmarks.control.outside import Heard, converse, fill, told_so_far
from benchmarks.control.playing import Played, play, quantile
from benchmarks.control.serving import Served, served
from benchmarks.control.specs import study
from benchmarks.figures import Curve, Figure
from hippo_core import samplers
from hippo_core.engine.proposals import PastTrial, ProposalTask
from hippo_core.engine.states import TrialState
from hippo_server.proposals.known import KnownTrials
from hippo_server.proposals.sampling import make_point

SIZES = (0, 10_000, 100_000)
ROUNDS = 3
SECONDS = 6.0
SLOTS = 16
REPORTS_A_SECOND = 200.0
CLIENTS = 64
RATE_SECONDS = 2.0
ASKS_A_SECOND = 40.0
TRAIN_SECONDS = 0.1
LONG_STEPS = 10_000_000
STEPS = 10
LEASED = 2_000
"""Trials that there are at least where trials are leased: so many are trained meanwhile, or fewer."""
SLOWEST = 2.0
"""So many times as long as its rate asks for may a conversation take."""
STARTING_SECONDS = 3.0
"""What a stand-in takes to begin."""
FLAT = 1.5
MS = 1e3
NOTE = (
    f"{SLOTS} workers of one slot: {REPORTS_A_SECOND:.0f} reports a second, trials of {TRAIN_SECONDS:g} s, "
    f"{ASKS_A_SECOND:.0f} asks a second, each followed by an enqueue and by results; at 0 there are as many trials as "
    "are needed; TPE: in its process"
)

Answers = dict[str, list[float]]
"""By what is answered: the seconds of each answer, in order."""


def measure() -> Iterator[Figure | Curve]:
    """The curves, then how much longer answers take at the last size than at the first."""
    answers: list[Answers] = []
    proposals: list[tuple[float, float]] = []
    rates: list[tuple[float, ...]] = []
    for size in SIZES:
        with served() as server:
            proposals.append((float(size), MS * _proposal_seconds(server, size)))
            reports, rate = _reports(server, size)
            rates.append(rate)
            leases, heard = _leases(server, size), _outside(server, size)
            answers.append(
                {
                    "report": reports,
                    "lease": leases,
                    "ask": heard.ask,
                    "enqueue": heard.enqueue,
                    "results": heard.results,
                }
            )
    lines = {
        f"{what} p{share}": tuple(
            (float(size), MS * quantile(each[what], share / 100))
            for size, each in zip(SIZES, answers, strict=True)
        )
        for what in answers[0]
        for share in (50, 99)
    }
    lines["a point of TPE"] = tuple(proposals)
    yield Curve("latency as a study grows", "trials in the study", "ms", lines, logarithmic=True, note=NOTE)
    for size, rate in zip(SIZES, rates, strict=True):
        yield Figure(
            f"reports, 1 a message, {CLIENTS} clients, {size:,} trials",
            rate,
            "reports/s",
            more_is_better=True,
            note="each waits for its commit",
        )
    for what in answers[0]:
        for share in (50, 99):
            yield _flatness(what, share, answers[0][what], answers[-1][what])
    before = statistics.median(rates[0])
    yield Figure(
        f"time for each of many reports, {SIZES[-1]:,} trials",
        tuple(before / each for each in rates[-1]),
        f"x at {SIZES[0]}",
        FLAT,
        note="of the rates above",
    )


def _flatness(what: str, share: int, first: list[float], last: list[float]) -> Figure:
    """How many times as long answers take at last; each part of the last against all of the first."""
    before = quantile(first, share / 100)
    parts = [
        last[number * len(last) // ROUNDS : (number + 1) * len(last) // ROUNDS] for number in range(ROUNDS)
    ]
    return Figure(
        f"{what} p{share}, {SIZES[-1]:,} trials",
        tuple(quantile(part, share / 100) / before for part in parts),
        f"x at {SIZES[0]}",
        FLAT,
        note=f"{MS * before:.3g} ms at {SIZES[0]}, {MS * quantile(last, share / 100):.3g} ms at last",
    )


def _reports(server: Served, size: int) -> tuple[list[float], tuple[float, ...]]:
    """Seconds of reports that come at a given rate; and how many are answered a second where each waits for its own."""
    server.submit(study("long", server.bundle, max(CLIENTS, size), LONG_STEPS))
    played = play(server, SLOTS, 1, batch=1, rate=REPORTS_A_SECOND, seconds=SECONDS)
    many = [play(server, CLIENTS, 1, batch=1, seconds=RATE_SECONDS).counted for _ in range(ROUNDS)]
    server.stop("long")
    return played.counted.report_seconds, tuple(each.reports / each.seconds for each in many)


def _leases(server: Served, size: int) -> list[float]:
    server.submit(study("short", server.bundle, max(LEASED, size), STEPS))
    played = _play_trials(server)
    server.stop("short")
    return played.counted.lease_seconds


def _play_trials(server: Served, seconds: float = SECONDS) -> Played:
    return play(server, SLOTS, 1, train_seconds=TRAIN_SECONDS, seconds=seconds)


def _proposal_seconds(server: Served, size: int) -> float:
    """What a point of TPE takes the process that has made one before; so many of the study's trials have completed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spec = study("proposed", server.bundle, size + 1, STEPS, samplers.tpe())
    chance = random.Random(0)
    history = tuple(
        PastTrial(
            trial=number,
            assignment={"lr": chance.random()},
            notes={},
            state=TrialState.COMPLETED,
            values={STEPS: (chance.random(),)},
            reached=STEPS,
            sequence=number + 1,
        )
        for number in range(size)
    )
    task, known = ProposalTask(spec=spec, trial=size, history=history), KnownTrials(spec)
    make_point(task, known)
    began = time.perf_counter()
    make_point(task, known)
    return time.perf_counter() - began


def _outside(server: Served, size: int) -> Heard:
    """What an optimiser outside waits for, while workers train what it tells."""
    fill(server, "outside", STEPS, size)
    mark = told_so_far(server, "outside")
    with ThreadPoolExecutor(1) as pool:
        playing = pool.submit(_play_trials, server, STARTING_SECONDS + SLOWEST * SECONDS)
        time.sleep(STARTING_SECONDS)
        found = converse(server, "outside", mark, int(SECONDS * ASKS_A_SECOND), ASKS_A_SECOND)
        playing.result()
    return found
