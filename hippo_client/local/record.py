"""The supervisor's lock and its record in the home, by which others find it, and find what it left behind."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from hippo_client.local.home import Home
from hippo_client.local.processes import ProcessIdentity

LEFTOVER_GRACE_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a supervisor wrote about itself."""

    socket: Path
    children: tuple[ProcessIdentity, ...]


def lock(home: Home) -> int | None:
    """Take the home's lock, until the process ends.

    Returns:
        The file descriptor that holds it, or None if another supervisor has it.
    """
    descriptor = os.open(home.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def write(home: Home, socket: Path, children: Iterable[ProcessIdentity]) -> None:
    """Replace the record."""
    content = {"socket": str(socket), "children": [asdict(child) for child in children]}
    draft = home.record_file.with_suffix(".new")
    draft.write_text(json.dumps(content))
    draft.replace(home.record_file)


def read(home: Home) -> Record | None:
    """The record, if there is a whole one."""
    try:
        content = json.loads(home.record_file.read_text())
        return Record(
            socket=Path(content["socket"]),
            children=tuple(ProcessIdentity(**child) for child in content["children"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def end_leftovers(home: Home, grace_seconds: float = LEFTOVER_GRACE_SECONDS) -> None:
    """End what a killed supervisor left running: it must not share the home with what comes now.

    On Linux the kernel has asked the children to end already; elsewhere they hear it here. A server takes a
    moment to stop its database.
    """
    record = read(home)
    if record is None:
        return
    for child in record.children:
        child.send(signal.SIGTERM)
    _wait(record.children, grace_seconds)
    for child in record.children:
        child.send(signal.SIGKILL)
    _wait(record.children, grace_seconds)


def _wait(children: Iterable[ProcessIdentity], seconds: float) -> None:
    # They are not our children, so there is nothing to wait on but their disappearance.
    deadline = time.monotonic() + seconds
    while any(child.is_alive() for child in children) and time.monotonic() < deadline:
        time.sleep(0.02)
