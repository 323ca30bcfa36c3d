"""Errors of the core, and through it of every shell.

::

    HippoError
    ├── InvalidStudy          the study, or an argument of a call, is wrong: names the field and the remedy
    ├── NotFound              what is named does not exist
    ├── Conflict              it exists with other content, or is in a state that forbids the call
    ├── NotAllowed            no token, a wrong one, or a role that does not suffice
    ├── Incompatible          caller and server are of versions that do not work together: says which to install
    ├── Stale                 a fence or a term that no longer stands
    ├── Unavailable           the server or a part behind it cannot answer now; the only retryable one
    │   ├── TooManyCalls      the caller asks more than is allowed: says when to ask again
    │   └── Standby           another server leads: names it, and where it is
    └── InvariantViolated     the engine contradicts itself: a defect of Hippo, with the story that led to it
"""

from __future__ import annotations

PAGE = "docs/reference/errors.md"
_ENDS = (".", "!", "?", ":", "\n")
"""After which a message needs no full stop before its hint."""


def error_json(code: str, message: str, hint: str) -> dict[str, dict[str, str]]:
    """An error as commands and HTTP write it; ``docs`` is where its code is explained."""
    docs = f"{PAGE}#{code.lower()}"
    return {"error": {"code": code, "message": message, "hint": hint, "docs": docs}}


class HippoError(Exception):
    """Base of all errors that are meant for a person.

    Args:
        message: One sentence: what is wrong, with the value.
        hint: What to do about it; may be empty.
    """

    code = "ERROR"
    retryable = False

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def to_json(self) -> dict[str, dict[str, str]]:
        """The error as commands and HTTP write it."""
        return error_json(self.code, self.message, self.hint)

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        return f"{self.message}{'' if self.message.endswith(_ENDS) else '.'} {self.hint}"


class InvalidStudy(HippoError):
    """A study or an argument is wrong.

    Args:
        field: Where, as the person wrote it: ``max_steps``, ``space['lr'].milestones``.
        message: What is wrong with it, with the value.
        hint: What to write instead.
    """

    code = "INVALID"

    def __init__(self, field: str, message: str, hint: str = "") -> None:
        super().__init__(f"{field}: {message}", hint)
        self.field = field


class NotFound(HippoError):
    """What is named does not exist."""

    code = "NOT_FOUND"


class Conflict(HippoError):
    """It exists with other content, or is in a state that forbids the call."""

    code = "CONFLICT"


class NotAllowed(HippoError):
    """No token, a wrong one, or a role that does not suffice."""

    code = "NOT_ALLOWED"


class Incompatible(HippoError):
    """Caller and server are of versions that do not work together."""

    code = "INCOMPATIBLE"


class Stale(HippoError):
    """A fence, an incarnation or a term that no longer stands."""

    code = "STALE"


class Unavailable(HippoError):
    """The server, or a part behind it, cannot answer now; trying again may help."""

    code = "UNAVAILABLE"
    retryable = True


class TooManyCalls(Unavailable):
    """The caller asks more often, or for more at once, than is allowed.

    Args:
        message: Which limit, with its value.
        retry_seconds: After how long asking again makes sense.
        hint: What to do about it.
    """

    code = "TOO_MANY_CALLS"

    def __init__(self, message: str, retry_seconds: float, hint: str = "") -> None:
        super().__init__(message, hint)
        self.retry_seconds = retry_seconds


class Standby(Unavailable):
    """The server that was asked stands by; another one leads.

    Args:
        holder: Which one leads.
        address: Where that one is, ``host:port``; empty: nobody knows.
    """

    code = "STANDBY"

    def __init__(self, holder: str, address: str) -> None:
        super().__init__(f"standby: {holder} leads.", f"Ask {address}." if address else "Ask that one.")
        self.holder = holder
        self.address = address


class InvariantViolated(HippoError):
    """The engine contradicts itself: a defect of Hippo.

    Args:
        message: Which invariant, with the values.
        story: The latest events about the subject, oldest first.
    """

    code = "INVARIANT_VIOLATED"

    def __init__(self, message: str, story: tuple[str, ...] = ()) -> None:
        super().__init__(message, "\n".join(story))
        self.story = story
