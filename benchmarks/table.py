"""Figures as lines for a terminal of any width from 80 columns on."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.figures import Curve, Drawing, Figure

INDENT = "  "
NUMBERS = 46
"""The columns that median, spread and aim take."""
THOUSAND = 1000


def number(value: float) -> str:
    """Four digits, which is more than a shared machine repeats, and thousands with commas."""
    return f"{value:,.0f}" if abs(value) >= THOUSAND else f"{value:.4g}"


def spread(figure: Figure) -> str:
    """The lowest and the highest round; empty where they are the same."""
    least, most = number(figure.least), number(figure.most)
    return "" if least == most else f"{least} – {most}"


def aim(figure: Figure) -> str:
    """What is aimed at; empty where nothing is."""
    return "" if figure.aim is None else f"{'≥' if figure.more_is_better else '≤'} {number(figure.aim)}"


def heading(width: int) -> str:
    """The line above the figures."""
    return f"{'':{width - NUMBERS}}{'median':>9} {'least – most':>19} {'aim':>9}"


def row(figure: Figure, width: int) -> Iterator[str]:
    """A figure: its name and unit over as many lines as they take, with the numbers on the first; then its note."""
    first, *more = textwrap.wrap(
        f"{figure.name} ({figure.unit})",
        width - NUMBERS - 1,
        initial_indent=INDENT,
        subsequent_indent=INDENT * 2,
    )
    missed = " missed" if figure.reached is False else ""
    numbers = f"{number(figure.median):>9} {spread(figure):>19} {aim(figure):>9}"
    yield f"{first:{width - NUMBERS}}{numbers}{missed}".rstrip()
    yield from more
    yield from paragraph(figure.note, width)


def curve(given: Curve, width: int) -> Iterator[str]:
    """A curve's points, a line of them for each label."""
    yield from textwrap.wrap(
        f"{given.name}: {given.up} by {given.across}",
        width,
        initial_indent=INDENT,
        subsequent_indent=INDENT * 2,
    )
    for label, points in given.lines.items():
        said = ", ".join(f"{number(across)}: {number(up)}" for across, up in points)
        yield from paragraph(f"{label}   {said}", width)
    yield from paragraph(given.note, width)


def drawing(given: Drawing, width: int) -> Iterator[str]:
    """That there is one, and what it shows."""
    yield from textwrap.wrap(
        f"{given.name}: drawn", width, initial_indent=INDENT, subsequent_indent=INDENT * 2
    )
    yield from paragraph(given.note, width)


def paragraph(text: str, width: int) -> list[str]:
    """A text below a figure."""
    return textwrap.wrap(text, width, initial_indent=INDENT * 2, subsequent_indent=INDENT * 3)


def machine(said: Mapping[str, Any]) -> str:
    """The machine in one sentence."""
    gpu = f", {said['gpu']}" if said["gpu"] else ""
    return (
        f"{said['processor']}, {said['cores']} cores, {said['memory_gib']:g} GiB{gpu}, Linux {said['kernel']}, "
        f"{said['filesystem']} that syncs 8 KiB in {said['fsync_8k_ms']:g} ms, Python {said['python']} (a fixed loop "
        f"takes {said['loop_ms']:g} ms), torch {said['torch']}, PostgreSQL {said['postgresql']}, grpc {said['grpcio']}"
    )
