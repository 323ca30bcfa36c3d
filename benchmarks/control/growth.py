"""How the server's answers grow with its study: of about 0, 10,000 and 100,000 trials.

All of studies whose trials wait. An ask is for a further trial at a given point (``run.enqueue``; ``run.tell`` is the
same call). All come at rates that leave the machine room, so that what is measured is an answer, and no queue. A
point of TPE is made as the server's processes do, of a study whose trials have completed.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import optuna

from benchmarks.control.playing import Played, play, quantile
from benchmarks.control.serving import Served, served
from benchmarks.control.specs import study
from benchmarks.figures import Curve, Figure
from hippo_core import samplers
from hippo_core.engine.proposals import PastTrial, ProposalTask
from hippo_core.engine.states import TrialState
from hippo_server.proposals.known import KnownTrials
from hippo_server.proposals.sampling import make_point
from hippo_wire.retries import ANSWER_SECONDS
from hippo_wire.v1 import study_pb2

SIZES = (0, 10_000, 100_000)
ROUNDS = 3
SECONDS = 6.0
SLOTS = 16
REPORTS_A_SECOND = 200.0
ASKS_A_SECOND = 60.0
TRAIN_SECONDS = 0.1
LONG_STEPS = 10_000_000
STEPS = 10
LEASED = 2_000
"""Trials that there are at least where trials are leased: so many are trained meanwhile, or fewer."""
STARTING_SECONDS = 3.0
"""What a stand-in takes to begin."""
FLAT = 1.5
MS = 1e3
NOTE = (
    f"{SLOTS} workers of one slot: {REPORTS_A_SECOND:.0f} reports a second, trials of {TRAIN_SECONDS:g} s, "
    f"{ASKS_A_SECOND:.0f} asks a second; at 0 there are as many trials as are needed; TPE: in its process"
)

Answers = dict[str, list[float]]
"""By what is answered: the seconds of each answer, in order."""


def measure() -> Iterator[Figure | Curve]:
    """The curve, then how much longer answers take at the last size than at the first."""
    answers: list[Answers] = []
    proposals: list[tuple[float, float]] = []
    for size in SIZES:
        with served() as server:
            proposals.append((float(size), MS * _proposal_seconds(server, size)))
            answers.append(
                {
                    "report": _reports(server, size),
                    "lease": _leases(server, size),
                    "ask": _asks(server, size),
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
    for what in answers[0]:
        for share in (50, 99):
            yield _flatness(what, share, answers[0][what], answers[-1][what])


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


def _reports(server: Served, size: int) -> list[float]:
    server.submit(study("long", server.bundle, max(SLOTS, size), LONG_STEPS))
    played = play(server, SLOTS, 1, batch=1, rate=REPORTS_A_SECOND, seconds=SECONDS)
    server.stop("long")
    return played.counted.report_seconds


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


def _asks(server: Served, size: int) -> list[float]:
    """Seconds until a trial is there, and durable, at a point that is given, while workers train such trials."""
    server.submit(study("asked", server.bundle, max(LEASED, size), STEPS))
    with ThreadPoolExecutor(1) as pool:
        playing = pool.submit(_play_trials, server, STARTING_SECONDS + SECONDS)
        time.sleep(STARTING_SECONDS)
        found = _ask(server, int(SECONDS * ASKS_A_SECOND))
        playing.result()
    return found


def _ask(server: Served, count: int) -> list[float]:
    found = []
    began = time.perf_counter()
    with server.connect() as connection:
        for number in range(count):
            time.sleep(max(0.0, began + number / ASKS_A_SECOND - time.perf_counter()))
            point = json.dumps({"lr": (number + 1) / (count + 2)})
            asked = study_pb2.EnqueueTrialRequest(request_id=uuid.uuid4().hex, name="asked", point_json=point)
            before = time.perf_counter()
            connection.studies.EnqueueTrial(asked, timeout=ANSWER_SECONDS)
            found.append(time.perf_counter() - before)
    return found
