"""Which server a client talks to, and with which token."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hippo_core.errors import NotAllowed, Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server and the token for it; the token is in no text of it.

    Attributes:
        server: ``host:port`` of gRPC.
        token: The bearer token.
    """

    server: str
    token: str

    def __repr__(self) -> str:
        return f"Endpoint(server={self.server!r})"


def find_endpoint(server: str | None = None, token: str | None = None) -> Endpoint:
    """The server that is named, in the arguments or by ``HIPPO_SERVER``; else the one of this machine's home.

    The token is the argument, ``HIPPO_TOKEN``, or what the file ``HIPPO_TOKEN_FILE`` holds. The home's token
    is used for the home's server only: another server must not get to see it.

    Raises:
        Unavailable: No server is named, and none runs here.
        NotAllowed: There is no token, or its file cannot be read.
        InvalidStudy: The server's address makes no sense.
    """
    from hippo_client.local import Home, running_server
    from hippo_wire.channel import check_address

    home = Home.at()
    named = server or os.environ.get("HIPPO_SERVER")
    given = token or _environment_token()
    if named is None:
        local = running_server(home)
        if local is None:
            raise Unavailable(
                "no server is named, and none runs on this machine.",
                "Start one with `hippo up`, or set HIPPO_SERVER and HIPPO_TOKEN.",
            )
        return Endpoint(server=local.grpc, token=given or home.admin_token())
    check_address(named)
    if given is None:
        address = home.server_address()
        if address is None or address.grpc != named:
            raise NotAllowed(
                f"no token for {named}.", "Set HIPPO_TOKEN, or HIPPO_TOKEN_FILE to a file with it."
            )
        given = home.admin_token()
    return Endpoint(server=named, token=given)


def _environment_token() -> str | None:
    token = os.environ.get("HIPPO_TOKEN")
    if token:
        return token.strip()
    file = os.environ.get("HIPPO_TOKEN_FILE")
    if not file:
        return None
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise NotAllowed(
            f"the token file {file} cannot be read: {reason}.",
            "Set HIPPO_TOKEN_FILE to a file that you may read.",
        ) from error
