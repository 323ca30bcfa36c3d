"""How the server's answers grow with its study: of about 0, 10,000 and 100,000 trials.

Reports and leases are of studies whose trials wait. An ask (``run.ask``), an enqueue (``run.tell``; ``run.enqueue`` is
the same call) and results (``run.results``) are of one whose points come from outside, and whose trials have ended but
for those that are told meanwhile. All come at rates that leave the machine room, so that what is measured is an answer,
and no queue; but for the reports that are counted, each of which follows on the answer to the last. A point of TPE is
made as the server's processes do, of a study whose trials have completed.

A server of its own has each of the sizes, and they take turns, forwards and backwards, so that a machine that is slower
for a while is so for all of them.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import optuna

from benchmarks.control.outside import converse, fill, told_so_far
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
SECONDS = 3.0
SLOTS = 16
REPORTS_A_SECOND = 200.0
CLIENTS = 64
RATE_SECONDS = 2.0
REPORTING = ROUNDS * (SLOTS + CLIENTS)
"""Trials that there are at least where reports are: each has a worker of its own, none goes on with another's."""
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
Rounds = dict[int, list[Answers]]
"""By size: what was answered in each round."""
Servers = dict[int, Served]
"""By size."""


def measure() -> Iterator[Figure | Curve]:
    """The curves, then how much longer answers take at the last size than at the first."""
    with contextlib.ExitStack() as stack:
        servers = {size: stack.enter_context(served()) for size in SIZES}
        proposals = tuple(
            (float(size), MS * _proposal_seconds(server, size)) for size, server in servers.items()
        )
        rounds: Rounds = {size: [{} for _ in range(ROUNDS)] for size in SIZES}
        rates = _reports(servers, rounds)
        _leases(servers, rounds)
        _outside(servers, rounds)
    kinds = list(rounds[SIZES[0]][0])
    lines = {
        f"{what} p{share}": tuple(
            (float(size), MS * quantile(_all(rounds[size], what), share / 100)) for size in SIZES
        )
        for what in kinds
        for share in (50, 99)
    }
    lines["a point of TPE"] = proposals
    yield Curve("latency as a study grows", "trials in the study", "ms", lines, logarithmic=True, note=NOTE)
    for size in SIZES:
        yield Figure(
            f"reports, 1 a message, {CLIENTS} clients, {size:,} trials",
            tuple(rates[size]),
            "reports/s",
            more_is_better=True,
            note="each waits for its commit",
        )
    for what in kinds:
        for share in (50, 99):
            yield _flatness(what, share, rounds[SIZES[0]], rounds[SIZES[-1]])
    yield Figure(
        f"time for each of many reports, {SIZES[-1]:,} trials",
        tuple(before / after for before, after in zip(rates[SIZES[0]], rates[SIZES[-1]], strict=True)),
        f"x at {SIZES[0]}",
        FLAT,
        note="of the rates above",
    )


def _in_turn(servers: Servers, number: int) -> list[tuple[int, Served]]:
    """In which order the sizes come in a round: which comes after the largest is not always the same."""
    found = list(servers.items())
    return found if number % 2 == 0 else found[::-1]


def _all(rounds: list[Answers], what: str) -> list[float]:
    return [seconds for each in rounds for seconds in each[what]]


def _flatness(what: str, share: int, first: list[Answers], last: list[Answers]) -> Figure:
    """How many times as long answers take at last, in each round."""
    before, after = ([quantile(each[what], share / 100) for each in rounds] for rounds in (first, last))
    at_first, at_last = (MS * quantile(_all(rounds, what), share / 100) for rounds in (first, last))
    return Figure(
        f"{what} p{share}, {SIZES[-1]:,} trials",
        tuple(late / early for early, late in zip(before, after, strict=True)),
        f"x at {SIZES[0]}",
        FLAT,
        note=f"{at_first:.3g} ms at {SIZES[0]}, {at_last:.3g} ms at last",
    )


def _reports(servers: Servers, rounds: Rounds) -> dict[int, list[float]]:
    """Seconds of reports that come at a given rate; and how many are answered a second where each waits for its own."""
    for size, server in servers.items():
        server.submit(study("long", server.bundle, max(REPORTING, size), LONG_STEPS))
    rates: dict[int, list[float]] = {size: [] for size in servers}
    for number in range(ROUNDS):
        for size, server in _in_turn(servers, number):
            paced = play(server, SLOTS, 1, batch=1, rate=REPORTS_A_SECOND, seconds=SECONDS)
            rounds[size][number]["report"] = paced.counted.report_seconds
            many = play(server, CLIENTS, 1, batch=1, seconds=RATE_SECONDS).counted
            rates[size].append(many.reports / many.seconds)
    for server in servers.values():
        server.stop("long")
    return rates


def _leases(servers: Servers, rounds: Rounds) -> None:
    for size, server in servers.items():
        server.submit(study("short", server.bundle, max(LEASED, size), STEPS))
    for number in range(ROUNDS):
        for size, server in _in_turn(servers, number):
            rounds[size][number]["lease"] = _play_trials(server).counted.lease_seconds
    for server in servers.values():
        server.stop("short")


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


def _outside(servers: Servers, rounds: Rounds) -> None:
    """What an optimiser outside waits for, while workers train what it tells."""
    for size, server in servers.items():
        fill(server, "outside", STEPS, size)
    marks = dict.fromkeys(servers, 0)
    count = int(SECONDS * ASKS_A_SECOND)
    for number in range(ROUNDS):
        numbers = range(number * count, (number + 1) * count)
        for size, server in _in_turn(servers, number):
            marks[size] = told_so_far(server, "outside", marks[size])
            with ThreadPoolExecutor(1) as pool:
                playing = pool.submit(_play_trials, server, STARTING_SECONDS + SLOWEST * SECONDS)
                time.sleep(STARTING_SECONDS)
                heard = converse(server, "outside", marks[size], numbers, ROUNDS * count, ASKS_A_SECOND)
                playing.result()
            rounds[size][number] |= {"ask": heard.ask, "enqueue": heard.enqueue, "results": heard.results}
