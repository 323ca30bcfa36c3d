"""Copies of database and storage that belong together, made while the server runs, and put back elsewhere.

::

    folder/
        hippo.sql                  the database, as pg_dump of one moment wrote it; it gets its name last
        storage/<identity>/...     checkpoints and bundles, as in the storage

In this order: the storage's files, the database, then the files that have come since. A row names a checkpoint only
when its files are durable, and a published file never changes. So whatever the rows of that moment name either was
there when the first copy was made, or still is when the second one is; but for a checkpoint that came after the first
and went before the second. Such a one is found missing when it is wanted: its steps are trained again from the one
before it, and counted.

Put back, the database may lack what was committed after that moment, as after a fail-over that lost it: leases end,
and numbers that may have been given out since are passed over (``Store.lead``).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from hippo_core.errors import Conflict, InvalidStudy, Unavailable
from hippo_server.postgres import cluster
from hippo_server.postgres.embedded import DATABASE, EmbeddedPostgres
from hippo_server.store import Store
from hippo_server.store.database import parse_url
from hippo_storage.files import DurableFiles, make_folders
from hippo_storage.local import LocalStorage
from hippo_storage.manifest import MANIFEST
from hippo_storage.storage import Storage

DUMP = "hippo.sql"
STORAGE = "storage"

PREAMBLE_BYTES = 4096  #: of a dump
_LATER_SETTING = b"SET transaction_timeout = 0;"
#: A timeline that PostgreSQL never has: who leads next knows that what came last may be lost.
_RESTORED = "UPDATE public.leader SET timeline = 0, lease_seconds = 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server keeps everything.

    Attributes:
        home: Its home.
        database_url: Its database; None: an embedded one in the home.
        storage: The address of its storage.
    """

    home: Path
    database_url: str | None
    storage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was copied; ``storage`` tells whether the storage is a folder, and so was."""

    files: int
    size_bytes: int
    storage: bool


def back_up(place: Place, folder: Path, between: Callable[[], None] = lambda: None) -> Copied:
    """Copies database and storage into a folder: a new one, or that of an earlier backup, which is brought up to date.

    Args:
        place: What is copied; the server may run meanwhile.
        folder: Where to.
        between: Called when the database is copied, before what has come since; for tests.

    Raises:
        InvalidStudy: There is no database, or the folder holds something else or cannot be written.
        Unavailable: The database cannot be copied.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / STORAGE).is_dir():
        raise InvalidStudy("to", f"{folder} holds something else", "Name a new folder, or an earlier backup.")
    storage = _root(place)
    if storage is not None and _is_within(folder, storage):
        raise InvalidStudy("to", f"{folder} lies in the storage", "Name a folder elsewhere.")
    try:
        return _back_up(place, folder, storage, between)
    except OSError as error:
        told = error.strerror or str(error)
        raise InvalidStudy("to", f"{folder} cannot be written: {told}", "Name a folder with room.") from error


def _back_up(place: Place, folder: Path, storage: Path | None, between: Callable[[], None]) -> Copied:
    files = DurableFiles()
    make_folders(files, folder.absolute() / STORAGE)
    folder.chmod(0o700)
    unfinished = folder / f"{DUMP}.new"
    with _database(place) as url:
        identity = _identity(url)
        others = [each.name for each in (folder / STORAGE).iterdir() if each.name != identity]
        if others:
            raise InvalidStudy("to", f"{folder} is a backup of another database", "Name a new folder.")
        copied = [_copy_folder(storage, folder / STORAGE, identity)]
        _run(url, "pg_dump", "--format=plain", "--no-owner", "--no-privileges", f"--file={unfinished}")
        _let_older_ones_take(unfinished)
        between()
        copied.append(_copy_folder(storage, folder / STORAGE, identity))
    with unfinished.open("rb") as dump:
        os.fsync(dump.fileno())
    unfinished.replace(folder / DUMP)
    files.sync_folder(folder)
    return Copied(
        files=sum(count for count, _ in copied),
        size_bytes=sum(size for _, size in copied),
        storage=storage is not None,
    )


def restore(place: Place, folder: Path) -> Copied:
    """Puts a backup into an empty database, after its files into the storage; no server runs there meanwhile.

    The database comes in one transaction, and last: what is interrupted before leaves it empty, so that the same may
    be said again.

    Raises:
        InvalidStudy: The folder holds no whole backup.
        Conflict: The database is not empty, or of a newer Hippo, or a server uses it.
        Unavailable: The database cannot be reached.
    """
    if not (folder / DUMP).is_file():
        raise InvalidStudy("from", f"{folder} holds no whole backup", f"One ends with the file {DUMP}.")
    storage = _root(place)
    with _database(place, make=True) as url:
        if _query(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"):
            raise Conflict(
                "the database is not empty.", "Restore into an empty one: a new --home, or a new database."
            )
        counted = [
            _copy_folder(folder / STORAGE, storage, each.name)
            for each in sorted((folder / STORAGE).iterdir())
            if storage is not None
        ]
        given = (f"--file={folder / DUMP}", f"--command={_RESTORED}")
        try:
            _run(
                url, "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", *given
            )
        except Unavailable as error:
            raise Unavailable(
                error.message,
                f"Nothing was changed. Where {DUMP} is cut off or damaged, take another backup.",
            ) from error
        _pass_over(url)
    return Copied(
        files=sum(count for count, _ in counted),
        size_bytes=sum(size for _, size in counted),
        storage=storage is not None,
    )


def _let_older_ones_take(dump: Path) -> None:
    """Makes a comment of a setting that pg_dump writes first, and that no PostgreSQL before 17 knows."""
    with dump.open("r+b") as file:
        at = file.read(PREAMBLE_BYTES).find(_LATER_SETTING)
        if at >= 0:
            file.seek(at)
            file.write(b"-" * len(_LATER_SETTING))


def _pass_over(url: str) -> None:
    """Ends the leases of the backup's moment, and passes over the numbers that were given out after it.

    Where this does not come to its end, the next server says how it is made up for (``--accept-timeline``).
    """
    timeline = int(str(_query(url, "SELECT timeline_id FROM pg_control_checkpoint()")))
    store = Store(url, timeline)
    try:
        store.migrate()
        store.resign(store.lead("restore", 1.0))
    finally:
        store.close()


def _root(place: Place) -> Path | None:
    """The storage's folder; None: it is none."""
    if "://" in place.storage and not place.storage.startswith("file:"):
        return None
    storage = Storage.open(place.storage)
    assert isinstance(storage, LocalStorage)
    return storage.root


def _is_within(folder: Path, other: Path) -> bool:
    return folder.resolve().is_relative_to(other.resolve())


@contextlib.contextmanager
def _database(place: Place, *, make: bool = False) -> Iterator[str]:
    """The database's address; an embedded one that does not run is started meanwhile."""
    if place.database_url is not None:
        yield place.database_url
        return
    postgres = EmbeddedPostgres(place.home)
    if not make and not postgres.data.is_dir():
        raise InvalidStudy(
            "home", f"{place.home} holds no database", "Name the server's --home or --database-url."
        )
    sockets = cluster.sockets_of(postgres.data)
    if sockets is not None and make:
        raise Conflict(
            f"a server uses the home {place.home}.", "Restore into a new --home, or end that server first."
        )
    if sockets is not None:  # the server's own, which goes on
        yield f"postgresql+psycopg2://{cluster.USER}@/{DATABASE}?host={quote(sockets, safe='')}"
        return
    try:
        yield postgres.start()
    finally:
        postgres.stop()


def _identity(url: str) -> str:
    try:
        return str(_query(url, "SELECT value::text FROM public.identity"))
    except Conflict:
        raise InvalidStudy("database_url", "is no database of Hippo", "Name the server's own.") from None


def _query(url: str, statement: str) -> object:
    """The one value that a statement gives."""
    try:
        with create_engine(parse_url(url), poolclass=NullPool).connect() as connection:
            return connection.execute(text(statement)).scalar_one()
    except OperationalError as error:
        raise Unavailable(f"the database cannot be reached: {_said(str(error.orig))}") from error
    except ProgrammingError as error:
        raise Conflict(f"the database is not as it is expected: {_said(str(error.orig))}") from error


def _run(url: str, program: str, *arguments: str) -> None:
    """Runs a program of PostgreSQL's on a database; its password is in no command line."""
    parsed = parse_url(url)
    shown = parsed.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    environment = {**os.environ, "LC_ALL": "C"}
    if parsed.password is not None:
        environment["PGPASSWORD"] = str(parsed.password)
    done = subprocess.run(
        [str(cluster.binaries() / program), f"--dbname={shown}", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise Unavailable(f"{program} failed: {_said(done.stderr)}", "Nothing was changed.")


def _said(words: str) -> str:
    return " ".join(words.split())[-600:]


def _copy_folder(source: Path | None, target: Path | None, name: str) -> tuple[int, int]:
    """Copies the published files of one database that lack in a folder; returns how many, and their bytes.

    A manifest comes after the files that it names. What goes meanwhile is left out.
    """
    count = size = 0
    if source is None or target is None:
        return count, size
    files = DurableFiles()
    for kind in ("bundles", "checkpoints"):
        for folder, _, names in os.walk(source / name / kind):
            there = target / Path(folder).relative_to(source)
            for each in sorted(names, key=lambda file: (file == MANIFEST, file)):
                copied = _copy_file(files, Path(folder) / each, there / each)
                if copied is None:
                    break  # it is being removed, or was never published: no manifest then
                count, size = count + (copied > 0), size + copied
    return count, size


def _copy_file(files: DurableFiles, source: Path, target: Path) -> int | None:
    """Copies a file that lacks; returns its bytes, 0: it was there, None: it has gone meanwhile, or is a link."""
    if source.is_symlink():
        return None
    if target.exists():
        return 0
    unfinished = target.with_name(f".{target.name}.new")
    make_folders(files, target.parent)
    unfinished.unlink(missing_ok=True)
    try:
        files.copy(source, unfinished)
    except FileNotFoundError:
        unfinished.unlink(missing_ok=True)
        return None
    with unfinished.open("rb") as written:
        os.fsync(written.fileno())
    unfinished.replace(target)
    files.sync_folder(target.parent)
    return target.stat().st_size


__all__ = ["Copied", "Place", "back_up", "restore"]
