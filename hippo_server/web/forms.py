"""What a form sends."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

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


def own_path(text: str) -> str:
    """A path of this server's, with its query, to go on to; the start page where the text is none."""
    parts = urlsplit(text)
    is_own = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if is_own and not parts.scheme and not parts.netloc else "/"
