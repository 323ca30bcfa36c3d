"""As whom the embedded PostgreSQL runs."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from hippo_server.postgres.failure import PostgresError

#: Users to drop to when started as root, in order of preference.
CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user and group that is not root."""

    uid: int
    gid: int


def account_for(data: Path) -> Account | None:
    """Chooses the account that PostgreSQL is to run as.

    Args:
        data: The data folder; it may not exist yet. PostgreSQL must own it.

    Returns:
        The account to change to, or None where the server's own user will do.

    Raises:
        PostgresError: The data folder is another user's, or root finds no other user to change to.
    """
    owner = data.stat() if data.is_dir() else None
    if os.geteuid() != 0:
        if owner is not None and owner.st_uid != os.geteuid():
            raise PostgresError(
                f"The database in {data} belongs to another user (uid {owner.st_uid}).",
                "Run the server as that user, or choose another home.",
            )
        return None
    if owner is not None and owner.st_uid != 0:
        return Account(uid=owner.st_uid, gid=owner.st_gid)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    raise PostgresError(
        "PostgreSQL does not run as root, and there is neither a user 'postgres' nor 'nobody' to run it as.",
        "Start the server as another user, or give it a database with --database-url.",
    )


def hand_over(folder: Path, account: Account) -> None:
    """Makes ``account`` the owner of a folder and all that is in it, e.g. of a copy that root has made."""
    os.chown(folder, account.uid, account.gid)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.chown(Path(parent, name), account.uid, account.gid, follow_symlinks=False)
