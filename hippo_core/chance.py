"""Chance: random numbers that are pure functions of words, the same on any machine and in any version."""

from __future__ import annotations

import hashlib

from hippo_core.program import canonical_json


def uniform(*words: int | str) -> float:
    """A number from [0, 1) that SHA-256 makes of the words; other words give an independent one."""
    digest = hashlib.sha256(canonical_json(words).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
