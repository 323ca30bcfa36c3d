"""Which of several servers a connection talks to: the one that leads.

A connection is given one address or several, and talks to one server at a time. Where that one does not answer, the
next is tried; where it stands by, and says who leads, that one is, whether it was among those given or not. Nothing is
decided before a call fails, so that who calls a leader never notices that there are others.
"""

from __future__ import annotations

import ipaddress
import re
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from hippo_core.errors import HippoError, InvalidStudy, Standby

HOST = re.compile(r"[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.%]+\]")
Channel = TypeVar("Channel")


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_address(address: str, *, encrypted: bool = False, field: str = "server") -> str:
    """The address, if it is ``host:port``, and on this machine unless the connection is encrypted.

    Args:
        address: What is to be one.
        encrypted: Whether nobody on the way can read along.
        field: Where it was written, for the words.

    Raises:
        InvalidStudy: It is not; a token must not travel in clear text.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not HOST.fullmatch(host) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidStudy(field, f"{address!r} is not host:port", "Write e.g. 127.0.0.1:7440.")
    if not encrypted and not is_loopback(host):
        raise InvalidStudy(
            field,
            f"{host!r} is another machine, and the token would travel in clear text",
            "Set HIPPO_CA to the file ca.pem that `hippo certs init` made there, or to `system`.",
        )
    return address


def check_addresses(text: str, *, encrypted: bool = False) -> tuple[str, ...]:
    """The addresses of servers, with commas between; see ``check_address``.

    Raises:
        InvalidStudy: One of them is none.
    """
    return tuple(check_address(each.strip(), encrypted=encrypted) for each in text.split(","))


class Route(Generic[Channel]):
    """The server that calls go to now. May be used from several threads.

    Args:
        servers: Addresses, with commas between.
        encrypted: Whether nobody on the way can read along.
        open_channel: Opens a channel to an address; nothing is sent before the first call.

    Raises:
        InvalidStudy: An address makes no sense.
    """

    def __init__(self, servers: str, encrypted: bool, open_channel: Callable[[str], Channel]) -> None:
        self._given = check_addresses(servers, encrypted=encrypted)
        self._encrypted = encrypted
        self._open_channel = open_channel
        self._channels: dict[str, Channel] = {}
        self._lock = threading.Lock()
        self._at = self._given[0]

    @property
    def at(self) -> str:
        """The server's address."""
        return self._at

    @property
    def channel(self) -> Channel:
        """The channel to it."""
        with self._lock:
            if self._at not in self._channels:
                self._channels[self._at] = self._open_channel(self._at)
            return self._channels[self._at]

    @property
    def channels(self) -> list[Channel]:
        """All that were opened."""
        with self._lock:
            return list(self._channels.values())

    @property
    def names(self) -> str:
        """All servers that may be asked, in words."""
        return " or ".join(dict.fromkeys([*self._given, self._at]))

    def has_others(self) -> bool:
        """Whether there is another server to try."""
        return self._given != (self._at,)

    def move(self, servers: str) -> None:
        """Lets calls go to other servers from now on, where these are others.

        Args:
            servers: Addresses, with commas between.

        Raises:
            InvalidStudy: An address makes no sense.
        """
        given = check_addresses(servers, encrypted=self._encrypted)
        with self._lock:
            if given != self._given:
                self._given, self._at = given, given[0]

    def leave(self, address: str, error: HippoError) -> None:
        """Goes on to another server, if calls still go to the one that failed.

        Args:
            address: The server that failed.
            error: How.
        """
        with self._lock:
            if address != self._at:
                return
            told = error.address if isinstance(error, Standby) else ""
            if told not in ("", address) and self._may_be_called(told):
                self._at = told
            else:
                place = self._given.index(address) + 1 if address in self._given else 0
                self._at = self._given[place % len(self._given)]

    def _may_be_called(self, address: str) -> bool:
        try:
            check_address(address, encrypted=self._encrypted)
        except InvalidStudy:
            return False
        return True
