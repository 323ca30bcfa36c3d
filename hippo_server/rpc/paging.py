"""Pages of long lists."""

from __future__ import annotations

from hippo_core.errors import InvalidStudy


def page_size(asked_for: int, default: int, most: int) -> int:
    """How many a page holds.

    Raises:
        InvalidStudy: Less than none, or more than the most.
    """
    if not 0 <= asked_for <= most:
        raise InvalidStudy("page_size", f"{asked_for} is not between 0 and {most}", f"0 means {default}.")
    return asked_for or default


def page_position(token: str) -> int | None:
    """Where a page begins; None: at the beginning.

    Raises:
        InvalidStudy: The token is not one that was given out.
    """
    if not token:
        return None
    if not token.isdecimal() or len(token) > 19:
        raise InvalidStudy("page_token", f"{token[:40]!r} was not given out here", "Begin without one.")
    return int(token)
