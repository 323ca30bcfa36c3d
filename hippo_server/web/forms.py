"""What a form sends."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request

from hippo_core.errors import InvalidStudy

MOST_FIELDS = 200


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form by name; of several of one name the last.

    Raises:
        InvalidStudy: It is no form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    if body and kind != "application/x-www-form-urlencoded":
        raise InvalidStudy("form", f"cannot be sent as {kind or 'anything'!r}")
    try:
        return dict(
            parse_qsl(
                body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
            )
        )
    except ValueError as error:
        raise InvalidStudy("form", "cannot be read") from error
