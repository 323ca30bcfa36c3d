"""Addresses of pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from starlette.requests import Request

from hippo_core.errors import NotFound


def segment(text: object) -> str:
    """Text as one segment of a path."""
    return quote(str(text), safe="")


def query(request: Request, **changes: object) -> str:
    """This page's address with other parameters; None removes one."""
    kept = [
        (name, value)
        for name, value in request.query_params.multi_items()
        if name not in changes and name not in ("fragment", "done")
    ]
    given = [(name, str(value)) for name, value in changes.items() if value is not None]
    return f"{request.url.path}?{urlencode([*kept, *given])}" if kept or given else request.url.path


def trial_number(parts: Mapping[str, Any]) -> int:
    """The number of the trial that a path names as ``{trial}``.

    Raises:
        NotFound: It is no number of a trial.
    """
    text = str(parts["trial"])
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise NotFound(f"there is no trial '{text[:40]}'.", "Trials are numbered from 0.")
    return int(text)


def own_path(text: str) -> str:
    """A path of this server's, with its query, to go on to; the start page where the text is none."""
    parts = urlsplit(text)
    is_own = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if is_own and not parts.scheme and not parts.netloc else "/"
