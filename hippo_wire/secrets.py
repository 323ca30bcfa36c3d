"""The secrets of tokens: made where they are used, sent as digests when they are made known, and kept as such.

A secret is 32 random bytes behind a prefix that scanners for leaked secrets can find. Its SHA-256 is enough to keep: it
has no structure that a slow hash would have to protect.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from hippo_core.errors import InvalidStudy

PREFIX = "hippo_"


def new_secret() -> str:
    """A new token."""
    return PREFIX + secrets.token_urlsafe(32)


def secret_hash(secret: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(secret.encode()).hexdigest()


def check_hash(digest: str) -> str:
    """A digest, if it is one.

    Raises:
        InvalidStudy: It is not.
    """
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise InvalidStudy(
            "secret_hash", "is no SHA-256 in hexadecimal digits", "Never send the secret itself."
        )
    return digest
