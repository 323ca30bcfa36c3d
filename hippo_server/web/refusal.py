"""Why a request is not answered, in HTTP's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import JSONResponse, Response

from hippo_core.errors import (
    Conflict,
    HippoError,
    Incompatible,
    InvalidStudy,
    NotAllowed,
    NotFound,
    Stale,
    TooManyCalls,
    Unavailable,
)

STATUS: Mapping[type[HippoError], int] = {
    InvalidStudy: 400,
    NotAllowed: 403,
    NotFound: 404,
    Conflict: 409,
    Incompatible: 409,
    Stale: 409,
    TooManyCalls: 429,
    Unavailable: 503,
}


def status_of(error: HippoError) -> int:
    """How HTTP calls an error of a page."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered.

    Attributes:
        status: HTTP's.
        error: In words.
        headers: What the answer carries beside.
    """

    status: int
    error: HippoError
    headers: Mapping[str, str]


class Refused(Exception):
    """A request is not answered."""

    def __init__(self, status: int, error: HippoError, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.refusal = Refusal(status, error, headers or {})


def error_json(refusal: Refusal) -> Response:
    """A refusal for programs."""
    error = refusal.error
    return Response(
        json.dumps(error.to_json()),
        status_code=refusal.status,
        media_type=JSONResponse.media_type,
        headers=dict(refusal.headers),
    )
