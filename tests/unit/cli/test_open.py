"""``hippo open``: the link, and what of it the server is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from hippo_wire.secrets import secret_hash
from hippo_wire.v1 import admin_pb2
from tests.unit.cli.answers import Server


def test_open_prints_a_link_whose_secret_the_server_does_not_get(
    server: Server, text: Callable[..., str], result: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    answer = admin_pb2.CreateLoginLinkResponse(http_port=7441)
    answer.expire_time.FromDatetime(datetime(2026, 1, 1, tzinfo=UTC))
    server.answers["CreateLoginLink"] = answer
    link = urlsplit(text("open", "digits").strip())
    given = parse_qs(link.query)
    assert (link.scheme, link.port, link.path, given["to"]) == ("http", 7441, "/login", ["/studies/digits"])
    (request,) = [each for each in server.requests if isinstance(each, admin_pb2.CreateLoginLinkRequest)]
    assert request.secret_hash == secret_hash(given["link"][0])
    assert opened == []
    assert result("open")["expires_at"] == "2026-01-01T00:00:00+00:00"
    monkeypatch.setenv("DISPLAY", ":0")
    shown = text("open").strip()
    assert opened == [shown]
    text("open", "--print")
    assert opened == [shown]
