"""The page's own files: styles, modules and what others made, read once.

Their addresses hold a digest of all of them, so that browsers keep them for good, and ask for others once one has
changed. It stands before the names: what a module imports by its neighbour's name has it, too.
"""

from __future__ import annotations

import functools
import hashlib
import mimetypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from hippo_core.errors import NotFound
from hippo_server.web.content_policy import POLICY
from hippo_server.web.page import Page

KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}
HEADERS: Mapping[str, str] = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Content-Security-Policy": POLICY,
}


@dataclass(frozen=True, slots=True)
class _Files:
    digest: str
    contents: Mapping[str, bytes]


def address(name: str) -> str:
    """Where a file is, as ``style.css``."""
    return f"/static/{_all_files().digest}/{name}"


def pages() -> tuple[Page, ...]:
    """The page of files, which show no data: everybody may have them, as often as they like."""
    files = _all_files()

    async def answer(request: Request) -> Response:
        parts = request.path_params
        found = files.contents.get(parts["path"]) if parts["digest"] == files.digest else None
        if found is None:
            raise NotFound("there is no such file.")
        return Response(found, headers={**HEADERS, "Content-Type": _kind(parts["path"])})

    return (Page(path="/static/{digest}/{path:path}", roles={"GET": None}, answer=answer, counted=False),)


@functools.cache
def _all_files() -> _Files:
    contents = dict(_files(resources.files("hippo_server.web") / "static", ""))
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(b"%s\0%d\0%s" % (name.encode(), len(content), content))
    return _Files(digest.hexdigest()[:16], contents)


def _files(folder: Traversable, above: str) -> Iterator[tuple[str, bytes]]:
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        if each.is_dir():
            yield from _files(each, f"{above}{each.name}/")
        else:
            yield above + each.name, each.read_bytes()


def _kind(name: str) -> str:
    ending = name[name.rfind(".") :]
    kind = KINDS.get(ending) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8"
