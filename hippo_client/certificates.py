"""Certificates of one's own: an authority, and what a server and its callers show, for TLS without anybody else's help.

Keys are ECDSA on P-256. The authority is made once and signs whatever is made later, so that a server's certificate
can be renewed while callers keep the ``ca.pem`` that they have.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hippo_core.errors import InvalidStudy, NotAllowed
from hippo_wire.private_file import write_private

AUTHORITY_DAYS = 3650
#: Clocks of others may be late.
EARLIER = timedelta(minutes=5)

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What was made.

    Attributes:
        folder: Where it lies.
        hosts: The names and addresses that the server's certificate is for.
        until: When the server's and the callers' certificates run out.
        new_authority: Whether there was no authority before.
    """

    folder: Path
    hosts: tuple[str, ...]
    until: datetime
    new_authority: bool


def make_certificates(folder: Path, hosts: Sequence[str], days: int) -> Made:
    """Makes what is missing of an authority, and new certificates for a server and its callers.

    In the folder there are then ``ca.pem`` and ``ca.key``, ``server.pem`` and ``server.key``, ``client.pem`` and
    ``client.key``; keys are the owner's alone.

    Args:
        folder: Where.
        hosts: The names and addresses by which the server is reached.
        days: How long the certificates that are not the authority's are valid.

    Raises:
        InvalidStudy: A host is none, or the authority's files cannot be used.
        NotAllowed: The folder cannot be written.
    """
    names = tuple(dict.fromkeys([*hosts, "localhost", "127.0.0.1", "::1"]))
    alternatives = [_alternative(name) for name in names]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_new = not (folder / "ca.pem").exists()
        authority, key = _new_authority(folder) if is_new else _authority(folder)
        until = min(datetime.now(UTC) + timedelta(days=days), authority.not_valid_after_utc)
        for role, purpose in (
            ("server", ExtendedKeyUsageOID.SERVER_AUTH),
            ("client", ExtendedKeyUsageOID.CLIENT_AUTH),
        ):
            own = ec.generate_private_key(ec.SECP256R1())
            builder = _builder(f"Hippo {role}", own, until).issuer_name(authority.subject)
            builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            if role == "server":
                builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            _write_pair(folder, role, builder.sign(key, hashes.SHA256()), own)
    except OSError as error:
        raise NotAllowed(
            f"{error.filename or folder} cannot be written: {error.strerror}.", "Give another --dir."
        ) from error
    return Made(folder=folder, hosts=names, until=until, new_authority=is_new)


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if re.fullmatch(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?", host):
        return x509.DNSName(host)
    raise InvalidStudy("host", f"{host!r} is neither a name nor an address")


def _builder(name: str, key: Key, until: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - EARLIER)
        .not_valid_after(until)
    )


def _new_authority(folder: Path) -> tuple[x509.Certificate, Key]:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("Hippo CA", key, datetime.now(UTC) + timedelta(days=AUTHORITY_DAYS))
    builder = builder.issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Hippo CA")]))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(
        x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        ),
        critical=True,
    )
    certificate = builder.sign(key, hashes.SHA256())
    _write_pair(folder, "ca", certificate, key)
    return certificate, key


def _authority(folder: Path) -> tuple[x509.Certificate, Key]:
    remedy = "Put the authority's ca.key back, or give another --dir for a new one."
    try:
        certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    except FileNotFoundError as error:
        raise InvalidStudy("dir", f"{folder} has a ca.pem, but no ca.key", remedy) from error
    except (ValueError, TypeError) as error:
        raise InvalidStudy("dir", f"the authority in {folder} cannot be read: {error}", remedy) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise InvalidStudy("dir", f"{folder / 'ca.key'} is not the key of ca.pem", remedy)
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        raise InvalidStudy(
            "dir", f"the authority in {folder} ran out on {certificate.not_valid_after_utc:%Y-%m-%d}", remedy
        )
    return certificate, key


def _write_pair(folder: Path, name: str, certificate: x509.Certificate, key: Key) -> None:
    """The key first: whoever reads between sees a pair that does not fit, and looks again."""
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(folder / f"{name}.key", secret)
    write_private(folder / f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM), 0o644)
