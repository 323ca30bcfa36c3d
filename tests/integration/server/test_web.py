"""HTTP: every path times every method times every token; foreign hosts; what readiness and metrics say."""

from __future__ import annotations

import threading

import httpx
import pytest

from hippo_core.errors import Unavailable
from hippo_server.web.app import ROUTE_ROLES
from tests.integration.server.conftest import submit
from tests.integration.server.test_work import ended
from tests.integration.server.worker import Worker, working
from tests.waiting import until

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ROLES = ("viewer", "editor", "admin", "worker")
PATHS = ("/livez", "/readyz", "/metrics", "/", "/api", "/docs", "/metrics/", "//metrics", "/%2e%2e/livez")


def expected(path, method, role):
    if path not in {"/livez", "/readyz", "/metrics"}:
        return 404
    if method not in {"GET", "HEAD"}:
        return 405
    if path == "/metrics" and role not in ROLES:
        return 401
    return 200


def test_every_route_lets_in_those_of_the_table_and_nobody_else(server):
    """S01. A new route has to be put into this table too."""
    assert ROUTE_ROLES.keys() == {"/livez", "/readyz", "/metrics"}
    tokens = {role: server.token(role) for role in ROLES} | {"none": None, "wrong": "hippo_wrong"}
    server.new_token("last", "viewer")  # the server's book is as the database is
    with httpx.Client(base_url=server.url) as http:
        for path in PATHS:
            for method in METHODS:
                for role, token in tokens.items():
                    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
                    answer = http.request(method, path, headers=headers)
                    assert answer.status_code == expected(path, method, role), (path, method, role)
                    assert "default-src 'none'" in answer.headers["content-security-policy"]
                    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["evil.test", "127.0.0.1.evil.test", "localhost.evil.test:80", "[::2]:1", ""]
)
def test_a_foreign_host_is_refused(server, host):
    """S03. A browser that was tricked into asking sends the name that it was tricked with."""
    for path in PATHS:
        assert httpx.get(server.url + path, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:1234", "127.0.0.1:80", "[::1]:80"])
def test_names_of_this_machine_are_its_own(server, host):
    assert httpx.get(server.url + "/livez", headers={"Host": host}).status_code == 200


def test_readiness_tells_why_not(server):
    """While the database is away the server lives, is not ready, and says why; then all is well again."""
    assert httpx.get(server.url + "/readyz").json() == {"ready": True, "reasons": []}
    driver = server.server.driver

    away = threading.Event()

    def ensure() -> None:
        if away.is_set():
            raise Unavailable("no database there.", "Free space.")

    driver._database.ensure = ensure
    driver._database.running = lambda: not away.is_set()
    away.set()
    until(lambda: "no database there" in driver.not_ready, "the end of the term, and why none begins")
    answer = httpx.get(server.url + "/readyz")
    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert "no database there. Free space" in answer.json()["reasons"][0], "with the remedy"
    assert httpx.get(server.url + "/livez").status_code == 200
    token = {"Authorization": f"Bearer {server.token('admin')}"}
    assert "hippo_ready 0.0" in httpx.get(server.url + "/metrics", headers=token).text
    away.clear()
    until(lambda: httpx.get(server.url + "/readyz").status_code == 200, "a ready server")
    assert "hippo_rebuilds_total 1.0" in httpx.get(server.url + "/metrics", headers=token).text


def test_metrics_count_what_happened(server, client):
    submit(client)
    worker = Worker(server.connect(server.token("worker")), slots=2)
    with working(worker) as stream:
        worker.work(lambda: ended(client) and worker.settled(), stream)
        token = {"Authorization": f"Bearer {server.token('viewer')}"}
        text = httpx.get(server.url + "/metrics", headers=token).text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values["hippo_steps_trained_total"] == "12.0"
    assert values['hippo_studies{state="completed"}'] == "1.0"
    assert values['hippo_trials{state="completed"}'] == "4.0"
    assert values['hippo_slots{state="idle"}'] == "2.0"
    assert values["hippo_ready"] == "1.0"
    assert float(values['hippo_calls_total{code="OK",method="SubmitStudy"}']) == 1.0
    assert float(values["hippo_commit_seconds_count"]) > 0
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert all(name.startswith("hippo_") for name in names)
