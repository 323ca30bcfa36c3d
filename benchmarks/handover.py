"""How long a slot stands still: between stages, before a path that starts from a checkpoint, between trials; and for
how long it waits for a runner.

The trainer notes when its steps begin and end; the gaps between them are what is counted.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import torch

from benchmarks import processes
from benchmarks.figures import Figure
from benchmarks.unsteered import Unsteered
from hippo_core.formulas import Constant
from hippo_core.laws import Form, law
from hippo_core.program import Program
from hippo_core.sequence import Laws
from hippo_worker.hosting.host import PathHost
from hippo_worker.hosting.link import Trained
from hippo_worker.hosting.order import PathOrder, StageOrder, StartFrom
from hippo_worker.runner.messages import Ready
from hippo_worker.runner.settings import RunnerSettings
from hippo_worker.slots.spawner import Spawner
from hippo_worker.slots.variables import base_environment

ROUNDS = 3
STAGES = 60
PATHS = 6
AHEAD_STEPS = 300  #: of a path while which the next one's state is read
RUNNERS = 12
STATE_BYTES = 100 << 20
TRIALS = 150
TRIAL_SECONDS = 0.05


def measure() -> Iterator[Figure]:
    """Gaps within a host, then a runner's start, then gaps between trials of a whole system."""
    rounds = [_in_host() for _ in range(ROUNDS)]
    yield Figure("stage to stage", tuple(each[0] for each in rounds), "ms", 1.0, note="median of 59 passages")
    yield Figure(
        "from a cached checkpoint of 100 MB",
        tuple(each[1] for each in rounds),
        "x copy",
        1.0,
        note="on an idle slot: from the order to the first step, over copying as many bytes within memory",
    )
    yield Figure(
        "from a cached checkpoint of 100 MB, read ahead",
        tuple(each[2] for each in rounds),
        "x copy",
        1.0,
        note="after another path, while which it was read: from its end to the first step",
    )
    first, later = asyncio.run(_runners())
    yield Figure("first runner", (first,), "ms", note="with the forkserver's start and torch's import")
    yield Figure("a further runner", later, "ms", 50.0)
    gaps = [_between_trials(number) for number in range(ROUNDS)]
    note = f"trials of {1000 * TRIAL_SECONDS:.0f} ms on one slot, from the last step of one to the first of the next"
    yield Figure("between trials, p50", tuple(statistics.median(each) for each in gaps), "ms", 1.0, note=note)
    p99 = tuple(sorted(each)[int(0.99 * len(each))] for each in gaps)
    yield Figure("between trials, p99", p99, "ms", 5.0, note=note)


def _in_host() -> tuple[float, float, float]:
    """Milliseconds from stage to stage; starts from a checkpoint, in copies of its bytes: read then, and before."""
    folder = Path(tempfile.mkdtemp(prefix="hippo-bench-"))
    try:
        notes = folder / "notes"
        notes.mkdir()
        # Stages of one step that change a value each, and paths of one step from the first one's end.
        at_once, ahead = [], []  # when each path was ordered
        with closing(PathHost("cpu", 1)) as host:
            _train(host, _order(folder, 1, None, STAGES))
            start = StartFrom(node=STAGES, step=STAGES, fence=1, folder=folder / f"1-{STAGES}-{STAGES}")
            for fence in range(2, 2 + PATHS):
                at_once.append(time.time())
                _train(host, _order(folder, fence, start, 1))
            for fence in range(2 + PATHS, 2 + 3 * PATHS, 2):
                assert start.folder is not None
                host.ahead.expect(fence + 1, start.folder)
                _train(host, _order(folder, fence, start, AHEAD_STEPS))
                ahead.append(time.time())
                _train(host, _order(folder, fence + 1, start, 1))
        (file,) = notes.iterdir()
        steps = _steps(file)
        passages = [1000 * (later[1] - earlier[2]) for earlier, later in pairwise(steps[:STAGES])]
        first = [step[1] for step in steps[STAGES:] if step[0] == STAGES]
        copies = _copy_seconds()
        starts = [began - at for began, at in zip(first[:PATHS], at_once, strict=True)]
        read_before = [began - at for began, at in zip(first[PATHS + 1 :: 2], ahead, strict=True)]
        return (
            statistics.median(passages),
            statistics.median(starts) / copies,
            statistics.median(read_before) / copies,
        )
    finally:
        shutil.rmtree(folder)


def _order(folder: Path, fence: int, start: StartFrom | None, stages: int) -> PathOrder:
    first = 0 if start is None else start.step
    options = {"seconds": 0.001, "bytes": STATE_BYTES, "notes": str(folder / "notes")}
    program = Program(trainer="passing:Passing", code_digest="", unit="iteration", options=options)
    return PathOrder(
        fence=fence,
        plan=1,
        program=program,
        program_key=program.key,
        code=processes.WORKLOAD,
        setup_laws=_laws(0),
        start=start,
        stages=tuple(
            StageOrder(
                node=first + number + 1, start=first + number, stop=first + number + 1, laws=_laws(number)
            )
            for number in range(stages)
        ),
        spool=folder,
        data_dir=folder,
    )


def _laws(number: int) -> Laws:
    return Laws.of({"lr": law(Constant(0.1 / (number + 1)), 0, Form.PLAIN)})


def _train(host: PathHost, order: PathOrder) -> None:
    result = host.run(order, Unsteered())
    host.finish_saves()
    if not isinstance(result, Trained):
        raise RuntimeError(str(result))


def _copy_seconds() -> float:
    source, target = torch.ones(STATE_BYTES // 4), torch.zeros(STATE_BYTES // 4)
    took = []
    for _ in range(5):
        began = time.perf_counter()
        target.copy_(source)
        took.append(time.perf_counter() - began)
    return statistics.median(took)


async def _runners() -> tuple[float, tuple[float, ...]]:
    """Milliseconds until runners are ready: the first, and those after."""
    folder = Path(tempfile.mkdtemp(prefix="hippo-bench-"))
    spawner = Spawner(base_environment(os.environ, folder))
    took = []
    try:
        for number in range(1 + RUNNERS):
            own = folder / str(number)
            own.mkdir()
            settings = RunnerSettings(slot=0, device="cpu", threads=1, folder=own)
            began = time.perf_counter()
            runner = await spawner.spawn(settings, {"CUDA_VISIBLE_DEVICES": ""}, own_interpreter=False)
            async for message in runner.messages():
                assert isinstance(message, Ready)
                break
            took.append(1000 * (time.perf_counter() - began))
            runner.kill()
            await runner.ended
            runner.close()
    finally:
        spawner.close()
        shutil.rmtree(folder)
    return took[0], tuple(took[1:])


def _between_trials(number: int) -> list[float]:
    """Milliseconds between the trials of a study on one slot; the first ones, in which it warms up, are left out."""
    with processes.home() as folder:
        here, notes = folder / f"passing-{number}", folder / "notes"
        for each in (here, notes):
            each.mkdir()
        shutil.copy(processes.WORKLOAD / "passing.py", here)
        options = {"seconds": TRIAL_SECONDS / 5, "bytes": 4096, "notes": str(notes)}
        (here / "study.py").write_text(
            f"""
import hippo_client as hippo
from hippo_client import samplers, space

study = hippo.Study(
    "passing:Passing",
    {{"lr": space.uniform(0.0, 1.0)}},
    name="passing",
    minimize="loss",
    max_steps=5,
    max_trials={TRIALS},
    sampler=samplers.random(),
    unit="iteration",
    evaluate_every=5,
    options={options!r},
)
"""
        )
        processes.hippo(folder, "run", str(here / "study.py"), "--slots", "1")
        trials = sorted((_steps(file) for file in notes.iterdir()), key=lambda steps: steps[0][1])
        steps = [step for trial in trials for step in trial]
    steps.sort(key=lambda step: step[1])
    gaps = [1000 * (later[1] - earlier[2]) for earlier, later in pairwise(steps) if later[0] == 0]
    return gaps[len(gaps) // 5 :]


def _steps(file: Path) -> list[tuple[int, float, float]]:
    """Of each step that a trainer made: its number, when it began and when it ended."""
    rows = (line.split() for line in file.read_text().splitlines())
    return [(int(step), float(began), float(ended)) for step, began, ended in rows]
