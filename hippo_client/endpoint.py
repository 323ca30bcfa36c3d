"""Which server a client talks to, and with which token."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hippo_core.errors import NotAllowed, Unavailable

if TYPE_CHECKING:
    from hippo_client.local import Home
    from hippo_wire.tls import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server and the token for it; the token is in no text of it.

    Attributes:
        server: ``host:port`` of gRPC, or several with commas between.
        token: The bearer token.
        trust: Whom to believe to be the server; None: nothing is encrypted.
    """

    server: str
    token: str
    trust: Trust | None = None

    def __repr__(self) -> str:
        return f"Endpoint(server={self.server!r})"


def find_endpoint(
    server: str | None = None, token: str | None = None, ca: str | Path | None = None
) -> Endpoint:
    """The server that is named, in the arguments or by ``HIPPO_SERVER``; else the one that ``hippo login`` has kept;
    else the one of this machine's home.

    The token is the argument, ``HIPPO_TOKEN``, or what the file ``HIPPO_TOKEN_FILE`` holds. A token that is kept for
    one server is used for that only: another server must not get to see it.

    Raises:
        Unavailable: No server is named, and none runs here.
        NotAllowed: There is no token, or its file cannot be read.
        InvalidStudy: The server's address makes no sense, or what is given for TLS.
    """
    from hippo_client.local import Home
    from hippo_client.login import read_login
    from hippo_wire.channel import check_addresses
    from hippo_wire.tls import read_trust

    home = Home.at()
    variables = os.environ
    trust = read_trust(
        ca or variables.get("HIPPO_CA"), variables.get("HIPPO_CERT"), variables.get("HIPPO_KEY")
    )
    named, given = server or variables.get("HIPPO_SERVER") or None, token or _environment_token()
    kept = read_login(home)
    if kept is not None and named in (None, kept.server):
        return Endpoint(server=kept.server, token=given or kept.token, trust=trust or kept.trust)
    local = _of_home(home, named, given, trust)
    if local is not None:
        return local
    if named is None:
        raise Unavailable(
            "no server is named, and none runs on this machine.",
            "Start one with `hippo up`, or log in to one with `hippo login`, or set HIPPO_SERVER and HIPPO_TOKEN.",
        )
    check_addresses(named, encrypted=trust is not None)
    if given is None:
        raise NotAllowed(
            f"no token for {named}.",
            "Log in with `hippo login`, or set HIPPO_TOKEN, or HIPPO_TOKEN_FILE to a file with it.",
        )
    return Endpoint(server=named, token=given, trust=trust)


def _of_home(home: Home, named: str | None, given: str | None, trust: Trust | None) -> Endpoint | None:
    """The server of this machine's home, if it is the one that is named, or none is and it runs."""
    from hippo_client.local import running_server
    from hippo_wire.tls import read_trust

    local = running_server(home) if named is None else home.server_address()
    if local is None or (named is not None and (named != local.grpc or given is not None)):
        return None
    if local.tls and trust is None:
        trust = read_trust(home.authorities_file, None, None)
    return Endpoint(server=local.grpc, token=given or home.admin_token(), trust=trust)


def _environment_token() -> str | None:
    token = os.environ.get("HIPPO_TOKEN")
    if token:
        return token.strip()
    file = os.environ.get("HIPPO_TOKEN_FILE")
    return read_token_file(file) if file else None


def read_token_file(file: str | Path) -> str:
    """The token in a file.

    Raises:
        NotAllowed: It cannot be read.
    """
    try:
        return Path(file).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise NotAllowed(
            f"the token file {file} cannot be read: {reason}.",
            "Give a file that you may read, with --token-file or HIPPO_TOKEN_FILE.",
        ) from error
