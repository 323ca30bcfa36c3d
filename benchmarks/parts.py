"""Where a millisecond goes: of a step, of a checkpoint, and of a trial and a report on the server.

Steps: processor time of the thread that trains, with a trainer that does nothing and a link that nobody hears, so
without what the worker and the server do with what they are told. Checkpoints: one of 100 MB, part by part. The
server: ``benchmarks.control.sampled`` says where its threads were while stand-in workers played; what they were
seen at is time, also that in which they waited for an answer of PostgreSQL, a core or the interpreter's lock.
"""

from __future__ import annotations

import json
import math
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path

import torch
from blake3 import blake3

from benchmarks import processes
from benchmarks.control.playing import play
from benchmarks.control.sampled import EACH_SECONDS, PARTS
from benchmarks.control.serving import Served, served
from benchmarks.control.specs import study
from benchmarks.figures import Figure
from benchmarks.unsteered import Unsteered
from hippo_core.formulas import Constant, Table
from hippo_core.laws import Form, law
from hippo_core.program import Program
from hippo_core.sequence import Laws
from hippo_storage.files import DurableFiles
from hippo_storage.local import LocalStorage
from hippo_storage.manifest import CheckpointLocation
from hippo_storage.state import capture, write
from hippo_storage.storage import Spooled
from hippo_worker.hosting.host import PathHost
from hippo_worker.hosting.link import Trained
from hippo_worker.hosting.order import PathOrder, StageOrder

ROUNDS = 5
STEPS = 50_000
EVERY = 10
STATE_BYTES = 100 << 20
SECONDS = 4.0
CLIENTS = 64
LONG_STEPS = 10_000_000
TRIALS = 20_000
US, MS = 1e6, 1e3


def measure() -> Iterator[Figure]:
    """Steps, checkpoints, and the server."""
    with tempfile.TemporaryDirectory(prefix="hippo-bench-") as folder:
        yield from _steps(Path(folder))
    with tempfile.TemporaryDirectory(prefix="hippo-bench-") as folder:
        yield from _checkpoint(Path(folder))
    yield from _server()


def _steps(folder: Path) -> Iterator[Figure]:
    constant = Laws.of({"lr": law(Constant(0.1), 0, Form.PLAIN)})
    rates = tuple(0.05 * (1 + math.cos(math.pi * step / STEPS)) for step in range(STEPS))
    changing = Laws.of({"lr": law(Table(rates), 0, Form.PLAIN)})
    loops, plain, changed, evaluated = [], [], [], []
    fences = count(1)
    with closing(PathHost("cpu", 1)) as host:
        _train(host, _order(folder, next(fences), constant, STEPS))  # its first path makes the trainer
        for _ in range(ROUNDS):
            loops.append(US * _processor_seconds(_loop) / STEPS)
            took = []
            for laws, every in ((constant, STEPS), (changing, STEPS), (constant, EVERY)):
                order = _order(folder, next(fences), laws, every)
                took.append(US * _processor_seconds(partial(_train, host, order)) / STEPS)
            plain.append(took[0] - loops[-1])
            changed.append(took[1] - took[0])
            evaluated.append((took[2] - took[0]) * EVERY)
    yield Figure("a step: the bare loop around train()", tuple(loops), "us")
    yield Figure("a step: beyond it", tuple(plain), "us", note="a flag, a clock and what train() returned")
    yield Figure("a step: its values are others", tuple(changed), "us", note="worked out, kept and applied")
    note = f"every {EVERY} steps: checked and kept, and what else there is to do looked up"
    yield Figure("an evaluation", tuple(evaluated), "us", note=note)


def _loop() -> None:
    """A bare loop of as many steps."""

    def train(step: int) -> None:
        pass

    for step in range(STEPS):
        train(step)


def _train(host: PathHost, order: PathOrder) -> None:
    result = host.run(order, Unsteered())
    host.finish_saves()
    if not isinstance(result, Trained):
        raise RuntimeError(str(result))


def _order(folder: Path, fence: int, laws: Laws, every: int) -> PathOrder:
    program = Program(trainer="idle:Idle", code_digest="", unit="iteration", evaluate_every=every)
    return PathOrder(
        fence=fence,
        plan=1,
        program=program,
        program_key="idle",
        code=processes.WORKLOAD,
        setup_laws=laws,
        start=None,
        stages=(StageOrder(node=fence, start=0, stop=STEPS, laws=laws),),
        spool=folder,
        data_dir=folder,
    )


def _processor_seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


class Timed(DurableFiles):
    """Notes how long it waits for the disk."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def sync(self, path: Path) -> None:
        """Waits for a file."""
        self.seconds += _seconds(lambda: super(Timed, self).sync(path))

    def sync_folder(self, folder: Path) -> None:
        """Waits for a folder."""
        self.seconds += _seconds(lambda: super(Timed, self).sync_folder(folder))

    def sync_file_system(self, folder: Path, size_bytes: int) -> bool:
        """Waits for all of a file system."""
        began = time.perf_counter()
        try:
            return super().sync_file_system(folder, size_bytes)
        finally:
            self.seconds += time.perf_counter() - began


def _checkpoint(folder: Path) -> Iterator[Figure]:
    torch.set_num_threads(1)
    state = {"weights": torch.randn(STATE_BYTES // 4)}
    files = Timed()
    storage = LocalStorage(folder / "storage", files)
    captured = capture(state)
    found: dict[str, list[float]] = {}
    for turn in range(ROUNDS):
        spool = folder / f"spool-{turn}"
        parts = {"copied, training waits": _seconds(lambda: capture(state, captured.memory))}
        began = time.perf_counter()
        written = write(captured, spool)
        whole = time.perf_counter() - began
        hashed = _seconds(lambda: blake3(captured.memory.buffer[: captured.used_bytes].data).digest())
        files.seconds = 0.0
        place = CheckpointLocation(plan=1, node=1, step=turn, fence=1)
        spooled = Spooled(folder=spool, location=place, files=written)
        published = _seconds(partial(storage.publish_all, [spooled]))
        parts |= {
            "written": whole - hashed,
            "hashed": hashed,
            "synced": files.seconds,
            "moved and its manifest written": published - files.seconds,
        }
        for what, seconds in parts.items():
            found.setdefault(what, []).append(MS * seconds)
    for what, values in found.items():
        yield Figure(f"a checkpoint of 100 MB: {what}", tuple(values), "ms")


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _server() -> Iterator[Figure]:
    """What a trial, and a report, cost the server."""
    with tempfile.TemporaryDirectory(prefix="hippo-bench-") as folder:
        file = Path(folder) / "seen.json"
        with served(program=("benchmarks.control.sampled", str(file))) as server:
            server.submit(study("trials", server.bundle, TRIALS, 10))
            for slots in (2, 64):
                told: list[dict[str, int]] = []
                look = partial(_told, server, file, told)
                counted = play(server, 1, slots, ahead=8, seconds=SECONDS, look=look).counted
                yield from _parts(f"a trial, {slots} slots", told[-1], counted.trials)
            server.stop("trials")
            server.submit(study("long", server.bundle, 1000, LONG_STEPS))
            for batch, name in ((10, "a report by ten"), (1, "a report alone")):
                told = []
                look = partial(_told, server, file, told)
                counted = play(server, CLIENTS, 1, batch=batch, seconds=SECONDS, look=look).counted
                yield from _parts(name, told[-1], counted.reports)


def _parts(name: str, seen: dict[str, int], times: int) -> Iterator[Figure]:
    for what in dict.fromkeys(PARTS.values()):
        yield Figure(f"server, {name}: {what}", (US * EACH_SECONDS * seen.get(what, 0) / times,), "us")


def _told(server: Served, file: Path, told: list[dict[str, int]]) -> None:
    """Has the server tell what it was seen at since the last time."""
    file.unlink(missing_ok=True)
    server.process.send_signal(signal.SIGUSR1)
    while not file.exists():
        if server.process.poll() is not None:
            raise RuntimeError("the server that is looked at has ended")
        time.sleep(0.01)
    told.append(json.loads(file.read_text()))
