"""The worker's page: metrics for whoever has the token, whether it lives and is ready for all."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from hippo_client.certificates import make_certificates
from hippo_core.errors import InvalidStudy
from hippo_worker.metrics import Glance, WorkerMetrics
from hippo_worker.settings import PageSettings, parse_address
from hippo_worker.status_page import StatusPage


async def asked(port: int, *lines: str, ssl: Any = None) -> tuple[int, str]:
    """What is answered to a request's head: the status, and all the rest."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=ssl)
    writer.write("\r\n".join([*lines, "", ""]).encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return int(answer.split(" ")[1]), answer


def page_in(folder: Path, reasons: dict[str, str], **settings: Any) -> StatusPage:
    metrics = WorkerMetrics()
    metrics.runner_died("memory")
    glance = Glance(
        connected=True,
        draining=False,
        slots=("training", "training", "broken"),
        leases=2,
        unacknowledged=1,
        cache_bytes=3,
        cache_limit_bytes=4,
        folder=folder,
    )
    told = PageSettings(**{"host": "127.0.0.1", "port": 0, **settings})
    return StatusPage(told, folder, metrics, lambda: glance, lambda: reasons)


async def test_only_metrics_need_the_token(tmp_path: Path) -> None:
    """1. It is made, for its owner's eyes. 2. Without it, with another or with two nothing is shown."""
    reasons: dict[str, str] = {}
    page = page_in(tmp_path, reasons)
    port = await page.start()
    file = tmp_path / "metrics.token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = f"Authorization: Bearer {file.read_text().strip()}"
    for headers in (
        (),
        ("Authorization: Bearer hippo_x",),
        (token, token),
        (f"{token}x",),
        ("Authorization: ",),
    ):
        status, answer = await asked(port, "GET /metrics HTTP/1.1", "Host: w", *headers)
        assert status == 401
        assert "hippo_worker" not in answer
    status, answer = await asked(port, "GET /metrics HTTP/1.1", "Host: w", token)
    assert status == 200
    assert 'hippo_worker_slots{state="training"} 2.0' in answer
    assert 'hippo_worker_slots{state="idle"} 0.0' in answer
    assert 'hippo_worker_runner_deaths_total{reason_class="memory"} 1.0' in answer
    assert (await asked(port, "GET /livez HTTP/1.1"))[0] == 200
    assert '{"ready": true, "reasons": {}}' in (await asked(port, "GET /readyz HTTP/1.1"))[1]
    reasons["server"] = "the server is not reached"
    status, answer = await asked(port, "GET /readyz HTTP/1.1")
    assert status == 503
    assert '"reasons": {"server": "the server is not reached"}' in answer
    page.close()
    again = page_in(tmp_path, {})
    assert (await asked(await again.start(), "GET /metrics HTTP/1.1", token))[0] == 200, (
        "it is the same token"
    )
    again.close()


async def test_what_is_no_request_for_a_page_is_refused(tmp_path: Path) -> None:
    page = page_in(tmp_path, {})
    port = await page.start()
    assert (await asked(port, "GET / HTTP/1.1"))[0] == 404
    assert (await asked(port, "POST /metrics HTTP/1.1"))[0] == 405
    assert (await asked(port, "nonsense"))[0] == 405
    status, answer = await asked(port, "HEAD /livez HTTP/1.1")
    assert status == 200
    assert answer.endswith("\r\n\r\n")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /livez HTTP/1.1\r\n" + b"X: x\r\n" * 10_000)
    assert await reader.read() == b"", "a head that is too large is not answered"
    writer.close()
    assert (await asked(port, "GET /livez HTTP/1.1"))[0] == 200
    page.close()


async def test_a_page_for_other_machines_is_encrypted(tmp_path: Path) -> None:
    certs = make_certificates(tmp_path / "certs", ["127.0.0.1"], 30).folder
    keys = {"certificate": certs / "server.pem", "key": certs / "server.key"}
    page = page_in(tmp_path, {}, host="0.0.0.0", **keys)
    port = await page.start()
    import ssl

    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    assert (await asked(port, "GET /livez HTTP/1.1", ssl=context))[0] == 200
    page.close()
    with pytest.raises(InvalidStudy, match=r"metrics-address: '0\.0\.0\.0' can be reached"):
        PageSettings(host="0.0.0.0", port=0)
    with pytest.raises(InvalidStudy, match="metrics-key"):
        PageSettings(host="127.0.0.1", port=0, certificate=certs / "server.pem")


def test_addresses() -> None:
    assert parse_address("[::1]:7442") == ("::1", 7442)
    assert parse_address("gpu1:7442") == ("gpu1", 7442)
    for text in ("", "7442", ":7442", "gpu1:", "gpu1:x", "gpu1:65536"):
        with pytest.raises(InvalidStudy, match="metrics-address"):
            parse_address(text)
