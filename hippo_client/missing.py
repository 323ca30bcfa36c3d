"""Names that the modules of functions do not have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from hippo_core.arguments import suggestion
from hippo_core.errors import InvalidStudy


class UnknownFunction(InvalidStudy, AttributeError):
    """A module of schedules, domains, policies, samplers or endings has nothing of that name.

    It is an ``AttributeError``, too, as Python's own tools expect of a module.
    """


def refuse_unknown(
    module: str,
    known: Sequence[str],
    elsewhere: Mapping[str, str] | None = None,
    peers: Mapping[str, str] | None = None,
) -> Callable[[str], object]:
    """A module's ``__getattr__`` that says what there is.

    Args:
        module: As a person calls it: ``schedules``.
        known: What it has.
        elsewhere: What is found under another name: by name, where.
        peers: For names that other systems use, its own.
    """

    def refuse(name: str) -> object:
        if name.startswith("_"):  # asked by Python's own tools, and by nobody who writes a study
            raise AttributeError(f"module {module} has no attribute {name!r}")
        hint = (elsewhere or {}).get(name) or suggestion(name, known, peers)
        raise UnknownFunction(f"{module}.{name}", "there is no such function.", hint)

    return refuse
