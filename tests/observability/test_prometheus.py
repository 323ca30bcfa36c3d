"""A real Prometheus scrapes a real server and worker, with certificates and tokens; an alert fires, and clears."""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml

from hippo_client.certificates import make_certificates
from hippo_core.errors import Unavailable
from hippo_server.tls import TlsFiles
from hippo_wire.tls import read_trust
from tests.integration.server.conftest import submit, upload
from tests.integration.server.test_work import ended
from tests.integration.server.worker import Worker, working
from tests.observability.test_alerts import RULES, alerts
from tests.observability.test_dashboard import expressions
from tests.waiting import until

ALERT = "HippoDatabaseUnavailable"


@contextlib.contextmanager
def running(command: list[str], said: Path, variables: dict[str, str]) -> Iterator[None]:
    """A program that says what it has to say into a file."""
    with said.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, **variables})
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()


def found(said: Path, pattern: str) -> str:
    """What a program says of itself."""

    def look() -> str | None:
        match = re.search(pattern, said.read_text())
        return None if match is None else match.group(1)

    return until(look, f"{pattern} in {said.name}") or ""


class Pool:
    """A server and a worker that are scraped by Prometheus."""

    def __init__(self, url: str, targets: dict[str, tuple[str, str]], certs: Path) -> None:
        self.targets = targets  #: by job: address and token
        self._url = url
        self._context = ssl.create_default_context(cafile=str(certs / "ca.pem"))

    def ask(self, path: str, **parameters: str) -> Any:
        """What Prometheus answers."""
        answer = httpx.get(f"{self._url}/api/v1/{path}", params=parameters, timeout=60).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def value(self, expression: str) -> float | None:
        """The only sample of an expression."""
        samples = self.ask("query", query=expression)["result"]
        assert len(samples) <= 1
        return float(samples[0]["value"][1]) if samples else None

    def scrape(self, job: str) -> str:
        """The page that Prometheus reads."""
        address, token = self.targets[job]
        url, headers = f"https://{address}/metrics", {"Authorization": f"Bearer {token}"}
        answer = httpx.get(url, headers=headers, verify=self._context, timeout=60)
        assert answer.status_code == 200
        return answer.text


def configuration(folder: Path, targets: dict[str, tuple[str, str]], ca: Path) -> Path:
    """As in deploy/prometheus, hurried, and with a job that has no token."""
    rules = yaml.safe_load(RULES.read_text())
    for rule in rules["groups"][0]["rules"]:
        rule["for"] = "0s"
    (folder / "alerts.yaml").write_text(yaml.safe_dump(rules))
    scraped = yaml.safe_load((RULES.parent / "prometheus.yaml").read_text())
    scraped["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in scraped["scrape_configs"]:
        address, token = targets[job["job_name"]]
        (folder / f"{job['job_name']}.token").write_text(token)
        job["authorization"]["credentials_file"] = str(folder / f"{job['job_name']}.token")
        job["tls_config"]["ca_file"] = str(ca)
        job["static_configs"] = [{"targets": [address]}]
    stranger = {**scraped["scrape_configs"][0], "job_name": "stranger"}
    del stranger["authorization"]
    scraped["scrape_configs"].append(stranger)
    file = folder / "prometheus.yaml"
    file.write_text(yaml.safe_dump(scraped))
    return file


def test_prometheus_scrapes_both_and_an_alert_fires_and_clears(
    start_server: Any, tmp_path: Path, prometheus: str, promtool: str
) -> None:
    """1. A study is trained. 2. Prometheus scrapes server and worker by TLS, and nobody without a token. 3. promtool
    finds nothing to say against either page. 4. Each expression of dashboard and alerts is answered. 5. The database
    goes, an alert fires; it comes back, the alert clears.
    """
    certs = make_certificates(tmp_path / "certs", ["localhost", "127.0.0.1"], 30).folder
    keys = certs / "server.pem", certs / "server.key"
    server = start_server(tls=TlsFiles(certificate=keys[0], key=keys[1]))
    trust = read_trust(certs / "ca.pem", None, None)
    client = server.connect(trust=trust)
    upload(client)
    submit(client)
    trainer = Worker(server.connect(server.token("worker"), trust), name="scripted")
    with working(trainer) as stream:
        trainer.work(lambda: ended(client) and trainer.settled(), stream)
    data = tmp_path / "worker"
    command = [
        sys.executable,
        "-m",
        "hippo_worker.main",
        "--server",
        server.address,
        "--ca",
        str(certs / "ca.pem"),
    ]
    shown = [
        "--metrics-address",
        "127.0.0.1:0",
        "--metrics-cert",
        str(keys[0]),
        "--metrics-key",
        str(keys[1]),
    ]
    about = ["--name", "w", "--slots", "1", "--data-dir", str(data)]
    variables = {"HIPPO_TOKEN": server.token("worker"), "CUDA_VISIBLE_DEVICES": ""}
    with contextlib.ExitStack() as stack:
        stack.enter_context(running([*command, *shown, *about], tmp_path / "worker.log", variables))
        port = found(tmp_path / "worker.log", r'"status_page".*"port": (\d+)')
        targets = {
            "hippo-server": (server.server.http_address, server.token("viewer")),
            "hippo-worker": (f"127.0.0.1:{port}", (data / "metrics.token").read_text().strip()),
        }
        file = configuration(tmp_path, targets, certs / "ca.pem")
        watching = [
            prometheus,
            f"--config.file={file}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            "--web.listen-address=127.0.0.1:0",
        ]
        stack.enter_context(running(watching, tmp_path / "prometheus.log", {}))
        address = found(tmp_path / "prometheus.log", r'Listening on" address=(\S+)')
        found(tmp_path / "prometheus.log", "(Server is ready to receive web requests)")
        pool = Pool(f"http://{address}", targets, certs)
        expect_both_scraped(pool)
        for job in targets:
            expect_nothing_to_say(promtool, pool.scrape(job))
        for expression in (*expressions(), *(alert["expr"] for alert in alerts())):
            pool.ask("query", query=expression.replace("$__rate_interval", "1m"))
        expect_alert_fires_and_clears(pool, server.server.driver)


def expect_both_scraped(pool: Pool) -> None:
    for job in pool.targets:
        until(lambda job=job: pool.value(f'up{{job="{job}"}}') == 1.0, f"{job} is scraped")
    until(lambda: pool.value("hippo_steps_trained_total") == 12.0, "what was trained")
    until(lambda: pool.value("hippo_worker_connected") == 1.0, "the worker, who has found the server")

    def refused() -> bool:
        targets = pool.ask("targets")["activeTargets"]
        return any(each["labels"]["job"] == "stranger" and "401" in each["lastError"] for each in targets)

    until(refused, "who has no token, and is refused")


def expect_nothing_to_say(promtool: str, page: str) -> None:
    done = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def expect_alert_fires_and_clears(pool: Pool, driver: Any) -> None:
    away = threading.Event()

    def ensure() -> None:
        if away.is_set():
            raise Unavailable("no database there.", "Wait.")

    def states() -> list[str]:
        return [
            each["state"] for each in pool.ask("alerts")["alerts"] if each["labels"]["alertname"] == ALERT
        ]

    assert states() == []
    driver._database.ensure, driver._database.running = ensure, lambda: not away.is_set()
    away.set()
    until(lambda: states() == ["firing"], f"{ALERT} fires")
    away.clear()
    until(lambda: states() == [], f"{ALERT} clears")
