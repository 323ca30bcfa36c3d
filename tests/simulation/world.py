"""A world: servers, workers and users with what lies between them, in one process and one time, made from a seed."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from blake3 import blake3

from hippo_core.engine.commands import Command
from hippo_core.engine.decision import EngineSettings
from hippo_core.engine.engine import Engine, Outcome
from hippo_core.engine.invariants import check
from hippo_core.engine.known import Known
from hippo_core.engine.orders import RemoveCheckpoint
from hippo_core.errors import HippoError
from hippo_server.auth.roles import Role
from hippo_storage.local import LocalStorage
from hippo_storage.manifest import MANIFEST, CheckpointLocation, FileEntry, Manifest
from hippo_storage.storage import Storage, Swept
from tests.simulation.database import MemoryDatabase
from tests.simulation.disk import FaultyFiles
from tests.simulation.nemesis import Nemesis
from tests.simulation.network import Network, SimulatedConnection
from tests.simulation.servers import ServerHost, Trouble
from tests.simulation.stand_ins import stand_ins
from tests.simulation.training import STATE_FILE
from tests.simulation.users import Users
from tests.simulation.virtual_time import (
    CURRENT,
    BlockingThread,
    Gone,
    Process,
    VirtualClock,
    VirtualLoop,
)
from tests.simulation.witness import Witness
from tests.simulation.workers import WorkerHost

BEGAN = 1_600_000_000.0
ARCHIVE = b"code"
LEFTOVER_SECONDS = 9.0


class Disk:
    """How the shared storage is.

    Attributes:
        trouble: "broken", "full" or "lying"; empty: it works.
    """

    trouble = ""


class SharedStorage(LocalStorage):
    """The production storage in a folder, with leftovers that age quickly."""

    witness: Witness

    def sweep(
        self,
        needed: Callable[[CheckpointLocation], bool],
        now: float,
        age_seconds: float = LEFTOVER_SECONDS,
    ) -> Swept:
        return super().sweep(needed, now, age_seconds)

    def remove(self, location: CheckpointLocation) -> None:
        self.witness.removes(location)
        super().remove(location)


class World:
    """Everything there is.

    Args:
        seed: All that happens follows from it.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.calm = False
        self.repairs: list[Callable[[], None]] = []
        self.disk = Disk()
        self.trouble = Trouble()
        self.loop = VirtualLoop()  # type: ignore[abstract]
        self.clock = VirtualClock(self.loop, BEGAN)
        self.network = Network(self.loop, random.Random(self.chance.getrandbits(64)))
        self.database = MemoryDatabase(now=lambda: self.loop.now)
        self.witness = Witness(self.database, self.loop)
        shared_memory = Path("/dev/shm")
        where = shared_memory if os.access(shared_memory, os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="hippo-simulation-", dir=where))
        (self.folder / "shared").mkdir()
        self.files = FaultyFiles(self.folder / "shared", self._before_file, lambda: BEGAN + self.loop.now)
        self.files.receive = self._received
        self.files.far = self.chance.random() < 0.5
        self._file_chance = random.Random(self.chance.getrandbits(64))
        self.loop.delay = lambda: self._file_chance.uniform(0.0, 0.01)
        self.servers: list[ServerHost] = []
        self.workers: list[WorkerHost] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        chance = self.chance
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._stack.enter_context(
            stand_ins(self.clock, chance, self._open_storage, self._connect, self._make_engine())
        )
        self._stack.callback(self.loop.close)
        self.storage = self._open_storage(str(self.folder / "shared" / "database"))
        self.witness.world = self
        bundle = blake3(ARCHIVE).hexdigest()
        self.storage.put_bundle(bundle, ARCHIVE)
        address = str(self.folder / "shared")
        addresses = [f"127.0.0.1:{7440 + number}" for number in range(chance.choice([1, 1, 2, 2, 3]))]
        # Who is told of one server only learns of the others from it.
        self.callable_at = ",".join(chance.choice([addresses, addresses[:1]]))
        for number, listens in enumerate(addresses):
            folder = self.folder / f"server-{number}"
            folder.mkdir()
            self.servers.append(
                ServerHost(
                    f"server-{number}",
                    listens,
                    self.loop,
                    self.clock,
                    self.network,
                    self.database,
                    self.trouble,
                    address,
                    folder,
                    random.Random(chance.getrandbits(64)),
                )
            )
        for number in range(chance.choice([1, 2, 2, 3])):
            folder = self.folder / f"worker-{number}"
            folder.mkdir()
            slots, own = chance.choice([1, 1, 2]), random.Random(chance.getrandbits(64))
            self.workers.append(
                WorkerHost(
                    f"worker-{number}", slots, self.loop, self.clock, folder, own, self.witness.listens
                )
            )
        self.users = Users(
            self.loop,
            self.network,
            random.Random(chance.getrandbits(64)),
            bundle,
            ",".join(addresses),
            self.witness.report,
        )
        self.network.delivered = self.witness.delivered
        self.nemesis = Nemesis(self, random.Random(chance.getrandbits(64)))
        for host in (*self.servers, *self.workers):
            host.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def violations(self) -> tuple[str, ...]:
        """What was not to be by now: broken invariants, and the first of the errors that nobody listened to."""
        self.loop.look_at_tasks()
        return (*self.witness.violations, *self.loop.errors[:5])

    def _open_storage(self, url: str, *, make: bool = True) -> Storage:
        storage = SharedStorage(Path(url), self.files, make=make)
        storage.witness = self.witness
        return storage

    def _connect(self, *_: Any) -> SimulatedConnection:
        name = CURRENT.get().name.rpartition(".")[0]
        return SimulatedConnection(self.network, name, Role.WORKER, self.callable_at)

    def _make_engine(self) -> type[Engine]:
        witness = self.witness

        class WitnessedEngine(Engine):
            """Production's, which tells what it decided."""

            @classmethod
            def restore(cls, known: Iterable[Known], settings: EngineSettings, now: float) -> Self:
                begun = list(known)
                engine = super().restore(begun, settings, now)
                witness.restored(engine, begun, now)
                return engine

            def handle(self, command: Command, now: float) -> Outcome:
                try:
                    outcome = super().handle(command, now)
                except HippoError as error:
                    witness.decided(self, command, now, type(error).__name__)
                    raise
                witness.decided(self, command, now, outcome.events)
                if witness.loop.turns % 16 == 0:
                    check(self)
                return outcome

            def removed(self, done: Iterable[RemoveCheckpoint]) -> None:
                gone = tuple(done)
                witness.removed(self, gone)
                super().removed(gone)

        return WitnessedEngine

    def _before_file(self, word: str) -> None:
        """What may happen before any operation on the shared files."""
        if self.loop.over:
            raise Gone
        process, thread = CURRENT.get(), BlockingThread.current()
        if thread is None:
            return
        if process.dies_after is not None:
            process.dies_after -= 1
            if process.dies_after <= 0:
                self.loop.kill(process)
        if not process.alive:
            thread.block()  # for ever
        writes = word in {"write", "copy", "sync", "rename", "link", "make_folder"}
        if self.disk.trouble == "broken":
            raise OSError(errno.EIO, "Input/output error")
        if self.disk.trouble == "full" and writes:
            raise OSError(errno.ENOSPC, "No space left on device")
        if self._file_chance.random() < 0.1:
            self.clock.sleep(self._file_chance.choice([0.01, 0.2]))

    def _received(self, path: Path, data: bytes) -> bytes:
        """What arrives of a shared file: where the storage lies, other bytes or fewer."""
        if self.disk.trouble != "lying" or self._file_chance.random() < 0.3:
            return data
        location = CheckpointLocation.parse("/".join(path.parts[-5:-1]))
        if location is not None:  # who was lied to takes it for lost
            self.witness.spoiled.add((location.node, location.step, location.fence))
        return self._file_chance.choice([_changed(data), data[:-1]])

    # What the nemesis does to more than one.

    def freeze(self, process: Process, seconds: float) -> None:
        """Stops a process for a while."""
        if process.alive:
            self.loop.freeze(process, seconds)
            self.repairs.append(lambda: self.loop.freeze(process, 0.0))

    def suspend(self, process: Process, seconds: float) -> None:
        """Stops a process's whole machine for a while."""
        if process.alive:
            self.network.lose(process)
            self.loop.suspend(process, seconds)
            self.repairs.append(lambda: self.loop.freeze(process, 0.0))

    def lose_power(self) -> None:
        """All machines go off: what was not synced may be gone."""
        for host in (*self.servers, *self.workers):
            self.loop.kill(host.process)
        self.files.lose_power(self.chance)
        self.witness.expect_all_whole()
        for worker in self.workers:
            for path in self._cached(worker):
                if self.chance.random() < 0.3:
                    path.write_bytes(path.read_bytes()[: self.chance.randrange(20)])

    def _cached(self, worker: WorkerHost) -> Iterator[Path]:
        """Files of its cache, but for those that a path is just being started from: they have been verified."""
        in_use = {} if worker.daemon is None else worker.daemon._supplies.checkpoints._pins
        for path in sorted((worker.folder / "checkpoints").glob(f"*/{STATE_FILE}")):
            if not in_use.get(path.parent.name):
                yield path

    def spoil_checkpoint(self) -> str:
        """A published checkpoint loses bytes, or vanishes."""
        kept = [
            CheckpointLocation(plan=node.plan, node=node.id, step=step, fence=fence)
            for node in self.database.state.nodes.values()
            for step, fences in node.checkpoints.items()
            for fence in fences
        ]
        if not kept:
            return "none"
        location = self.chance.choice(kept)
        folder = self.folder / "shared" / "database" / location.path
        self.witness.spoiled.add((location.node, location.step, location.fence))
        path = folder / STATE_FILE
        if not path.exists():
            return "none"
        how = self.chance.choice(["removed", "cut", "changed", "another"])
        data = path.read_bytes()
        match how:
            case "removed":
                self.files.remove_tree(folder)
            case "cut":
                self.files.overwrite(path, data[:-1])
            case "changed":
                self.files.overwrite(path, _changed(data))
            case "another" if (folder / MANIFEST).exists():
                # Whole in itself, as from a backup of another day.
                other = _changed(data)
                entry = FileEntry(size_bytes=len(other), digest=blake3(other).hexdigest())
                manifest = Manifest(location=location, files={STATE_FILE: entry}, about={})
                self.files.overwrite(path, other)
                self.files.overwrite(folder / MANIFEST, manifest.encode())
        return f"{location} {how}"

    def spoil_cache(self) -> str:
        """A file in a worker's cache loses bytes."""
        paths = [path for worker in self.workers for path in self._cached(worker)]
        if not paths:
            return "none"
        path = self.chance.choice(paths)
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(self.chance.choice([data[:-1], _changed(data)]))
        return path.parent.name[:8]

    def calm_down(self) -> None:
        """No fault comes any more, and everything is repaired."""
        self.calm = True
        self.network.cut_until.clear()
        self.network.echoes_until = 0.0
        self.trouble.commits.clear()
        for repair in self.repairs:
            repair()
        for host in (*self.servers, *self.workers):
            host.process.dies_after = None
            host.start()


def _changed(data: bytes) -> bytes:
    """One digit of the model is another: the file reads well, and holds another state."""
    place = len(data) - 4
    other = b"1" if data[place : place + 1] == b"0" else b"0"
    return data[:place] + other + data[place + 1 :]
