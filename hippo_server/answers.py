"""Answers to requests that carry an id: the first one is kept, and given again to a repeat."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hippo_core.errors import Conflict, InvalidStudy
from hippo_server.auth.tokens import Identity
from hippo_server.store import RequestAnswer

#: The database forgets after a day; memory remembers a little longer, so that no id is new before it is forgotten.
KEPT_SECONDS = 25 * 3600.0
LONGEST_ID = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which request it is: its id, and what tells it from another one with the same id."""

    request_id: str
    method: str
    digest: str


def asked(method: str, request: Any, who: Identity) -> Asked:
    """What a message with a ``request_id`` asks, and on whose behalf.

    Raises:
        InvalidStudy: The id is missing, or too long.
    """
    require_request_id(request)
    content = hashlib.sha256(f"{who.project}\0{who.user}\0".encode())
    content.update(request.SerializeToString(deterministic=True))
    return Asked(request_id=request.request_id, method=method, digest=content.hexdigest())


def require_request_id(request: Any) -> None:
    """Makes sure that a message has an id.

    Raises:
        InvalidStudy: It is missing, or too long.
    """
    if not 0 < len(request.request_id) <= LONGEST_ID:
        raise InvalidStudy(
            "request_id",
            f"has {len(request.request_id)} characters",
            f"Send a new random id of 1 to {LONGEST_ID} characters with each change.",
        )


class Answers:
    """The answers of the last day, by request id.

    Args:
        known: Those that are kept already, oldest first.
    """

    def __init__(self, known: Iterable[RequestAnswer]) -> None:
        self._known: dict[str, tuple[float, RequestAnswer]] = {}
        for answer in known:
            self.keep(answer)

    def __len__(self) -> int:
        return len(self._known)

    def keep(self, answer: RequestAnswer) -> None:
        """Remembers a first answer."""
        now = time.monotonic()
        self._known[answer.request_id] = (now, answer)
        while True:
            oldest = next(iter(self._known))
            if self._known[oldest][0] > now - KEPT_SECONDS:
                return
            del self._known[oldest]

    def find(self, request: Asked) -> bytes | None:
        """The answer that was given to the request; None: it is new.

        Raises:
            Conflict: The id was used for another request.
        """
        found = self._known.get(request.request_id)
        if found is None:
            return None
        known = found[1]
        if (known.method, known.digest) != (request.method, request.digest):
            raise Conflict(
                f"the request id '{request.request_id}' was used for another request.",
                "Make a new id for each change; use it again only to repeat the same call.",
            )
        return known.answer
