"""TLS on a caller's side: whom it believes to be the server, and what is wrong where it does not come about."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hippo_core.errors import InvalidStudy

if TYPE_CHECKING:
    import grpc

SYSTEM = "system"
"""In place of a file of authorities: those that this machine trusts."""

PROBE_SECONDS = 2.0
PIECE_BYTES = 1 << 14
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whom a caller believes, and how it shows who it is.

    Attributes:
        authorities: Certificates of the authorities that the server's may come from, as PEM; empty: those that this
            machine trusts.
        certificate: The caller's own, as PEM, for a server that asks for one; empty: it has none.
        key: The key of that.
    """

    authorities: bytes = b""
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)

    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC makes of it."""
        import grpc  # not before: a worker looks at its trust before it launches what takes longest

        return grpc.ssl_channel_credentials(
            root_certificates=self.authorities or None,
            private_key=self.key or None,
            certificate_chain=self.certificate or None,
        )


def read_trust(
    authorities: str | Path | None, certificate: str | Path | None, key: str | Path | None
) -> Trust | None:
    """What files say; None where no authorities are given: the connection is not encrypted.

    Args:
        authorities: A PEM file, or ``system``.
        certificate: A PEM file.
        key: A PEM file.

    Raises:
        InvalidStudy: A file cannot be read, or does not fit the others.
    """
    if not authorities:
        if certificate or key:
            raise InvalidStudy("cert", "means nothing without TLS", "Give --ca (HIPPO_CA) too.")
        return None
    if bool(certificate) != bool(key):
        missing, given = ("key", "cert") if certificate else ("cert", "key")
        raise InvalidStudy(missing, f"is missing, and --{given} is given", "Give both, or neither.")
    trust = Trust(
        authorities=b"" if str(authorities) == SYSTEM else _read("ca", authorities, b"CERTIFICATE"),
        certificate=_read("cert", certificate, b"CERTIFICATE") if certificate else b"",
        key=_read("key", key, b"PRIVATE KEY") if key else b"",
    )
    if trust.authorities:
        _require_authorities(trust.authorities, str(authorities))
    return trust


def trust_from(variables: Mapping[str, str]) -> Trust | None:
    """What ``HIPPO_CA``, ``HIPPO_CERT`` and ``HIPPO_KEY`` say.

    Raises:
        InvalidStudy: A file cannot be read, or does not fit the others.
    """
    return read_trust(*(variables.get(name) for name in ("HIPPO_CA", "HIPPO_CERT", "HIPPO_KEY")))


def diagnosis(address: str, trust: Trust | None) -> tuple[str, str] | None:
    """Why no call comes through to a server that can be reached: in words, with the remedy; None: it is not TLS.

    Args:
        address: ``host:port``.
        trust: How it was called.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        plain = socket.create_connection((host, int(port)), PROBE_SECONDS)
    except OSError:
        return None
    with contextlib.closing(plain):
        plain.settimeout(PROBE_SECONDS)
        if trust is None:
            return _speaks_tls(plain, address)
        return _refusal(plain, host, address, trust)


class _Encrypted:
    """TLS over a socket, which stays its owner's to close.

    An `ssl.SSLSocket` takes the socket over, and leaves it open where the other side resets the connection right then.

    Args:
        plain: Connected.
        context: How.
        host: The name that the server's certificate must have.

    Raises:
        OSError: The handshake failed.
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, host: str | None = None) -> None:
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._carry(self._tls.do_handshake)

    def ends(self) -> bool:
        """Waits for what comes: whether it is the end, and not a first byte.

        Raises:
            OSError: The other side says why it ends.
        """
        try:
            return self._carry(lambda: self._tls.read(1)) == b""
        except ssl.SSLEOFError:
            return True

    def _carry(self, step: Callable[[], Result]) -> Result:
        """Takes a step of the protocol, with whatever it has to send and to receive."""
        while True:
            try:
                found = step()
            except ssl.SSLWantReadError:
                self._plain.sendall(self._outgoing.read())
                if received := self._plain.recv(PIECE_BYTES):
                    self._incoming.write(received)
                else:
                    self._incoming.write_eof()
            else:
                self._plain.sendall(self._outgoing.read())
                return found


def _speaks_tls(plain: socket.socket, address: str) -> tuple[str, str] | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        _Encrypted(plain, context)
    except OSError:
        return None
    return (
        f"the server at {address} speaks TLS, and was called without.",
        "Give --ca, or set HIPPO_CA to the file ca.pem that `hippo certs init` made there.",
    )


def _refusal(plain: socket.socket, host: str, address: str, trust: Trust) -> tuple[str, str] | None:
    context = ssl.create_default_context(cadata=trust.authorities.decode() or None)
    context.set_alpn_protocols(["h2"])
    try:
        # A server that wants a certificate ends the connection, but only after the handshake.
        ended = _Encrypted(plain, context, host).ends()
    except ssl.SSLCertVerificationError as error:
        return (
            f"the certificate of {address} is not taken: {error.verify_message.rstrip('.')}.",
            "HIPPO_CA must be the ca.pem of that server, and HIPPO_SERVER one of the names in its certificate.",
        )
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).lower().replace("_", " ")
        return f"no TLS with {address}: {reason}.", "Does it speak TLS? Else leave --ca out."
    except OSError:
        return None
    if not ended:
        return None
    if trust.certificate:
        return (
            f"the server at {address} does not take the certificate that it is shown.",
            "It takes those of its own CA that have not run out; `hippo certs init` makes them anew.",
        )
    return (
        f"the server at {address} ends the connection: it asks callers for a certificate.",
        "Give --cert and --key, or set HIPPO_CERT and HIPPO_KEY to client.pem and client.key.",
    )


def _read(option: str, path: str | Path, holds: bytes) -> bytes:
    try:
        data = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise InvalidStudy(option, f"{path} cannot be read: {error.strerror}") from error
    if holds not in data:
        raise InvalidStudy(option, f"{path} holds no {holds.decode().lower()} in PEM form")
    return data


def _require_authorities(pem: bytes, path: str) -> None:
    try:
        ssl.create_default_context(cadata=pem.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise InvalidStudy("ca", f"{path} holds no certificates that can be read") from error
