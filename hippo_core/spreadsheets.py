"""Text in tables that spreadsheets open: none of it is a formula.

A spreadsheet computes a cell that begins with one of these characters, wherever its text comes from (CWE-1236). With
an apostrophe before it, it is text, there and for whoever reads it.
"""

from __future__ import annotations

_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r")


def cell(text: str) -> str:
    """A text, not a number, as a cell of a table."""
    return f"'{text}" if text.startswith(_BEGINNINGS) else text
