"""Which server a client talks to, and with which token.

One rule, for each server: a token that is named is the one that is used. It is named by an argument, by ``HIPPO_TOKEN``
or by ``HIPPO_TOKEN_FILE``, in this order; where none is, the one that is kept for this very server is used. So nobody
who names a token acts with the rights of another, and no kept token is shown to a server that it is not for.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hippo_core.errors import NotAllowed, Unavailable

if TYPE_CHECKING:
    from hippo_client.local import Home
    from hippo_client.local.home import ServerAddress
    from hippo_wire.tls import Trust

OWN = "this home's own token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server and the token for it; the token is in no text of it.

    Attributes:
        server: ``host:port`` of gRPC, or several with commas between.
        token: The bearer token.
        origin: A sentence on where the token comes from, for whoever is refused with it.
        trust: Whom to believe to be the server; None: nothing is encrypted.
    """

    server: str
    token: str
    origin: str
    trust: Trust | None = None

    def __repr__(self) -> str:
        return f"Endpoint(server={self.server!r})"


def find_endpoint(
    server: str | None = None, token: str | None = None, ca: str | Path | None = None
) -> Endpoint:
    """The server that is named, in the arguments or by ``HIPPO_SERVER``; else the one that ``hippo login`` has kept;
    else the one of this machine's home.

    The token is the argument, ``HIPPO_TOKEN``, or what the file ``HIPPO_TOKEN_FILE`` holds; else the one that is kept
    for the server.

    Raises:
        Unavailable: No server is named, and none runs here.
        NotAllowed: There is no token, or its file cannot be read.
        InvalidStudy: The server's address makes no sense, or what is given for TLS.
    """
    from hippo_client.local import Home
    from hippo_client.login import read_login
    from hippo_wire.route import check_addresses
    from hippo_wire.tls import read_trust

    home = Home.at()
    variables = os.environ
    trust = read_trust(
        ca or variables.get("HIPPO_CA"), variables.get("HIPPO_CERT"), variables.get("HIPPO_KEY")
    )
    named, given = server or variables.get("HIPPO_SERVER") or None, _named_token(token)
    kept = read_login(home)
    if kept is not None and named in (None, kept.server):
        return _endpoint(kept.server, given, (kept.token, "that of `hippo login`"), trust or kept.trust)
    local = _of_home(home, named)
    if local is not None:
        if local.tls and trust is None:
            trust = read_trust(home.authorities_file, None, None)
        own = None if given is not None else home.admin_token()
        return _endpoint(local.grpc, given, (own or "", OWN), trust)
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
    return Endpoint(server=named, token=given[0], origin=f"Used was {given[1]}.", trust=trust)


def find_attached(server: str, own: str) -> Endpoint:
    """The server of a home that this process holds up.

    Args:
        server: ``host:port`` of gRPC.
        own: The token of the home's owner, used where none is named.

    Raises:
        NotAllowed: The file that ``HIPPO_TOKEN_FILE`` names cannot be read.
        InvalidStudy: What is given for TLS makes no sense.
    """
    from hippo_wire.tls import read_trust

    variables = os.environ
    trust = read_trust(variables.get("HIPPO_CA"), variables.get("HIPPO_CERT"), variables.get("HIPPO_KEY"))
    return _endpoint(server, _named_token(None), (own, OWN), trust)


def _endpoint(
    server: str, named: tuple[str, str] | None, kept: tuple[str, str], trust: Trust | None
) -> Endpoint:
    """A server for which a token is kept; tokens are given with what they are called."""
    if named is None:
        return Endpoint(server=server, token=kept[0], origin=f"Used was {kept[1]}.", trust=trust)
    origin = f"Used was {named[1]}; without it, {kept[1]} is used."
    return Endpoint(server=server, token=named[0], origin=origin, trust=trust)


def _of_home(home: Home, named: str | None) -> ServerAddress | None:
    """The server of this machine's home, if it is the one that is named, or none is and it runs."""
    from hippo_client.local import running_server

    if named is None:
        return running_server(home)
    local = home.server_address()
    return local if local is not None and local.grpc == named else None


def _named_token(argument: str | None) -> tuple[str, str] | None:
    """The token that somebody names, and what it is called."""
    if argument:
        return argument, "the token of the call"
    token = os.environ.get("HIPPO_TOKEN")
    if token:
        return token.strip(), "the token in HIPPO_TOKEN"
    file = os.environ.get("HIPPO_TOKEN_FILE")
    return (read_token_file(file), "the token in the file of HIPPO_TOKEN_FILE") if file else None


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
