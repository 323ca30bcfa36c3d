"""Logs: what stands on a line, for programs and for people, and what never does."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from hippo_wire.observing.logs import bind, bound, log_to, unbound
from hippo_wire.secrets import new_secret

log = logging.getLogger("hippo_server.tests")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_off_a_terminal_each_event_is_a_line_of_json() -> None:
    stream = io.StringIO()
    log_to(stream, "auto", worker="gpu7")
    log.info("lease_granted", extra={"fence": 7, "why": "a\nb ü"})
    log.debug("nobody_hears_of_it")
    (line,) = lines(stream)
    assert line.pop("ts")[-5:-4] == "."
    assert line == {
        "level": "info",
        "event": "lease_granted",
        "logger": "hippo_server.tests",
        "worker": "gpu7",
        "fence": 7,
        "why": "a\nb ü",
    }


def test_an_error_brings_its_trace_on_the_same_line() -> None:
    stream = io.StringIO()
    log_to(stream, "json")
    try:
        raise ValueError("no\nvalue")
    except ValueError:
        log.exception("call_failed")
    (line,) = lines(stream)
    assert line["level"] == "error"
    assert line["traceback"].endswith("ValueError: no\nvalue")


async def test_what_a_task_is_about_is_on_its_lines_and_on_no_others() -> None:
    """1. Two tasks bind ids of their own, and one begins another. 2. A field of the line goes before."""
    stream = io.StringIO()
    log_to(stream, "json")

    async def inner() -> None:
        log.info("inner")

    async def of_all() -> None:
        log.info("of_all")

    async def about(request: str) -> None:
        bind(request_id=request, user=None)
        await asyncio.sleep(0)
        with bound(fence=7):
            await asyncio.create_task(inner())
            await asyncio.create_task(of_all(), context=unbound())
        log.info("after", extra={"request_id": "its own"})

    await asyncio.gather(about("r1"), about("r2"))
    log.info("outside")
    found = [(line["event"], line.get("request_id"), line.get("fence")) for line in lines(stream)]
    assert sorted(found[:6], key=str) == [
        ("after", "its own", None),
        ("after", "its own", None),
        ("inner", "r1", 7),
        ("inner", "r2", 7),
        ("of_all", None, None),
        ("of_all", None, None),
    ]
    assert found[6] == ("outside", None, None)
    assert all("user" not in line for line in lines(stream))


@pytest.mark.parametrize("form", ["json", "text"])
def test_secrets_are_asterisks_wherever_they_stand(form: Any) -> None:
    stream = io.StringIO()
    secret = new_secret()
    log_to(stream, form)
    with bound(said=f"Bearer {secret}"):
        try:
            raise ValueError(f"postgresql://hippo:pass-word@db/hippo and {secret}")
        except ValueError:
            log.exception("token %s", secret, extra={"url": "postgresql://u:pass-word@db"})
    assert secret not in stream.getvalue()
    assert "pass-word" not in stream.getvalue()
    assert "postgresql://hippo:***@db/hippo" in stream.getvalue()


@pytest.mark.parametrize(("form", "stream"), [("auto", Terminal()), ("text", io.StringIO())])
def test_at_a_terminal_people_read(form: Any, stream: io.StringIO) -> None:
    log_to(stream, form, worker="gpu7")
    log.info("registered", extra={"term": 3, "why": "two words", "none": ""})
    log.warning("draining")
    first, second = stream.getvalue().splitlines()
    assert first[8:] == ' registered term=3 why="two words" none=""'
    assert second[8:] == " warning: draining"
