"""Faults at random on real processes: two servers on one PostgreSQL, several workers, proxies between them all.

Every 2 to 10 seconds something is killed, stopped, cut off, held up, restarted or drained; what died is started again.
Studies of the acceptance tests' grid follow one another meanwhile, each of another program, so that nothing is shared
between them. Each has to end as trained alone, nothing of it twice, and what was trained again counted. Which faults
come in which order follows from the seed; what they meet does not.

    python -m tests.acceptance.soak --seconds 900
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hippo_client import Client
from hippo_client.handles.study import StudyHandle
from hippo_client.study_file import load
from hippo_server.postgres import EmbeddedPostgres
from tests.acceptance.conftest import STUDY_FOLDER, Pool, until
from tests.acceptance.nemesis import Proxy, Rows
from tests.acceptance.oracle import distinct_prefixes, study_file
from tests.acceptance.test_faults import EVERY, LONGER, STEPS, expect_as_alone, expect_clean

SERVERS = ("server", "standby")
WORKERS = ("one", "two", "three")
STUDY_SECONDS = 300.0  #: a study takes half a minute without faults
LOOK_SECONDS = 5.0
UNREACHABLE = 3  #: the status of a worker that has found no server


@dataclass
class Battlefield(Pool):
    """Two servers behind a proxy each, which is what they tell callers and each other; workers that know both."""

    postgres: EmbeddedPostgres = field(init=False)
    proxies: dict[str, Proxy] = field(init=False)
    rows: Rows = field(init=False)

    def __post_init__(self) -> None:
        """Starts PostgreSQL and makes the proxies."""
        self.postgres = EmbeddedPostgres(self.path)
        self.database = self.postgres.start()
        self.proxies = {name: Proxy(self._finder(name)) for name in SERVERS}
        self.rows = Rows(lambda: self.database)

    def home(self, name: str) -> Path:
        """The home of a server."""
        return self.path / f"home-{name}"

    def _finder(self, name: str) -> Callable[[], str]:
        said = self.home(name) / "server" / "server.json"

        def find() -> str:
            try:
                return str(json.loads(said.read_text())["grpc"])
            except (OSError, ValueError) as error:  # it is being started
                raise OSError(str(error)) from error

        return find

    @property
    def address(self) -> str:
        """Both proxies."""
        return ",".join(self.proxies[name].address for name in SERVERS)

    def client(self) -> Client:
        """A client that knows both servers."""
        token = self.home("server") / "server" / "admin.token"
        return Client(self.address, until(token.read_text, "a token").strip())

    def launch(self, name: str) -> None:
        """Starts a server or a worker, and does not wait for it."""
        if name in WORKERS:
            token = str(self.home("server") / "server" / "worker.token")
            self._start(
                name,
                "hippo_worker.main",
                *("--server", self.address, "--token-file", token, "--name", name, "--slots", "1"),
                *("--data-dir", str(self.path / name)),
            )
            return
        home = self.home(name)
        (home / "server" / "server.json").unlink(missing_ok=True)
        self._start(
            name,
            "hippo_server.main",
            *("--home", str(home), "--database-url", self.database, "--storage", str(self.path / "storage")),
            *("--grpc-port", "0", "--http-port", "0", "--advertise", self.proxies[name].address),
            *("--heartbeat-seconds", "0.2", "--lease-seconds", "3", "--leader-lease-seconds", "4"),
        )

    def start_all(self) -> None:
        """Starts the servers, one after the other, and the workers."""
        for name in SERVERS:
            self.launch(name)
            until((self.home(name) / "server" / "server.json").exists, f"the server {name}")
        for name in WORKERS:
            self.launch(name)

    def revive(self) -> None:
        """Starts again what has ended."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                self.launch(name)
        self.postgres.start()

    def submit(self, number: int) -> StudyHandle:
        """The grid, as a program of its own."""
        options = {"pause": 0.2 + number * 1e-6}
        file = self.folder / f"round_{number}.py"
        limits = f"max_steps={STEPS}, checkpoint_every={EVERY}, options={options}"
        file.write_text(study_file("Dropout", f"round-{number}", limits))
        return self.client().submit(load(str(file)))

    def close(self) -> None:
        """Ends everything, workers first and PostgreSQL last."""
        for proxy in self.proxies.values():
            proxy.accept()
            proxy.release()
        for name in (*WORKERS, *SERVERS):
            if name in self.processes:
                self.processes[name].send_signal(signal.SIGCONT)
                self.end(name)
        self.rows.close()
        for proxy in self.proxies.values():
            proxy.close()
        self.postgres.stop()


class Nemesis(threading.Thread):
    """Strikes until it is told to stop, and leaves everything running.

    Args:
        field: What it strikes.
        seed: Which faults, in which order, after which pauses.
    """

    def __init__(self, field: Battlefield, seed: int) -> None:
        super().__init__(daemon=True)
        self._field = field
        self._chance = random.Random(seed)
        self._over = threading.Event()
        self.struck: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self._faults = (
            self.kill,
            self.kill,
            self.stand_still,
            self.stand_still,
            self.drain,
            self.preempt_all,
            self.cut,
            self.hold,
            self.refuse,
            self.restart_postgres,
        )

    def run(self) -> None:
        """Strikes again and again."""
        began = time.monotonic()
        try:
            while not self._over.wait(self._chance.uniform(2.0, 10.0)):
                fault = self._chance.choice(self._faults)
                what = fault()
                self.struck[fault.__name__] += 1
                print(f"{time.monotonic() - began:7.1f} {fault.__name__} {what}", flush=True)  # noqa: T201
                self._field.revive()
        except BaseException as error:  # noqa: BLE001 - told to who waits for the end
            self.failure = error

    def end(self) -> None:
        """No more faults; raises what kept it from striking."""
        self._over.set()
        self.join()
        if self.failure is not None:
            raise self.failure

    def _signal(self, name: str, how: signal.Signals) -> None:
        self._field.processes[name].send_signal(how)

    def _expect_leaves(self, name: str) -> None:
        status = self._field.processes[name].wait(60)
        # A worker that finds no server for as long as a lease leaves with the words that its leases will expire.
        legal = (0, UNREACHABLE) if name in WORKERS else (0,)
        assert status in legal, f"{name} ended with {status} when it was asked to"

    def kill(self) -> str:
        name = self._chance.choice((*SERVERS, *WORKERS))
        self._signal(name, signal.SIGKILL)
        self._field.processes[name].wait()
        return name

    def stand_still(self) -> str:
        name, seconds = self._chance.choice((*SERVERS, *WORKERS)), self._chance.choice((1.0, 5.0, 9.0))
        self._signal(name, signal.SIGSTOP)
        self._over.wait(seconds)
        self._signal(name, signal.SIGCONT)
        return f"{name} {seconds}"

    def drain(self) -> str:
        name = self._chance.choice((*SERVERS, *WORKERS))
        self._signal(name, signal.SIGTERM)
        self._expect_leaves(name)
        return name

    def preempt_all(self) -> str:
        """All workers are asked to leave at once, while whoever leads is killed."""
        for name in WORKERS:
            self._signal(name, signal.SIGTERM)
        for name in SERVERS:
            self._signal(name, signal.SIGKILL)
            self._field.processes[name].wait()
            self._field.launch(name)
        for name in WORKERS:
            self._expect_leaves(name)
        return ""

    def cut(self) -> str:
        name = self._chance.choice(SERVERS)
        self._field.proxies[name].cut()
        return name

    def hold(self) -> str:
        name, seconds = self._chance.choice(SERVERS), self._chance.choice((0.5, 2.0, 5.0))
        direction = self._chance.choice(("requests", "replies"))
        proxy = self._field.proxies[name]
        proxy.hold(direction)
        self._over.wait(seconds)
        breaks = self._chance.random() < 0.5
        (proxy.cut if breaks else proxy.release)()
        return f"{name} {direction} {seconds}{', lost' if breaks else ''}"

    def refuse(self) -> str:
        name, seconds = self._chance.choice(SERVERS), self._chance.choice((1.0, 4.0, 8.0))
        self._field.proxies[name].refuse()
        self._over.wait(seconds)
        self._field.proxies[name].accept()
        return f"{name} {seconds}"

    def restart_postgres(self) -> str:
        how = self._chance.choice((signal.SIGINT, signal.SIGQUIT, signal.SIGKILL))
        pid = self._field.postgres.pid
        assert pid is not None
        os.kill(pid, how)
        until(lambda: not self._field.postgres.running(), "the end of PostgreSQL")
        return how.name


def expect_all_counted(field: Battlefield, handles: list[StudyHandle]) -> None:
    """What each study trained beyond its distinct prefixes is told as trained again, and all of it was recorded."""
    trained = field.rows("SELECT sum(trained - start)::bigint FROM lease_stages")[0][0]
    savings = [handle.savings() for handle in handles]
    for each in savings:
        assert each["steps_retrained"] == each["steps_trained"] - distinct_prefixes(LONGER), each
    assert sum(each["steps_trained"] for each in savings) == trained


def wait(handle: StudyHandle, nemesis: Nemesis) -> None:
    """Waits until a study has ended; raises where it takes too long, or nothing strikes any more."""
    end = time.monotonic() + STUDY_SECONDS
    while True:
        if nemesis.failure is not None:
            raise nemesis.failure
        try:
            handle.wait(progress=False, timeout=LOOK_SECONDS)
        except TimeoutError:
            if time.monotonic() > end:
                raise
        else:
            return


def soak(folder: Path, seconds: float, seed: int) -> None:
    """Studies under faults, for so long; then what is open ends in peace."""
    work = folder / "work"
    shutil.copytree(STUDY_FOLDER, work, ignore=shutil.ignore_patterns("__pycache__"))
    field = Battlefield(folder / "pool", "", work)
    handles: list[StudyHandle] = []
    try:
        field.start_all()
        nemesis = Nemesis(field, seed)
        nemesis.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and nemesis.is_alive():
            handle = field.submit(len(handles))
            handles.append(handle)
            wait(handle, nemesis)
            print(f"study {handle.name}: {handle.savings()['steps_retrained']} steps again", flush=True)  # noqa: T201
        nemesis.end()
        for handle in handles:
            expect_as_alone(field.rows, handle)
        expect_clean(field.rows)
        expect_all_counted(field, handles)
        print(f"{len(handles)} studies as trained alone; {dict(nemesis.struck)}")  # noqa: T201
    finally:
        field.close()


def main() -> None:
    """Reads the arguments; keeps the folder of a run that failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.soak")
    parser.add_argument("--seconds", type=float, default=300.0, help="for how long faults come")
    parser.add_argument("--seed", type=int, help="which faults; by default others each time")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    folder = Path(tempfile.mkdtemp(prefix="hippo-soak-"))
    print(f"seed {seed}, {folder}", flush=True)  # noqa: T201
    try:
        soak(folder, given.seconds, seed)
    except BaseException:
        print(f"seed {seed} failed; its logs are in {folder}", file=sys.stderr)  # noqa: T201
        raise
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
