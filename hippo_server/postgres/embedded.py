"""PostgreSQL as the server's own foreground child.

It listens on a Unix socket only, in a private folder (``sockets.py``), syncs to disk as any PostgreSQL
does, and dies with the server: the kernel sends it SIGINT, its fast shutdown, when the thread that started
it ends. What a ``kill -9`` of either leaves behind is taken care of at the next start: an orphan is ended,
a stale ``postmaster.pid`` is no obstacle, and PostgreSQL recovers from its log.

::

    home/postgres/
        lock             held (flock) by the one server that uses this home
        data/            PostgreSQL's data folder
        postgres.log     what PostgreSQL says
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

from hippo_server.postgres import cluster
from hippo_server.postgres.account import Account, account_for
from hippo_server.postgres.failure import PostgresError
from hippo_server.postgres.sockets import socket_folder

__all__ = ["EmbeddedPostgres", "PostgresError"]

#: The one that every cluster has: another would take as long to make as all of the schema.
DATABASE = "postgres"

#: Recovery after a crash replays the log since the last checkpoint, which takes minutes at most.
START_SECONDS = 300.0
ORPHAN_SECONDS = 60.0
POLL_SECONDS = 0.01
LONGEST_LOG_BYTES = 4 << 20
#: One file of PostgreSQL's log, without which it neither recovers nor writes.
LEAST_FREE_BYTES = cluster.LOG_FILE_MIB << 20

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    # No replica follows, so the log need not hold what only replicas read.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    # The rows are few and the statements short: workers and compilation cost more than they give.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    # Reads by PostgreSQL's own helper processes pay on large scans only.
    "io_method": "sync",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres:
    """One PostgreSQL in a home folder. Its methods may be called from any thread, one at a time.

    Args:
        home: Hippo's home folder. The database lies in ``postgres/`` in it, and is made at the first start.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home.absolute() / "postgres"
        self.data = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self._home = home.absolute()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        # The parent-death signal is tied to the thread that forks: so one does, and outlives its child.
        self._spawner: ThreadPoolExecutor | None = None
        self._sockets: Path | None = None

    def start(self) -> str:
        """Starts PostgreSQL, with a new data folder at the first time, and waits until it can be used.

        Called again after it died, it starts it again; called while it runs, it only tells the address.

        Returns:
            The SQLAlchemy URL of the database.

        Raises:
            PostgresError: It cannot be started; the message says why, with PostgreSQL's own last words.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_lock()
            self._sockets = sockets = socket_folder(self._home)
            if not self.running():
                self._start_process(sockets)
        except BaseException as error:
            self.stop()
            if isinstance(error, OSError):
                raise PostgresError(
                    f"The database in {self.folder} cannot be started: {error}.",
                    "See that the home can be written to and the disk has room.",
                ) from error
            raise
        return f"postgresql+psycopg2://{cluster.USER}@/{DATABASE}?host={quote(str(sockets), safe='')}"

    def running(self) -> bool:
        """Whether the postmaster lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it lives."""
        return self._process.pid if self._process is not None and self.running() else None

    def stop(self) -> None:
        """Stops PostgreSQL, orderly if that takes no longer than half a minute, and lets the home go."""
        process, self._process = self._process, None
        if process is not None:
            for how, seconds in ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, None)):
                if process.poll() is not None:
                    break
                process.send_signal(how)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)
        if self._spawner is not None:
            self._spawner.shutdown()
            self._spawner = None
        if self._sockets is not None:
            with contextlib.suppress(OSError):  # a killed PostgreSQL has left its socket there, for the next
                self._sockets.rmdir()
            self._sockets = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_lock(self) -> None:
        """Makes sure that one server at a time uses this home."""
        if self._lock is not None:
            return
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise PostgresError(
                    f"{self.folder} cannot be locked: {error.strerror}.",
                    "Put the home on a local disk, or give the server a database with --database-url.",
                ) from error
            raise PostgresError(
                f"Another server (process {holder or 'unknown'}) uses the home {self._home}.",
                "Use that server, stop it first, or choose another home.",
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._lock = descriptor

    def _start_process(self, sockets: Path) -> None:
        account = account_for(self.data)
        if self.data.exists():
            cluster.check(self.data, account)
        else:
            cluster.create(self.data, account)
        _wait_until(lambda: not cluster.end_orphan(self.data), ORPHAN_SECONDS, self._orphan_stays)
        said_before = self._open_log()
        self._process = self._spawn(account, sockets)
        _wait_until(lambda: self._is_ready(said_before), START_SECONDS, self._takes_too_long)

    def _spawn(self, account: Account | None, sockets: Path) -> subprocess.Popen[bytes]:
        settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        line = cluster.command(
            account, cluster.binaries() / "postgres", f"-D{self.data}", f"-k{sockets}", *settings
        )
        if self._spawner is None:
            self._spawner = ThreadPoolExecutor(1, thread_name_prefix="postgres-parent")
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C at the terminal is for the server, which stops PostgreSQL last.
            return self._spawner.submit(
                lambda: subprocess.Popen(
                    line,
                    env=cluster.environment(),
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            ).result()

    def _is_ready(self, said_before: int) -> bool:
        """Whether postmaster.pid tells "ready"; raises where the process has ended."""
        process = self._process
        assert process is not None
        if process.poll() is not None:
            raise self._ended(said_before)
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready"

    def _open_log(self) -> int:
        """Starts a new log where the old one is long; returns how long it is now."""
        if self.log.exists() and self.log.stat().st_size > LONGEST_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        return self.log.stat().st_size if self.log.exists() else 0

    def _ended(self, said_before: int) -> PostgresError:
        """Why it ended: the cause where the disk is full, which its last words leave out; else those."""
        with self.log.open("rb") as log:
            log.seek(said_before)
            said = log.read().decode(errors="replace").strip()
        lines = [line.strip() for line in said.splitlines()]
        words = " ".join(lines[-3:]) or "it said nothing"
        full = [line for line in lines if os.strerror(errno.ENOSPC) in line]
        # The log lies on the same disk: what it has no room for is not said.
        if full or shutil.disk_usage(self.folder).free < LEAST_FREE_BYTES:
            return PostgresError(
                f"The disk of {self.data} is full, and PostgreSQL cannot start on it: {full[-1] if full else words}.",
                "Free space on it; the server tries again by itself, and nothing that was recorded is lost.",
            )
        return PostgresError(f"PostgreSQL ended at its start: {words}", f"Its log is {self.log}.")

    def _takes_too_long(self) -> PostgresError:
        return PostgresError(f"PostgreSQL was not ready in {START_SECONDS:.0f} s.", f"Its log is {self.log}.")

    def _orphan_stays(self) -> PostgresError:
        return PostgresError(
            f"A PostgreSQL of an earlier server (process {cluster.postmaster(self.data)}) still uses"
            f" {self.data} and did not end in {ORPHAN_SECONDS:.0f} s.",
            "End it, then start again.",
        )


def _wait_until(condition: Callable[[], bool], seconds: float, error: Callable[[], PostgresError]) -> None:
    """Polls a condition of another process, which nothing announces."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise error()
        time.sleep(POLL_SECONDS)
