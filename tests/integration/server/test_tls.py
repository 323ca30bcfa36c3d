"""TLS: who is believed, what is said where one is not, and certificates that are renewed while the server runs."""

from __future__ import annotations

import contextlib
import shutil
import ssl

import httpx
import pytest

from hippo_client.certificates import make_certificates
from hippo_core.errors import Unavailable
from hippo_server.tls import Certificates, TlsFiles
from hippo_wire.tls import Trust, read_trust
from hippo_wire.v1 import admin_pb2, study_pb2
from tests.waiting import until


@pytest.fixture
def certs(tmp_path):
    return make_certificates(tmp_path / "certs", ["head.example.org", "*.pool.example.org"], 30).folder


@pytest.fixture
def files(certs):
    return TlsFiles(certificate=certs / "server.pem", key=certs / "server.key")


@pytest.fixture
def trust(certs):
    return read_trust(certs / "ca.pem", None, None)


@pytest.fixture(autouse=True)
def patient_probe(monkeypatch):
    """Why nothing is heard from a server is found out also where it has to wait for the processor."""
    monkeypatch.setattr("hippo_wire.tls.PROBE_SECONDS", 30.0)


def ask(server, trust, seconds=60.0):
    """Who one is, over a connection of its own."""
    connection = server.connect(trust=trust)
    return connection.admin.GetServer(admin_pb2.GetServerRequest(), timeout=seconds).user


def refusal(server, trust):
    with pytest.raises(Unavailable) as refused:
        ask(server, trust, seconds=1.0)
    return refused.value


def serial(server, certs):
    """The number of the certificate that HTTP shows."""
    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    with (
        httpx.Client(verify=context, timeout=60) as http,
        http.stream("GET", f"https://{server.server.http_address}/livez") as got,
    ):
        return got.extensions["network_stream"].get_extra_info("ssl_object").getpeercert()["serialNumber"]


def test_calls_streams_and_pages_are_encrypted(start_server, files, trust, certs):
    server = start_server(tls=files)
    assert ask(server, trust) == "admin"
    with pytest.raises(StopIteration):
        next(iter(server.connect(trust=trust).studies.ListStudies(study_pb2.ListStudiesRequest()).studies))
    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    address = f"https://{server.server.http_address}"
    assert httpx.get(f"{address}/livez", verify=context, timeout=60).text == "ok\n"
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{server.url}/livez", timeout=60)


def test_the_names_of_the_certificate_are_the_servers_and_no_others(start_server, files, certs):
    server = start_server(tls=files)
    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    found = {
        host: httpx.get(
            f"https://{server.server.http_address}/livez", headers={"Host": host}, verify=context, timeout=60
        ).status_code
        for host in (
            "HEAD.example.org:7441",
            "a.pool.example.org",
            "a.b.pool.example.org",
            "evil.test",
            "localhost",
        )
    }
    assert found == {
        "HEAD.example.org:7441": 200,
        "a.pool.example.org": 200,
        "a.b.pool.example.org": 421,
        "evil.test": 421,
        "localhost": 200,
    }


def test_a_caller_without_tls_is_told_so(start_server, files):
    server = start_server(tls=files)
    assert "speaks TLS" in refusal(server, None).message
    assert "HIPPO_CA" in refusal(server, None).hint


def test_tls_to_a_server_without_is_told(server, trust):
    found = refusal(server, trust)
    assert "no TLS with" in found.message
    assert "leave --ca out" in found.hint


def test_a_stranger_in_the_servers_place_is_not_believed(start_server, files, tmp_path):
    other = make_certificates(tmp_path / "other", ["127.0.0.1"], 30).folder
    server = start_server(tls=files)
    found = refusal(server, read_trust(other / "ca.pem", None, None))
    assert "is not taken" in found.message
    assert "ca.pem" in found.hint


def test_a_certificate_for_another_name_is_not_believed(start_server, files, trust, monkeypatch):
    server = start_server(tls=files)
    monkeypatch.setattr(
        server.server, "grpc_address", server.address.replace("127.0.0.1", "[::ffff:127.0.0.1]")
    )
    found = refusal(server, trust)
    assert "[::ffff:127.0.0.1]" in found.message
    assert "is not taken" in found.message
    assert "HIPPO_SERVER" in found.hint


def test_a_server_that_asks_for_certificates(start_server, files, certs, trust, tmp_path):
    """Mutual TLS: with one of the authority's, and with none or another's."""
    server = start_server(
        tls=TlsFiles(certificate=files.certificate, key=files.key, client_authorities=certs / "ca.pem")
    )
    assert ask(server, read_trust(certs / "ca.pem", certs / "client.pem", certs / "client.key")) == "admin"
    assert "asks callers for a certificate" in refusal(server, trust).message
    other = make_certificates(tmp_path / "other", [], 30).folder
    stranger = Trust(
        authorities=trust.authorities,
        certificate=(other / "client.pem").read_bytes(),
        key=(other / "client.key").read_bytes(),
    )
    assert "does not take the certificate" in refusal(server, stranger).message
    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"https://{server.server.http_address}/livez", verify=context, timeout=60)
    context.load_cert_chain(certs / "client.pem", certs / "client.key")
    assert (
        httpx.get(f"https://{server.server.http_address}/livez", verify=context, timeout=60).status_code
        == 200
    )


def test_a_callers_certificate_that_has_run_out_is_refused(start_server, files, certs, trust, tmp_path):
    """S12. Though it is of the right authority; and of another's key nothing is believed at all."""
    server = start_server(
        tls=TlsFiles(certificate=files.certificate, key=files.key, client_authorities=certs / "ca.pem")
    )
    shutil.copytree(certs, tmp_path / "earlier")
    earlier = make_certificates(tmp_path / "earlier", [], 0).folder
    expired = read_trust(certs / "ca.pem", earlier / "client.pem", earlier / "client.key")
    found = refusal(server, expired)
    assert "does not take the certificate" in found.message
    assert "run out" in found.hint
    assert ask(server, read_trust(certs / "ca.pem", certs / "client.pem", certs / "client.key")) == "admin"


def test_renewed_certificates_are_in_force_without_a_restart(start_server, files, certs, trust, monkeypatch):
    monkeypatch.setattr("hippo_server.tls.LOOK_SECONDS", 0.05)
    server = start_server(tls=files)
    early = server.connect(trust=trust)
    before = serial(server, certs)
    assert make_certificates(certs, ["renewed.example.org"], 30).new_authority is False
    until(lambda: serial(server, certs) != before, "the new certificate, over HTTP")
    assert ask(server, trust) == "admin", "the authority is the same"
    shown = ssl.get_server_certificate(tuple(server.address.rsplit(":", 1)), ca_certs=str(certs / "ca.pem"))
    assert shown.strip() == (certs / "server.pem").read_text().strip(), "and over gRPC"
    assert early.admin.GetServer(admin_pb2.GetServerRequest()).user == "admin", "nobody was cut off"


def shown(certificates, trust):
    """The number of the certificate that a connection is shown which begins now, without any network."""
    context = ssl.create_default_context(cadata=trust.authorities.decode())
    to_server, to_caller = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = context.wrap_bio(to_caller, to_server, server_hostname="head.example.org")
    server = certificates.context.wrap_bio(to_server, to_caller, server_side=True)
    for side in (caller, server, caller, server):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return caller.getpeercert()["serialNumber"]


def test_what_does_not_fit_does_not_replace_what_does(files, certs, trust):
    certificates = Certificates(files)
    names, number = certificates.names, shown(certificates, trust)
    key = files.key.read_bytes()
    make_certificates(certs, ["renewed.example.org"], 30)
    renewed = files.certificate.read_bytes(), files.key.read_bytes()
    files.key.write_bytes(key)
    certificates.look()
    assert (certificates.names, shown(certificates, trust)) == (names, number), "a key of another"
    files.certificate.write_text("no certificate")
    certificates.look()
    assert (certificates.names, shown(certificates, trust)) == (names, number), "nothing of the kind"
    files.certificate.write_bytes(renewed[0])
    files.key.write_bytes(renewed[1])
    certificates.look()
    assert certificates.names > {"renewed.example.org"}


def test_who_comes_while_certificates_are_exchanged_is_served(files, certs, trust, monkeypatch):
    """1. A look has taken the new certificate, and not yet its key. 2. A connection begins: it is shown the old one."""
    certificates = Certificates(files)
    before = shown(certificates, trust)
    make_certificates(certs, ["head.example.org"], 30)
    other = make_certificates(certs.with_name("other"), [], 30).folder / "server.key"
    load, meanwhile = ssl.SSLContext.load_cert_chain, []

    def slowly(context, certificate, key):
        with pytest.raises(ssl.SSLError):
            load(context, certificate, other)
        meanwhile.append(shown(certificates, trust))
        load(context, certificate, key)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", slowly)
    certificates.look()
    assert meanwhile == [before]
    assert shown(certificates, trust) != before


def test_a_session_does_not_outlive_the_authority_that_it_was_begun_with(files, certs):
    """1. A caller is believed. 2. Its authority is taken back. 3. It wants to go on with the session that it has.

    TLS 1.2 would let it, and is not spoken with callers that show certificates.
    """
    asked = certs / "callers.pem"
    shutil.copy(certs / "ca.pem", asked)
    certificates = Certificates(
        TlsFiles(certificate=files.certificate, key=files.key, client_authorities=asked)
    )
    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    context.load_cert_chain(certs / "client.pem", certs / "client.key")

    def connect(session):
        to_server, to_caller = ssl.MemoryBIO(), ssl.MemoryBIO()
        caller = context.wrap_bio(to_caller, to_server, server_hostname="head.example.org", session=session)
        server = certificates.context.wrap_bio(to_server, to_caller, server_side=True)
        for side in (caller, server, caller, server, caller):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
        server.write(b"-")
        assert caller.read(1) == b"-"
        return caller.session

    session = connect(None)
    shutil.copy(make_certificates(certs.with_name("other"), [], 30).folder / "ca.pem", asked)
    certificates.look()
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        connect(session)
    shutil.copy(certs / "ca.pem", asked)
    certificates.look()
    connect(session)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL"):
        connect(None)
