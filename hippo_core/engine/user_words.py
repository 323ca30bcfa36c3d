"""Reasons that a user's word gives, so that an explanation tells them from a policy's."""

from __future__ import annotations

AS_ASKED = "as a user asked"
RETRIED = f"tried again, {AS_ASKED}"
TAKEN_UP = "taken up again: the study was extended"
STUDY_STOPPED = "the study was stopped by a user"
STOPPED = "stopped by a user"
PAUSED = "paused by a user"
IMPORTED = "imported: it goes on when it is resumed"
POLICY_EDITED = "its policy was edited"
EXTENDED = f"trained further, {AS_ASKED}"

ENDED = "the study ended: "
"""What the reason of a trial begins with that came to rest since an ending of its study held."""

USER_WORDS = frozenset({RETRIED, TAKEN_UP, STUDY_STOPPED, STOPPED, POLICY_EDITED, EXTENDED})


def is_a_users_word(reason: str) -> bool:
    """Whether a reason is a user's, not a policy's."""
    return reason in USER_WORDS
