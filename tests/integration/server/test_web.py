"""HTTP: every path times every method times every token; foreign hosts; what readiness and metrics say."""

from __future__ import annotations

import contextlib
import socket
import threading

import httpx
import pytest

from hippo_core.errors import Unavailable
from hippo_server.audit import Audit
from hippo_server.web.answering import HEADERS
from hippo_server.web.app import make_pages
from hippo_server.web.calls import Calls
from hippo_server.web.site import Site
from hippo_wire.v1 import admin_pb2
from tests.integration.server.conftest import submit
from tests.integration.server.test_work import ended
from tests.integration.server.worker import Worker, working
from tests.waiting import until

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ROLES = ("viewer", "editor", "admin", "worker", "join")
EVERYBODY = {"viewer", "editor", "admin", "worker"}
VIEWERS = {"viewer", "editor", "admin"}
EDITORS = {"editor", "admin"}
TRIAL = "/studies/{study}/trials/{trial}"
#: Path and method to those who are let in; None: also strangers. HEAD goes with GET. What is not here does not exist.
EXPECTED = {
    ("/livez", "GET"): None,
    ("/readyz", "GET"): None,
    ("/metrics", "GET"): EVERYBODY,
    ("/static/{digest}/{path:path}", "GET"): None,
    ("/login", "GET"): None,
    ("/login", "POST"): None,
    ("/logout", "POST"): VIEWERS,
    ("/live", "GET"): VIEWERS,
    ("/", "GET"): VIEWERS,
    ("/studies/{study}", "GET"): VIEWERS,
    ("/workers", "GET"): VIEWERS,
    ("/queue", "GET"): VIEWERS,
    ("/tokens", "GET"): {"admin"},
    ("/audit", "GET"): {"admin"},
    **{
        (f"/studies/{{study}}/{tab}", "GET"): VIEWERS
        for tab in ("trials", "trials.csv", "tree", "charts", "charts.svg", "configuration", "events")
    },
    **{
        (f"/studies/{{study}}/{verb}", "POST"): EDITORS
        for verb in ("pause", "resume", "stop", "extend", "retry")
    },
    **{(f"/studies/{{study}}/{verb}", "GET"): EDITORS for verb in ("stop", "extend")},
    (TRIAL, "GET"): VIEWERS,
    (f"{TRIAL}/log", "GET"): VIEWERS,
    **{(f"{TRIAL}/{verb}", "POST"): EDITORS for verb in ("stop", "extend", "retry", "fork", "pin", "unpin")},
    **{(f"{TRIAL}/{verb}", "GET"): EDITORS for verb in ("stop", "extend", "fork")},
    **{(f"/workers/{{worker}}/{verb}", "POST"): {"admin"} for verb in ("drain", "cordon", "uncordon")},
    **{(f"/workers/{{worker}}/{verb}", "GET"): {"admin"} for verb in ("drain", "cordon")},
    ("/tokens/{name}/revoke", "GET"): {"admin"},
    ("/tokens/{name}/revoke", "POST"): {"admin"},
    ("/api/studies", "GET"): VIEWERS,
    ("/api/studies/{study}", "GET"): VIEWERS,
    **{
        (f"/api/studies/{{study}}/{part}", "GET"): VIEWERS
        for part in ("trials", "trials/{trial}", "tree", "events")
    },
    ("/api/workers", "GET"): VIEWERS,
}
ELSEWHERE = ("/docs", "/metrics/", "//metrics", "/%2e%2e/livez", "/METRICS", "/static", "/studies/a/b/c/d")
REFUSED = (401, 403, 405)


def refusal(path, method, role):
    """How a request is refused; None: it is let in, and answered by the page, be it that what is asked is not there."""
    if path in ELSEWHERE:
        return 404
    roles = EXPECTED.get((path, "GET" if method == "HEAD" else method), "none")
    if roles == "none":
        return 405
    if roles is None or role in roles:
        return None
    return 403 if role in ROLES else 401


def test_the_table_names_exactly_the_pages_that_exist(server):
    """S01. A new page has to be put into this table too."""
    driver = server.server.driver
    pages = make_pages(Site(driver, Calls(driver, Audit(lambda calls: None))))
    assert {(page.path, method): page.roles[method] for page in pages for method in page.roles} == EXPECTED


def test_every_route_lets_in_those_of_the_table_and_nobody_else(server):
    """S01. Every path times every method times every token."""
    tokens = {role: server.token(role) for role in ROLES} | {"none": None, "wrong": "hippo_wrong"}
    server.new_token("last", "viewer")  # the server's book is as the database is
    with httpx.Client(timeout=60) as http:
        for path in (*dict.fromkeys(path for path, _ in EXPECTED), *ELSEWHERE):
            for method in METHODS:
                for role, token in tokens.items():
                    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
                    if path == "/live" and refusal(path, method, role) is None:
                        continue  # it has no end; tests of its own listen to it
                    if (path, method) == ("/login", "POST"):
                        continue  # a link is what counts there; tests of its own log in
                    answer = http.request(method, server.url + path, headers=headers)
                    expected = refusal(path, method, role)
                    if expected is None:
                        assert answer.status_code not in REFUSED, (path, method, role)
                        assert answer.status_code < 500, (path, method, role)
                    else:
                        assert answer.status_code == expected, (path, method, role)
                    for name, value in HEADERS.items():
                        if expected is not None:
                            assert answer.headers[name] == value, (path, method, role)
                        assert name in answer.headers, (path, method, role)


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "127.0.0.1.evil.test",
        "localhost.evil.test:80",
        "evil.test#localhost",
        "[::2]:1",
        "0.0.0.0",
    ],
)
def test_a_foreign_host_is_refused(server, host):
    """S03. A browser that was tricked into asking sends the name that it was tricked with."""
    for path in ("/livez", "/metrics", "/"):
        assert httpx.get(server.url + path, headers={"Host": host}, timeout=60).status_code == 421


@pytest.mark.parametrize("hosts", [[], [""], ["localhost", "localhost"], ["localhost", "evil.test"]])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_request_names_one_host(server, hosts, version):
    """S03. None, an empty one, and two are refused, though one of them be right."""
    lines = [f"GET /livez HTTP/{version}", *(f"Host: {host}" for host in hosts), "Connection: close", "", ""]
    answer = spoken(server, "\r\n".join(lines).encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"content-security-policy: default-src 'none'" in answer.lower()


def spoken(server, data: bytes) -> bytes:
    """What the server says to these bytes until it closes the connection."""
    host, port = server.server.http_address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(data)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


def test_what_is_no_http_and_heads_that_are_too_large_are_refused(server):
    """B26. The connection is closed, and the server goes on."""
    large = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (1 << 20)
    for data in (b"nonsense\r\n\r\n", b"\x16\x03\x01" * 100 + b"\r\n\r\n"):
        assert spoken(server, data).startswith(b"HTTP/1.1 400 ")
    with contextlib.suppress(ConnectionError):  # it is closed while the rest is on its way
        assert spoken(server, large).startswith(b"HTTP/1.1 400 ")
    assert httpx.get(server.url + "/livez", timeout=60).status_code == 200


def test_a_refusal_for_who_asked_is_in_the_audit_log(server, client):
    join = {"Authorization": f"Bearer {server.token('join')}"}
    assert httpx.get(server.url + "/metrics", headers=join, timeout=60).status_code == 403
    assert httpx.get(server.url + "/metrics", timeout=60).status_code == 401
    request = admin_pb2.ListCallsRequest(denied=True)
    until(lambda: len(client.admin.ListCalls(request).calls) == 2, "both refusals")
    found = [(each.actor, each.method, each.result) for each in client.admin.ListCalls(request).calls]
    assert found == [("", "GET /metrics", "UNAUTHENTICATED"), ("join", "GET /metrics", "NOT_ALLOWED")]


@pytest.mark.parametrize("host", ["localhost", "localhost:1234", "127.0.0.1:80", "[::1]:80"])
def test_names_of_this_machine_are_its_own(server, host):
    assert httpx.get(server.url + "/livez", headers={"Host": host}, timeout=60).status_code == 200


def test_readiness_tells_why_not(server):
    """While the database is away the server lives, is not ready, and says why; then all is well again."""
    fine = dict.fromkeys(("database", "migrations", "leader", "storage"), "ok")
    assert httpx.get(server.url + "/readyz", timeout=60).json() == {
        "ready": True,
        "reasons": [],
        "checks": fine,
    }
    driver = server.server.driver

    away = threading.Event()

    def ensure() -> None:
        if away.is_set():
            raise Unavailable("no database there.", "Free space.")

    driver._database.ensure = ensure
    driver._database.running = lambda: not away.is_set()
    away.set()
    until(lambda: "no database there" in driver.not_ready, "the end of the term, and why none begins")
    answer = httpx.get(server.url + "/readyz", timeout=60)
    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert "no database there. Free space" in answer.json()["reasons"][0], "with the remedy"
    checks = answer.json()["checks"]
    assert "no database there" in checks["database"]
    assert "no database there" in checks["leader"]
    assert {part: checks[part] for part in ("migrations", "storage")} == {"migrations": "ok", "storage": "ok"}
    assert httpx.get(server.url + "/livez", timeout=60).status_code == 200
    token = {"Authorization": f"Bearer {server.token('admin')}"}
    assert "hippo_scheduler_leader 0.0" in httpx.get(server.url + "/metrics", headers=token, timeout=60).text
    away.clear()
    until(lambda: httpx.get(server.url + "/readyz", timeout=60).status_code == 200, "a ready server")
    assert "hippo_rebuilds_total 1.0" in httpx.get(server.url + "/metrics", headers=token, timeout=60).text


def test_metrics_count_what_happened(server, client):
    submit(client)
    worker = Worker(server.connect(server.token("worker")), slots=2)
    with working(worker) as stream:
        worker.work(lambda: ended(client) and worker.settled(), stream)
        token = {"Authorization": f"Bearer {server.token('viewer')}"}
        text = httpx.get(server.url + "/metrics", headers=token, timeout=60).text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values["hippo_steps_trained_total"] == "12.0"
    granted = values['hippo_events_total{event="LeaseGranted"}']
    assert values["hippo_stage_wait_seconds_count"] == granted != "0.0"
    assert values['hippo_studies{state="completed"}'] == "1.0"
    assert values['hippo_trials{state="completed"}'] == "4.0"
    assert values['hippo_slots{state="idle"}'] == "2.0"
    assert values["hippo_scheduler_leader"] == "1.0"
    assert values['hippo_rpc_duration_seconds_count{code="OK",method="SubmitStudy"}'] == "1.0"
    assert float(values["hippo_db_commit_duration_seconds_count"]) > 0
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert all(name.startswith(("hippo_", "process_")) for name in names)
