"""The server that a user has logged in to: kept in the home, for commands and programs that name none."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hippo_core.errors import InvalidStudy, NotAllowed

if TYPE_CHECKING:
    from hippo_client.local import Home
    from hippo_wire.tls import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A server, and how it is reached.

    Attributes:
        server: ``host:port`` of gRPC, or several with commas between.
        token: The bearer token.
        trust: Whom to believe to be the server; None: nothing is encrypted.
    """

    server: str
    token: str = field(repr=False)
    trust: Trust | None


def login_file(home: Home) -> Path:
    """Where it is kept; only its owner can read it."""
    return home.path / "login.json"


def read_login(home: Home) -> Login | None:
    """The server that the home's owner has logged in to; None: to none.

    Raises:
        NotAllowed: The file cannot be read.
        InvalidStudy: It holds something else.
    """
    from hippo_wire.tls import Trust

    file = login_file(home)
    try:
        said = json.loads(file.read_text())
        trust = said["trust"]
        return Login(
            server=said["server"],
            token=said["token"],
            trust=None if trust is None else Trust(**{name: pem.encode() for name, pem in trust.items()}),
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise NotAllowed(f"{file} cannot be read: {error.strerror}.", "Log in again: hippo login.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidStudy(str(file), "holds no login", "Log in again: hippo login.") from error


def write_login(home: Home, login: Login) -> None:
    """Keeps it, in place of an earlier one.

    Raises:
        NotAllowed: The home cannot be written.
    """
    from hippo_wire.private_file import write_private

    home.create()
    file = login_file(home)
    trust = login.trust
    said = {
        "server": login.server,
        "token": login.token,
        "trust": trust
        and {name: getattr(trust, name).decode() for name in ("authorities", "certificate", "key")},
    }
    write_private(file, json.dumps(said).encode())


def forget_login(home: Home) -> Login | None:
    """Forgets it; returns what it was, if that can be read."""
    found = None
    with contextlib.suppress(InvalidStudy):
        found = read_login(home)
    login_file(home).unlink(missing_ok=True)
    return found
