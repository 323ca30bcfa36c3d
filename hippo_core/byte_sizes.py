"""Numbers of bytes as people write and read them."""

from __future__ import annotations

import re
from typing import Any

from hippo_core.errors import InvalidStudy

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
MOST_BYTES = 2**62


def parse_bytes(given: Any, field: str) -> int:
    """A number of bytes: an int, or a text as ``500MB`` or ``4GiB``; units are powers of 1024.

    Args:
        given: What is written.
        field: What it is written for, to name in an error.

    Raises:
        InvalidStudy: It is no such number.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        found = given
    else:
        text = given if isinstance(given, str) else ""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
        if match is None:
            raise InvalidStudy(field, f"{given!r} is no number of bytes", "Write e.g. 4GiB.")
        found = int(float(match[1]) * _UNITS[match[2].upper()])
    if not 0 <= found <= MOST_BYTES:
        raise InvalidStudy(field, f"must be from 0 to {MOST_BYTES} bytes, not {found}")
    return found


def bytes_in_words(size_bytes: int) -> str:
    """A number of bytes for people: ``512 B``, ``1.5 GiB``."""
    for unit in ("T", "G", "M", "K"):
        if size_bytes >= _UNITS[unit]:
            return f"{size_bytes / _UNITS[unit]:.1f} {unit}iB"
    return f"{size_bytes} B"
