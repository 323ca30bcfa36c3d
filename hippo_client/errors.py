"""The errors that Hippo raises; all of them are a :class:`HippoError`."""

from hippo_core.errors import (
    Conflict,
    HippoError,
    Incompatible,
    InvalidStudy,
    InvariantViolated,
    NotAllowed,
    NotFound,
    Stale,
    Standby,
    TooManyCalls,
    Unavailable,
)

__all__ = [
    "Conflict",
    "HippoError",
    "Incompatible",
    "InvalidStudy",
    "InvariantViolated",
    "NotAllowed",
    "NotFound",
    "Stale",
    "Standby",
    "TooManyCalls",
    "Unavailable",
]
