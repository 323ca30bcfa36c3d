"""Pages of long tables, counted from 1."""

from __future__ import annotations

PAGE_ROWS = 50


def page_of(asked: str, count: int, rows: int = PAGE_ROWS) -> tuple[int, int]:
    """Which page is shown, and how many there are: the first where none is asked for, the last where too far.

    Args:
        asked: As it stands in an address.
        count: How many rows there are in all.
        rows: How many a page has.
    """
    pages = max(1, -(-count // rows))
    wanted = int(asked) if asked.isdecimal() and len(asked) < 10 else 1
    return min(max(wanted, 1), pages), pages
