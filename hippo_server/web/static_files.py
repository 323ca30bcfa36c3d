"""The page's own files: styles, modules and what others made, read once and named by their content."""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from hippo_core.errors import NotFound
from hippo_server.web.gate import Page
from hippo_server.web.site import POLICY

KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    kind: str
    tag: str


def pages() -> tuple[Page, ...]:
    """The page of files, which show no data: everybody may have them."""
    files = dict(_files(resources.files("hippo_server.web") / "static", ""))

    async def answer(request: Request) -> Response:
        found = files.get(request.path_params["path"])
        if found is None:
            raise NotFound("there is no such file.")
        headers = {"ETag": found.tag, "Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
        if request.headers.get("if-none-match") == found.tag:
            return Response(status_code=304, headers=headers)
        return Response(found.content, headers={**headers, "Content-Type": found.kind})

    return (Page(path="/static/{path:path}", roles={"GET": None}, answer=answer),)


def _files(folder: Traversable, above: str) -> list[tuple[str, _File]]:
    found = []
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        if each.is_dir():
            found += _files(each, f"{above}{each.name}/")
            continue
        ending = each.name[each.name.rfind(".") :]
        kind = KINDS.get(ending) or mimetypes.guess_type(each.name)[0] or "application/octet-stream"
        content = each.read_bytes()
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        found.append((above + each.name, _File(content, f"{kind}; charset=utf-8", tag)))
    return found
