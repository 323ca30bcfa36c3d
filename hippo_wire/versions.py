"""Which versions of Hippo's parts work together: those of one major version whose minor versions are at most one apart.

So servers can be upgraded before workers and clients, or after them, one minor version at a time. Callers say their
version with each call, and the server compares. Callers that say none, which are not Hippo's own, are taken at their
word.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version

from hippo_core.errors import Incompatible

HEADER = "hippo-version"


@cache
def own_version() -> str:
    """The version that is installed here."""
    return version("hippo-hpo")


def check_caller(part: str, caller: str, server: str) -> None:
    """Refuses a caller that is too far apart from the server.

    Args:
        part: What calls: ``client`` or ``worker``.
        caller: Its version.
        server: The server's.

    Raises:
        Incompatible: They do not work together; says which version to install.
    """
    theirs, ours = _minor(caller), _minor(server)
    if theirs is None or ours is None:
        raise Incompatible(f"{caller[:40]!r} is no version.", f"pip install 'hippo-hpo=={server}'")
    if theirs > ours and not _near(theirs, ours):
        raise Incompatible(
            f"{part} {caller} needs server ≥ {_oldest(theirs)}; server is {server}.",
            f"Upgrade the server, or here: pip install 'hippo-hpo=={server}'",
        )
    if not _near(theirs, ours):
        raise Incompatible(
            f"server {server} needs {part} ≥ {_oldest(ours)}; {part} is {caller}.",
            f"pip install 'hippo-hpo=={server}'",
        )


def _minor(text: str) -> tuple[int, int] | None:
    found = re.match(r"(\d{1,9})\.(\d{1,9})", text)
    return None if found is None else (int(found[1]), int(found[2]))


def _near(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] == other[0] and abs(one[1] - other[1]) <= 1


def _oldest(of: tuple[int, int]) -> str:
    return f"{of[0]}.{max(0, of[1] - 1)}"
