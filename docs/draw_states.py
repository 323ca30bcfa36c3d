"""Writes ``docs/explanation/states.md`` from ``hippo_core.engine.states``: ``python docs/draw_states.py``."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from hippo_core.engine import states

PAGE = Path(__file__).resolve().parent / "explanation" / "states.md"

HEAD = """# The states, and which follow which

Written by `python docs/draw_states.py` from the tables in `hippo_core/engine/states.py`, which the engine itself uses;
a test fails where this page is not what they say.
"""

SECTIONS: tuple[tuple[str, str, Mapping[StrEnum, frozenset[StrEnum]]], ...] = (
    (
        "A study",
        "A study that has ended is taken up again by a larger `max_trials` or `max_steps`, by another policy, by a "
        "change of the ending that ended it, or by a retry.",
        states.STUDY_TRANSITIONS,
    ),
    (
        "A trial",
        "An open trial is *waiting*; it is shown as *running* while a slot trains its next step, which is derived and "
        "not kept. A *paused* trial has reached a rung and may be promoted, or waits for the others of its population.",
        states.TRIAL_TRANSITIONS,
    ),
    (
        "A lease",
        "A lease is *saving* once all its steps are trained: its slot is free, its last checkpoints are on their way.",
        states.LEASE_TRANSITIONS,
    ),
)


def transitions(table: Mapping[StrEnum, frozenset[StrEnum]]) -> str:
    """A transition table as one of the page, in the order of the enumeration."""
    order = list(type(next(iter(table))))
    lines = ["| from | to |", "|---|---|"]
    for state in order:
        following = table.get(state)
        if following is None:
            continue
        named = ", ".join(f"*{each.value}*" for each in order if each in following)
        lines.append(f"| *{state.value}* | {named or 'nothing: it stays'} |")
    first = f"It begins as *{next(iter(table)).value}*."
    return "\n".join([first, "", *lines])


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, text, table in SECTIONS:
        parts.append(f"## {title}\n\n{text}\n\n{transitions(table)}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
