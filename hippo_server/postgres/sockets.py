"""Where the embedded PostgreSQL's socket lies: a private folder with a short path."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from hippo_server.postgres.failure import PostgresError

#: The socket's file name, as PostgreSQL makes it from its port.
SOCKET = ".s.PGSQL.5432"

#: Bytes that a socket's path may have: sun_path holds 104 with the closing zero on macOS, 108 on Linux.
LONGEST_PATH = 103


def socket_folder(home: Path) -> Path:
    """Makes the private folder that holds the socket of the database in ``home``.

    A socket's path has about a hundred bytes at most, and homes are often longer: so the folder lies in the
    temporary directory, under a name derived from the home. It is owned by this user and has mode 0700,
    which is what keeps everyone else out: PostgreSQL itself trusts who gets as far as the socket
    (``auth=trust``). When root starts PostgreSQL as another user, the folder stays root's: PostgreSQL
    enters by its capability CAP_DAC_OVERRIDE, and other processes of that user stay out.

    Raises:
        PostgresError: No temporary directory has a path short enough, or somebody else has taken the name.
    """
    digest = hashlib.blake2b(os.fsencode(home.resolve()), digest_size=6).hexdigest()
    # Not as supervisors name the folders of their own sockets: they take an empty one for deserted.
    name = f"hippo-db-{os.geteuid()}-{digest}"
    candidates = dict.fromkeys((tempfile.gettempdir(), "/tmp"))  # noqa: S108 - a folder of one's own is made there
    for parent in candidates:
        folder = Path(parent).resolve() / name
        if len(os.fsencode(folder / SOCKET)) <= LONGEST_PATH:
            return _private(folder)
    raise PostgresError(
        f"The temporary directory {tempfile.gettempdir()} has too long a path for a socket"
        f" (at most {LONGEST_PATH - len(name) - len(SOCKET) - 2} characters).",
        "Set TMPDIR to a folder with a shorter path.",
    )


def _private(folder: Path) -> Path:
    """Makes the folder, or checks that it is this user's own and nobody else can enter it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PostgresError(
            f"{folder}, where the database's socket is to lie, belongs to another user.",
            "Remove it, or set TMPDIR to a folder of your own.",
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)
    return folder
