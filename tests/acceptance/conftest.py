"""Whole systems as people run them: the commands as processes, a home or a server with workers of its own."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from hippo_client import Client
from hippo_client.local import Home, attach
from tests.waiting import until

STUDY_FOLDER = Path(__file__).parent / "study"
LOG_LINES = 60
COMMAND = [sys.executable, "-m", "hippo_client.cli.main"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows the last of what its processes logged."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for pool in item.funcargs.values():
            if isinstance(pool, Pool):
                for log in sorted(pool.path.glob("*.log")):
                    lines = log.read_text(errors="replace").splitlines()
                    report.sections.append((log.name, "\n".join(lines[-LOG_LINES:])))
    return report


@pytest.fixture(autouse=True)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is started trains on the processor, also where there is a GPU, but for tests that are about that."""
    if request.node.get_closest_marker("gpu") is None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def environment(**more: str) -> dict[str, str]:
    """That of the tests, without anything that names a server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HIPPO_")}
    return {**kept, "NO_COLOR": "1", **more}


def checkpoint_folders(storage: Path) -> list[Path]:
    """Where the checkpoints lie that are whole, as ``.../PLAN/NODE/STEP/FENCE``."""
    # Path.glob fails where a server removes a folder meanwhile.
    manifests = glob.glob(f"{storage}/*/checkpoints/*/*/*/*/manifest.json")  # noqa: PTH207
    return [Path(manifest).parent for manifest in manifests]


@dataclass
class LocalHome:
    """A person's home on one machine."""

    path: Path
    folder: Path  #: where the study files lie

    def run(self, *arguments: str, exits: int = 0) -> subprocess.CompletedProcess[str]:
        """Runs ``hippo`` and expects its exit code."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=environment(HIPPO_HOME=str(self.path)),
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == exits, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str, exits: int = 0) -> Any:
        """What ``hippo ... --json`` prints."""
        return json.loads(self.run(*arguments, "--json", exits=exits).stdout)

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """A client of the home's server, which stays up meanwhile."""
        attachment = attach(Home.at(self.path), worker=False)
        try:
            yield Client(attachment.server, attachment.token)
        finally:
            attachment.close()

    def write(self, name: str, text: str) -> str:
        """Writes a study file."""
        (self.folder / name).write_text(text)
        return name


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalHome]:
    """A home, and a folder with the trainers."""
    home = _home(tmp_path)
    yield home
    home.run("down")


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHome]:
    """A home for all of a module's tests, which take a study's name each: server and worker start once."""
    home = _home(tmp_path_factory.mktemp("shared"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        home.run("up", "--slots", "2", "--grpc-port", "0", "--http-port", "0")
    yield home
    home.run("down")


def _home(path: Path) -> LocalHome:
    folder = path / "work"
    shutil.copytree(STUDY_FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return LocalHome(path / "home", folder)


@dataclass
class Pool:
    """A server on a given database, with workers that are started and killed by hand."""

    path: Path
    database: str
    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start_server(self, *options: str) -> None:
        """Starts the server and waits until it takes calls."""
        ready = self.path / "server" / "server.json"
        ready.unlink(missing_ok=True)
        self._start(
            "server",
            "hippo_server.main",
            *("--home", str(self.path), "--database-url", self.database),
            *("--grpc-port", "0", "--http-port", "0"),
            *("--heartbeat-seconds", "0.2", "--lease-seconds", "3"),
            *options,
        )
        until(ready.exists, "a ready server")

    def start_worker(self, name: str, slots: int = 1, *options: str, group: Path | None = None) -> None:
        """Starts a worker with a data folder of its own, and the home's token unless it joins with another.

        Args:
            name: Its name.
            slots: How many paths it trains at a time.
            options: Further ones of ``hippo-worker``.
            group: The control group that it is born in.
        """
        token = ("--token-file", str(self.path / "server" / "worker.token"))
        self._start(
            name,
            "hippo_worker.main",
            *("--server", self.address, *(() if "--join-token-file" in options else token)),
            *("--name", name, "--slots", str(slots), "--data-dir", str(self.path / name), *options),
            group=group,
        )

    def _start(self, name: str, module: str, *arguments: str, group: Path | None = None) -> None:
        # It enters its group by itself, before it starts a process that would stay outside.
        enter = (
            ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs")]
            if group is not None
            else []
        )
        log = self.path / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            self.processes[name] = subprocess.Popen(
                [*enter, sys.executable, "-m", module, *arguments],
                env=environment(),
                stdout=file,
                stderr=file,
            )

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> int:
        """Ends a process and waits for it."""
        process = self.processes.pop(name)
        process.send_signal(how)
        return process.wait(60)

    @property
    def address(self) -> str:
        """Where gRPC is to be found."""
        found: str = json.loads((self.path / "server" / "server.json").read_text())["grpc"]
        return found

    def client(self) -> Client:
        """A client with the administrator's token."""
        return Client(self.address, (self.path / "server" / "admin.token").read_text().strip())

    def query(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What the database says."""
        connection = psycopg2.connect(_plain(self.database))
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall()


def _plain(url: str) -> str:
    """A SQLAlchemy address as libpq reads it."""
    scheme, rest = url.split("://", 1)
    return f"{scheme.partition('+')[0]}://{rest}"


@pytest.fixture
def pool(tmp_path: Path, empty_database_url: str) -> Iterator[Pool]:
    """A server, and no workers yet."""
    folder = tmp_path / "work"
    shutil.copytree(STUDY_FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    made = Pool(tmp_path / "pool", empty_database_url, folder)
    made.start_server()
    yield made
    for name in [*(each for each in made.processes if each != "server"), "server"]:
        if name in made.processes:
            made.end(name)
