"""The errors that Hippo raises; all of them are a :class:`HippoError`."""

from hippo_core.errors import (
    Conflict,
    HippoError,
    InvalidStudy,
    InvariantViolated,
    NotAllowed,
    NotFound,
    Stale,
    TooManyCalls,
    Unavailable,
)

__all__ = [
    "Conflict",
    "HippoError",
    "InvalidStudy",
    "InvariantViolated",
    "NotAllowed",
    "NotFound",
    "Stale",
    "TooManyCalls",
    "Unavailable",
]
