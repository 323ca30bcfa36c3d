"""S05. Texts that would be paths elsewhere, in every call that takes one: nothing outside the server's home is opened.

What is opened is told by the interpreter itself, through its audit hook.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import httpx
from google.protobuf import descriptor, message_factory

from tests.integration.server.test_roles import EXPECTED, METHODS
from tests.security.test_calls import bearer, call

DEPTHS = ("../", "../" * 3, "../" * 20)
TEXTS = [
    *(f"{dots}{target}" for dots in DEPTHS for target in ("canary", "etc/passwd", "outside/canary")),
    *(f"{dots}canary" for dots in ("..\\", "..\\..\\", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%252f", "%c0%ae%c0%ae/")),
    *(f"{dots}/canary" for dots in ("\u2024\u2024", "\uff0e\uff0e", "․․", "‥", "．．", "\u202e..", "..\u200b")),
    "/etc/passwd", "//etc/passwd", "/proc/self/environ", "/proc/self/fd/0", "/dev/zero", "/dev/stdin",
    "file:///etc/passwd", "file://../canary", "file:..%2fcanary", "s3://canary/key", "memory://canary",
    "http://127.0.0.1/canary", "jar:file:///canary!/x",
    "\\\\host\\share\\canary", "\\\\?\\C:\\canary", "C:\\canary", "C:canary", "CON", "nul.txt",
    "a/../../canary", "a/./../../canary", "./../canary", "..", ".", "...", "../", "~/canary", "~root/canary",
    "canary#/../..", "canary?/../..", "#../canary", "?x=../canary", "..;/canary", "../canary\0.json", "\0", "canary\0",
    "../canary\n", "$HOME/canary", "`cat canary`", "$(cat canary)", "| cat canary", "-rf", "--version",
    "a" * 4096, "../" * 1365, "{0.__class__}", "%s%n%x", "*", "[a-z]*",
]  # fmt: skip

_opened: list[str] | None = None


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    heard = _opened  # which another thread may end meanwhile
    if heard is not None and event in {
        "open",
        "os.listdir",
        "os.scandir",
        "os.remove",
        "os.rename",
        "shutil.rmtree",
    }:
        path = arguments[0]
        if isinstance(path, str | bytes | os.PathLike):
            heard.append(os.fsdecode(path))


@contextmanager
def opened() -> Iterator[list[str]]:
    """The paths that this process opens meanwhile, in whatever thread."""
    global _opened
    if not getattr(sys, "_hippo_hears_paths", False):
        sys.addaudithook(_hear)  # it stays for as long as the process lives
        sys._hippo_hears_paths = True  # type: ignore[attr-defined]
    _opened = []
    try:
        yield _opened
    finally:
        _opened = None


def filled(kind: descriptor.Descriptor, text: str) -> bytes:
    """A message with the text in every field that takes one."""
    message = message_factory.GetMessageClass(kind)()
    for field in kind.fields:
        if field.type == field.TYPE_STRING and field.name != "request_id":
            if field.is_repeated:
                getattr(message, field.name).append(text)
            else:
                setattr(message, field.name, text)
    return message.SerializeToString()


def _sendable(text: str) -> bytes:
    """As a request's target can hold it: only what it cannot hold at all is written as percent codes."""
    return b"".join(bytes([byte]) if 0x20 < byte < 0x7F else b"%%%02x" % byte for byte in text.encode())


def test_there_are_enough_texts() -> None:
    assert len(set(TEXTS)) >= 60


def test_no_text_in_a_call_is_a_path(server, client, tmp_path: Path) -> None:
    """Every method with every text; and every text as a page."""
    (tmp_path / "outside").mkdir()
    for canary in (tmp_path / "canary", tmp_path / "outside" / "canary"):
        canary.write_text("canary")
    home = server.settings.home
    tokens = {role: bearer(server.token(role)) for role in ("admin", "worker", "join")}
    server.new_token("last", "viewer")
    fine = {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.ALREADY_EXISTS,
    }
    with (
        opened() as paths,
        grpc.insecure_channel(server.address) as channel,
        httpx.Client(timeout=60) as http,
    ):
        for path, roles in EXPECTED.items():
            if roles is None or not path.startswith("/hippo."):
                continue
            role = next(role for role in tokens if role in roles)
            for text in TEXTS:
                refused = call(channel, path, filled(METHODS[path].input_type, text), tokens[role])
                assert refused is None or refused.code() in fine, (path, text, refused)
        for text in TEXTS:
            request = http.build_request("GET", server.url)
            request.extensions = {"target": b"/" + _sendable(text)}
            assert http.send(request).status_code in {400, 401, 404, 421}, text
    found = {os.path.realpath(path) for path in paths if "\0" not in path}
    inside = os.path.realpath(home) + os.sep
    assert not [path for path in found if "canary" in Path(path).name or path.startswith(("/etc/", "/dev/"))]
    assert not [
        path
        for path in found
        if path.startswith(os.path.realpath(tmp_path) + os.sep) and not (path + os.sep).startswith(inside)
    ]
    assert any(path.startswith(inside) for path in found), "the hook hears"
    assert {path.name for path in tmp_path.iterdir()} == {"canary", "outside", "home"}
