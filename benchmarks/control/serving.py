"""A ``hippo-server`` process with a PostgreSQL of its own, and what each process costs in processor time."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import blake3
import psutil

from hippo_core.errors import NotFound
from hippo_core.study import StudySpec
from hippo_storage.bundle import build
from hippo_wire.connection import Connection
from hippo_wire.json_text import dump
from hippo_wire.retries import ANSWER_SECONDS
from hippo_wire.streams import Upload
from hippo_wire.v1 import study_pb2

READY_SECONDS = 120.0
POLL_SECONDS = 0.1
UNLIMITED = ("--calls-per-second", "1000000", "--streams-per-user", "10000")

TRAINER = '''
import hippo_client as hippo


class Trainer(hippo.Trainer):
    """Trains nothing, and reports ten metrics."""

    def setup(self, context):
        self.count = 0

    def apply(self, hp):
        pass

    def train(self, step):
        self.count += 1

    def evaluate(self):
        return {f"m{index}": 0.1 * index for index in range(10)}
'''


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds so far, of the server and of PostgreSQL, and the server's memory.

    Attributes:
        server: The server's own process.
        postgres: All of PostgreSQL's.
        memory_bytes: Resident memory of the server's process.
    """

    server: float
    postgres: float
    memory_bytes: int


class Served:
    """A server that runs.

    Args:
        folder: For its home and its bundle; removed by whoever made it.
        process: The server's process.
    """

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.process = process
        said = json.loads((self.home / "server" / "server.json").read_text())
        self.address = str(said["grpc"])
        self.http = str(said["http"])
        self.bundle = self._upload()

    @property
    def worker_token_file(self) -> Path:
        """Where the workers' token is."""
        return self.home / "server" / "worker.token"

    def token(self, role: str) -> str:
        """The home's token for ``admin`` or ``worker``."""
        return (self.home / "server" / f"{role}.token").read_text().strip()

    def connect(self) -> Connection:
        """A connection as the home's owner."""
        return Connection(self.address, self.token("admin"))

    def submit(self, spec: StudySpec) -> None:
        """Submits a study whose trainer trains nothing, and waits until all its trials are there that are known."""
        with self.connect() as connection:
            submitted = study_pb2.SubmitStudyRequest(
                request_id=uuid.uuid4().hex, spec_json=dump(spec.to_json())
            )
            connection.studies.SubmitStudy(submitted, timeout=ANSWER_SECONDS)
            while not self._is_created(connection, spec):
                time.sleep(POLL_SECONDS)

    def stop(self, name: str) -> None:
        """Stops a study."""
        request = study_pb2.StopStudyRequest(request_id=uuid.uuid4().hex, name=name)
        with self.connect() as connection:
            connection.studies.StopStudy(request, timeout=ANSWER_SECONDS)

    def completed(self, connection: Connection, name: str) -> int:
        """How many trials of a study have completed."""
        found = connection.studies.GetStudy(study_pb2.GetStudyRequest(name=name)).study
        return int(found.trial_counts.get("completed", 0))

    def _is_created(self, connection: Connection, spec: StudySpec) -> bool:
        last = spec.known_trials - 1
        try:
            connection.studies.GetTrial(study_pb2.GetTrialRequest(name=spec.name, trial=last))
        except NotFound:
            return last < 0
        return True

    def usage(self) -> Usage:
        """What server and PostgreSQL have used so far."""
        own = psutil.Process(self.process.pid)
        times, memory = own.cpu_times(), own.memory_info().rss
        line = (self.home / "postgres" / "data" / "postmaster.pid").read_text().split()[0]
        return Usage(times.user + times.system, family_seconds(int(line)), memory)

    def _upload(self) -> str:
        source = self.folder / "bundle"
        source.mkdir()
        (source / "trainer.py").write_text(TRAINER)
        archive = build(source).archive
        digest = str(blake3.blake3(archive).hexdigest())
        request = study_pb2.UploadBundleRequest(digest=digest, data=archive)
        with self.connect() as connection:
            connection.studies.UploadBundle(Upload(lambda: iter([request])))
        return digest


@contextlib.contextmanager
def served(*options: str, program: Sequence[str] = ("hippo_server.main",)) -> Iterator[Served]:
    """A server that is ready; it ends, and its home goes, afterwards.

    Args:
        options: Of the server.
        program: The module that is run, and what it is told before the options.
    """
    folder = Path(tempfile.mkdtemp(prefix="hippo-bench-"))
    (folder / "home").mkdir()
    line = [sys.executable, "-m", *program, "--home", str(folder / "home")]
    line += ["--grpc-port", "0", "--http-port", "0", *UNLIMITED, *options]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(line, stdout=log, stderr=log)
    try:
        end = time.monotonic() + READY_SECONDS
        while not (folder / "home" / "server" / "server.json").exists():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server does not start: {(folder / 'server.log').read_text()}")
            time.sleep(0.05)
        yield Served(folder, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            process.kill()
            shutil.rmtree(folder, ignore_errors=True)


def family_seconds(pid: int) -> float:
    """Processor seconds of a process and of all below it, those that have ended and were waited for included."""
    found = 0.0
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(pid)
        for each in (top, *top.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                found += sum(each.cpu_times()[:4])  # own and its children's, of user and system
    return found
