"""Certificates: what each side shows is believed, keys are their owner's, and renewal keeps the authority."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from hippo_client.certificates import make_certificates
from hippo_core.errors import InvalidStudy, NotAllowed


def handshake(folder, name):
    """Lets a server and a caller that want each other's certificates speak; returns what the caller saw."""
    here, there = (
        ssl.create_default_context(cafile=folder / "ca.pem"),
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
    )
    here.load_cert_chain(folder / "client.pem", folder / "client.key")
    there.load_cert_chain(folder / "server.pem", folder / "server.key")
    there.load_verify_locations(folder / "ca.pem")
    there.verify_mode = ssl.CERT_REQUIRED
    towards, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = here.wrap_bio(back, towards, server_hostname=name)
    server = there.wrap_bio(towards, back, server_side=True)
    for _ in range(4):
        for each in (caller, server):
            try:
                each.do_handshake()
            except ssl.SSLWantReadError:
                continue
    server.getpeercert()
    return caller.getpeercert()


@pytest.mark.parametrize("name", ["head.example.org", "10.1.2.3", "localhost", "127.0.0.1", "::1"])
def test_both_sides_are_believed(tmp_path, name):
    make_certificates(tmp_path / "certs", ["head.example.org", "10.1.2.3"], 30)
    assert handshake(tmp_path / "certs", name)["subject"] == ((("commonName", "Hippo server"),),)


def test_another_name_is_not(tmp_path):
    make_certificates(tmp_path / "certs", ["head.example.org"], 30)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path / "certs", "example.org")


def test_keys_are_their_owners(tmp_path):
    folder = make_certificates(tmp_path / "certs", [], 30).folder
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {
        **{f"{name}.key": 0o600 for name in ("ca", "server", "client")},
        **{f"{name}.pem": 0o644 for name in ("ca", "server", "client")},
    }


def test_renewal_keeps_the_authority_and_nothing_else(tmp_path):
    first = make_certificates(tmp_path, ["a.example.org"], 30)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    second = make_certificates(tmp_path, ["b.example.org"], 90)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    same = {name for name in before if before[name] == after[name]}
    assert same == {"ca.pem", "ca.key"}
    assert (first.new_authority, second.new_authority) == (True, False)
    assert timedelta(days=89) < second.until - datetime.now(UTC) <= timedelta(days=90)
    server = x509.load_pem_x509_certificate(after["server.pem"])
    assert server.not_valid_after_utc == second.until.replace(microsecond=0)


@pytest.mark.parametrize("host", ["", "a b", "exa\nmple", "https://head", "*", "a*.b"])
def test_what_is_no_host_is_refused_and_nothing_made(tmp_path, host):
    with pytest.raises(InvalidStudy, match="neither a name nor an address"):
        make_certificates(tmp_path / "certs", [host], 30)
    assert not (tmp_path / "certs").exists()


@pytest.mark.parametrize("damage", ["no key", "another's key", "no certificate"])
def test_an_authority_that_cannot_sign_is_told(tmp_path, damage):
    folder = make_certificates(tmp_path / "certs", [], 30).folder
    if damage == "no key":
        (folder / "ca.key").unlink()
    elif damage == "another's key":
        other = make_certificates(tmp_path / "other", [], 30).folder
        (folder / "ca.key").write_bytes((other / "ca.key").read_bytes())
    else:
        (folder / "ca.pem").write_text("nothing")
    server = (folder / "server.pem").read_bytes()
    with pytest.raises(InvalidStudy) as refused:
        make_certificates(folder, [], 30)
    assert refused.value.field == "dir"
    assert (folder / "server.pem").read_bytes() == server


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotAllowed, match="cannot be written"):
        make_certificates(tmp_path / "file" / "certs", [], 30)
