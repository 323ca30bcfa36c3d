"""The folder in which a supervisor's socket lies: short and private wherever the home is, and gone with the supervisor.

A home may lie too deep for the path of a Unix socket, so that the socket lies in a folder for temporary files, named
after the user and the home. The supervisor holds a lock on its folder for as long as it lives. What one that was killed
has left is removed by the next one, of whichever home: a folder whose lock is free has nobody living in it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hippo_client.local.home import Home
from hippo_core.errors import InvalidStudy, NotAllowed

#: sun_path holds 108 bytes on Linux and 104 on macOS, the closing zero included.
LONGEST_SOCKET_PATH = 103
_SOCKET = "s"


def socket_path(home: Home) -> Path:
    """Where the socket of a home's supervisor lies.

    Raises:
        InvalidStudy: No folder for temporary files gives a path that is short enough.
    """
    digest = hashlib.sha256(os.fsencode(home.path)).hexdigest()[:12]
    for parent in _parents():
        path = parent / f"hippo-{os.getuid()}-{digest}" / _SOCKET
        if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
            return path
    raise InvalidStudy(
        "TMPDIR", f"{tempfile.gettempdir()} is too long for a Unix socket.", "Set TMPDIR to a shorter folder."
    )


@contextmanager
def own_folder(home: Home) -> Iterator[Path]:
    """Makes the folder of a home's socket and keeps it until the end; whoever holds the home's lock may.

    Returns:
        The socket's path; nothing is there.

    Raises:
        NotAllowed: Somebody else made that folder.
        InvalidStudy: There is no path that is short enough.
    """
    path = socket_path(home)
    descriptor = _make(path.parent)
    try:
        path.unlink(missing_ok=True)
        yield path
    finally:
        with suppress(
            OSError
        ):  # somebody has cleared the folder, or put something there: no reason not to end
            path.unlink(missing_ok=True)
            path.parent.rmdir()
        os.close(descriptor)


def remove_deserted() -> None:
    """Removes what supervisors of this user that were killed have left of their folders."""
    ours = re.compile(rf"hippo-{os.getuid()}-[0-9a-f]{{12}}")
    for parent in _parents():
        with suppress(OSError):
            for folder in parent.iterdir():
                if ours.fullmatch(folder.name):
                    _remove_if_deserted(folder)


def check_owner(folder: Path) -> None:
    """Refuses a folder that another user could have put there to listen in; one that does not exist is none.

    Raises:
        NotAllowed: It is not this user's.
    """
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise NotAllowed(f"{folder} belongs to somebody else.", "Remove it, or set TMPDIR.")


def _parents() -> list[Path]:
    return list(dict.fromkeys((Path(tempfile.gettempdir()), Path("/tmp"))))  # noqa: S108 - a folder of one's own is made there


def _make(folder: Path) -> int:
    """The descriptor of the folder, locked."""
    while True:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        check_owner(folder)
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:  # taken for deserted between the two
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is_at(descriptor, folder):
            os.fchmod(descriptor, 0o700)
            return descriptor
        os.close(descriptor)


def _is_at(descriptor: int, folder: Path) -> bool:
    """Whether an open folder is still what its path names."""
    try:
        return os.path.samestat(os.fstat(descriptor), folder.lstat())
    except FileNotFoundError:
        return False


def _remove_if_deserted(folder: Path) -> None:
    check = folder.lstat()
    if not stat.S_ISDIR(check.st_mode) or check.st_uid != os.getuid():
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(descriptor, folder) and not _listens(folder / _SOCKET):
            (folder / _SOCKET).unlink(missing_ok=True)
            folder.rmdir()
    except OSError:
        return  # somebody lives there, or it holds what is none of ours
    finally:
        os.close(descriptor)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
        try:
            end.connect(str(path))
        except OSError:
            return False
    return True
