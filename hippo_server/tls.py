"""The server's certificates: checked at the start, and read again when their files change, without a restart."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import grpc
from cryptography import x509

from hippo_core.errors import InvalidStudy

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
RENEW = "Run `hippo certs init` again, or put files there that fit."


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where the server's certificates lie, as PEM.

    Attributes:
        certificate: Its own, followed by those between it and its authority.
        key: The key of that.
        client_authorities: Of whom callers must have a certificate; None: they need none.
    """

    certificate: Path
    key: Path
    client_authorities: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pems:
    certificate: bytes
    key: bytes
    client_authorities: bytes | None


class Certificates:
    """The certificates in force.

    Args:
        files: Where they lie.

    Attributes:
        context: For HTTP; what is read again is in force there at the next connection.
        names: The names and addresses that the certificate is for, in lower case.
        expires: When it runs out.

    Raises:
        InvalidStudy: A file cannot be read, or they do not fit each other, or the certificate has run out.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._pems = _read(files)
        self.context, self.names, self.expires = self._made(self._pems)
        self._newest = self.context
        # A context is never changed while it is in force: a connection that began between a certificate and its key
        # would be refused.
        self.context.sni_callback = self._show_newest

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """For gRPC; what is read again is in force there at the next connection."""
        given = self._pems

        def newer() -> grpc.ServerCertificateConfiguration | None:
            nonlocal given
            if given is self._pems:
                return None
            given = self._pems
            return _configuration(given)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(given),
            newer,  # type: ignore[arg-type]  # None is allowed: nothing is newer
            require_client_authentication=self._files.client_authorities is not None,
        )

    def look(self) -> None:
        """Takes what the files hold now, if it fits; else what was in force stays so."""
        try:
            found = _read(self._files)
            if found != self._pems:
                self._newest, self.names, self.expires = self._made(found)
                self._pems = found
                log.info("certificates_renewed", extra={"names": sorted(self.names)})
        except InvalidStudy as error:
            log.warning("certificates_not_renewed", extra={"error": str(error)})

    async def follow(self) -> None:
        """Looks now and then, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def _show_newest(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """Gives a connection that begins the certificates of the last look, whatever name it asks for."""
        if self._newest is not self.context:
            connection.context = self._newest

    def _made(self, pems: _Pems) -> tuple[ssl.SSLContext, frozenset[str], datetime]:
        """A context that shows a certificate, for whom that is, and until when."""
        names, expires = _checked(pems.certificate, self._files.certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            # From the files again, since a context takes nothing else. An exchange meanwhile is seen at the next look.
            context.load_cert_chain(self._files.certificate, self._files.key)
        except (ssl.SSLError, OSError) as error:
            words = (
                f"{self._files.key} is not the key of {self._files.certificate} ({error.strerror or error})"
            )
            raise InvalidStudy("tls-key", words, RENEW) from error
        if pems.client_authorities is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            # A session would be gone on with after its caller's authority is taken back; TLS 1.2 always offers some.
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.num_tickets = 0
            try:
                context.load_verify_locations(cadata=pems.client_authorities.decode("ascii"))
            except (ssl.SSLError, UnicodeDecodeError) as error:
                raise InvalidStudy(
                    "tls-client-ca", f"{self._files.client_authorities} holds no certificates", RENEW
                ) from error
        return context, names, expires


def _configuration(pems: _Pems) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(pems.key, pems.certificate)], root_certificates=pems.client_authorities
    )


def _read(files: TlsFiles) -> _Pems:
    def read(option: str, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise InvalidStudy(option, f"{path} cannot be read: {error.strerror}", RENEW) from error

    return _Pems(
        certificate=read("tls-cert", files.certificate),
        key=read("tls-key", files.key),
        client_authorities=None
        if files.client_authorities is None
        else read("tls-client-ca", files.client_authorities),
    )


def _checked(pem: bytes, path: Path) -> tuple[frozenset[str], datetime]:
    """Whom a certificate is for, and until when."""
    try:
        found = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise InvalidStudy("tls-cert", f"{path} holds no certificate in PEM form", RENEW) from error
    if found.not_valid_after_utc <= datetime.now(UTC):
        raise InvalidStudy("tls-cert", f"{path} ran out on {found.not_valid_after_utc:%Y-%m-%d}", RENEW)
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise InvalidStudy(
            "tls-cert", f"{path} names no host that it is for (subjectAltName)", RENEW
        ) from None
    hosts = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    return frozenset(host.lower() for host in hosts), found.not_valid_after_utc
