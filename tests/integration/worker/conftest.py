"""Real daemons in front of a scripted server."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from hippo_core.lease_order import LeaseOrder, PrepareOrder, StageOrder
from hippo_core.program import Program
from hippo_core.sequence import Laws
from hippo_core.values import Kind
from hippo_storage.bundle import build
from hippo_storage.storage import Storage
from hippo_wire.orders import preparation_to_proto
from hippo_wire.v1 import worker_pb2
from hippo_worker.folder import leftovers
from hippo_worker.secrets import Secrets
from tests.integration.worker.scripted_server import TOKEN, ScriptedServer, Told
from tests.processes import family
from tests.waiting import until_in_loop as until

PATIENCE_SECONDS = 90.0
CANARIES = {
    "AWS_ACCESS_KEY_ID": "canary-key",
    "AWS_SECRET_ACCESS_KEY": "canary-secret",
    "GOOGLE_APPLICATION_CREDENTIALS": "/canary/credentials.json",
    "HIPPO_DATABASE_URL": "postgresql://canary",
}
SECRET = "canary-api"


def write_secrets(folder: Path) -> Secrets:
    """A worker's secrets."""
    folder.mkdir(exist_ok=True)
    file = folder / "secrets.env"
    file.write_text(f"MY_API_KEY={SECRET}\n")
    file.chmod(0o600)
    return Secrets(file)


class Worker:
    """A ``hippo-worker`` process."""

    def __init__(self, folder: Path, arguments: list[str], variables: Mapping[str, str]) -> None:
        self.folder = folder
        write_secrets(folder)
        self.log = folder.parent / f"{folder.name}.log"
        self._file = self.log.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hippo_worker.main", "--data-dir", str(folder), *arguments],
            env={**os.environ, "HIPPO_TOKEN": TOKEN, **variables},
            stdout=self._file,
            stderr=self._file,
        )

    @property
    def data(self) -> Path:
        """What trainers see as ``context.data_dir``."""
        return self.folder / "data"

    def runners(self) -> list[psutil.Process]:
        """Its live runners."""
        return family(self.process.pid, "hippo-runner")

    async def ended(self) -> int:
        """Waits for its end; gives the exit code."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await asyncio.to_thread(self.process.wait)

    async def until_at_gate(self, name: str = "gate", count: int = 1) -> None:
        """Waits until so many runners have come to the gate of this name."""
        await until(lambda: len(list(self.data.glob(f"{name}-*"))) == count, f"runners at {name}")

    def open_gate(self, name: str = "gate") -> None:
        """Lets the runners at a gate go on."""
        (self.data / name).touch()

    async def until_nothing_is_left(self) -> None:
        """Waits until no process lives that was born into its data folder."""
        await until(lambda: not leftovers(self.folder), "processes of the worker remain")

    def end(self) -> None:
        """Ends it, if it has not ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self._file.close()


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """The shared storage."""
    return Storage.open(str(tmp_path / "storage"))


@pytest.fixture
def bundle(tmp_path: Path, storage: Storage) -> str:
    """The digest of a bundle with the trainers."""
    return put_bundle(tmp_path, storage, "")


def put_bundle(tmp_path: Path, storage: Storage, change: str) -> str:
    """Stores a bundle with the trainers and a change."""
    folder = tmp_path / f"code{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    source = Path(__file__).with_name("trainers.py").read_text()
    folder.joinpath("trainer.py").write_text(source + change)
    made = build(folder)
    storage.put_bundle(made.digest, made.archive)
    return made.digest


@pytest.fixture
async def server(storage: Storage, tmp_path: Path) -> AsyncIterator[ScriptedServer]:
    """The server; the test fails if the protocol was broken."""
    scripted = ScriptedServer(str(tmp_path / "storage"))
    await scripted.start()
    yield scripted
    await scripted.close()
    assert scripted.broken == []


@pytest.fixture
async def start_worker(server: ScriptedServer, tmp_path: Path) -> AsyncIterator[Callable[..., Worker]]:
    """Starts workers; none of their processes survives the test."""
    workers: list[Worker] = []

    def start(*arguments: str, name: str = "w", slots: int = 1, **variables: str) -> Worker:
        worker = Worker(
            tmp_path / name,
            ["--server", f"127.0.0.1:{server.port}", "--name", name, "--slots", str(slots), *arguments],
            variables,
        )
        workers.append(worker)
        return worker

    yield start
    for worker in workers:
        worker.end()
    for worker in workers:
        await worker.until_nothing_is_left()


class Bench:
    """A worker of two slots that the tests of a module share, each with leases of its own."""

    def __init__(self, server: ScriptedServer, worker: Worker, storage: Storage, folder: Path) -> None:
        self.server = server
        self.worker = worker
        self.storage = storage
        self.folder = folder
        self.bundle = put_bundle(folder, storage, "")
        self._fences = itertools.count(1)

    def lease(self, program: Program | None = None, **changes: Any) -> LeaseOrder:
        """The next lease."""
        changes = {"bundle": self.bundle, **changes}
        return make_lease(changes.pop("bundle"), next(self._fences), program=program, **changes)

    def gate(self) -> str:
        """The name of a gate that no other test has."""
        return f"gate{next(self._fences)}"

    async def train(self, *orders: LeaseOrder) -> list[Told]:
        """Grants leases one after the other, each when the one before is over."""
        told = []
        for order in orders:
            told.append(await self.server.grant(order))
            await self.server.until_over(order.fence)
        return told

    async def prepare(self, order: LeaseOrder, ends: str = "runner_prepared") -> None:
        """Has the slot of a lease to come made ready for it, and waits for what the worker's log says at its end."""
        await self.server.until(lambda: bool(self.server.streams), "a stream")
        await self.kill_runners()
        told = self.worker.log.read_text().count(ends)
        await self.server.say(preparations_of(order))
        await until(lambda: self.worker.log.read_text().count(ends) > told, ends)

    async def kill_runners(self) -> None:
        """Kills the worker's runners and waits until they are gone."""
        for runner in self.worker.runners():
            runner.kill()
        await until(lambda: not self.worker.runners(), "the runners' end")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """The shared worker; some credentials are in its environment. The module fails if the protocol was broken."""
    folder = tmp_path_factory.mktemp("bench")
    scripted = ScriptedServer(str(folder / "storage"))
    await scripted.start()
    arguments = ["--server", f"127.0.0.1:{scripted.port}", "--name", "w", "--slots", "2"]
    worker = Worker(folder / "w", arguments, CANARIES)
    yield Bench(scripted, worker, Storage.open(str(folder / "storage")), folder)
    worker.end()
    await worker.until_nothing_is_left()
    await scripted.close()
    assert scripted.broken == []


def preparations_of(order: LeaseOrder) -> worker_pb2.WorkResponse:
    """Says that the slot of a lease to come is to be made ready for it."""
    wanted = PrepareOrder(**{field.name: getattr(order, field.name) for field in fields(PrepareOrder)})
    orders = worker_pb2.Preparations(preparations=[preparation_to_proto(wanted)])
    return worker_pb2.WorkResponse(preparations=orders)


def make_program(trainer: str = "Tiny", **changes: Any) -> Program:
    """A program of one of the trainers."""
    options = changes.pop("options", {})
    return replace(
        Program(trainer=f"trainer:{trainer}", code_digest="d", options=options, kinds={"lr": Kind.FLOAT}),
        **changes,
    )


def make_lease(bundle: str, fence: int, *, program: Program | None = None, **changes: Any) -> LeaseOrder:
    """A lease of one stage of 4 steps on node 1, unless changed."""
    program = program or make_program()
    laws = Laws.from_json({"lr": 0.1})
    order = LeaseOrder(
        fence=fence,
        slot=0,
        plan=1,
        program=program,
        program_key=program.key,
        bundle=bundle,
        setup_laws=laws,
        start=None,
        in_memory=False,
        stages=(StageOrder(node=1, start=0, stop=4, laws=laws),),
        save_points=(),
        checkpoint_every=None,
        secrets=(),
        objectives=("loss",),
    )
    return replace(order, **changes)


def stage(node: int, start: int, stop: int, lr: float = 0.1) -> StageOrder:
    """Steps of a node at one learning rate."""
    return StageOrder(node=node, start=start, stop=stop, laws=Laws.from_json({"lr": lr}))
