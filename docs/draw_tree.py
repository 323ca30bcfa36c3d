"""Draws the picture of sharing, ``docs/images/sharing.svg``: ``python docs/draw_tree.py``.

Above, five trials as they are trained alone; below, the same as a stage tree. What is shared is found by comparing
their values step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

PICTURE = Path(__file__).resolve().parent / "images" / "sharing.svg"
STEPS = 27
TRIALS = (  # the learning rate in epochs 0..8, 9..17, 18..26
    (0.1, 0.01, 0.001),
    (0.1, 0.01, 0.003),
    (0.1, 0.03, 0.003),
    (0.1, 0.03, 0.001),
    (0.05, 0.05, 0.005),
)
LEFT, STEP, ROW, BAR, TOP = 70, 22, 30, 22, 46
WIDTH = LEFT + STEPS * STEP + 20
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #333 }
.in { fill: #fff; font-size: 12px }
.title { font-weight: 600; font-size: 14px }
.v0 { fill: #00695c } .v1 { fill: #1565c0 } .v2 { fill: #6a1b9a } .v3 { fill: #ad1457 }
.v4 { fill: #a03a00 } .v5 { fill: #37474f } .v6 { fill: #4e6b1f }
path { fill: none; stroke: #888; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .in { fill: #fff } }
"""


def values(trial: Sequence[float]) -> tuple[float, ...]:
    """The learning rate at each step."""
    return tuple(value for value in trial for _ in range(STEPS // len(trial)))


def stretches_of(trial: Sequence[float]) -> list[tuple[int, int, float]]:
    """Where each value begins, where it ends, and the value."""
    runs = [(value, [*steps]) for value, steps in groupby(range(len(trial)), trial.__getitem__)]
    return [(steps[0], steps[-1] + 1, value) for value, steps in runs]


def bar(start: int, stop: int, value: float, row: int, top: int, colours: dict[float, int]) -> list[str]:
    """A stretch of training with one value."""
    x, y, width = LEFT + start * STEP, top + row * ROW, (stop - start) * STEP
    return [
        f'<rect class="v{colours[value]}" x="{x + 1}" y="{y}" width="{width - 2}" height="{BAR}" rx="3"/>',
        f'<text class="in" x="{x + 8}" y="{y + 15}">lr {value:g}</text>',
    ]


def picture() -> str:
    """The whole picture."""
    trials = [values(each) for each in TRIALS]
    colours = {each: number for number, each in enumerate(sorted({*sum(trials, ())}, reverse=True))}
    stretches = [
        [
            (steps[0], steps[-1] + 1, value)
            for value, run in groupby(range(STEPS), trial.__getitem__)
            for steps in [[*run]]
        ]
        for trial in trials
    ]
    alone, tree = len(trials) * STEPS, len({trial[: step + 1] for trial in trials for step in range(STEPS)})
    below = TOP + len(trials) * ROW + 50
    parts = [
        f'<text class="title" x="{LEFT}" y="24">Trained one by one: {alone} epochs</text>',
        f'<text class="title" x="{LEFT}" y="{below - 22}">Trained as a stage tree: {tree} epochs</text>',
    ]
    drawn: dict[tuple[float, ...], int] = {}
    for row, (trial, pieces) in enumerate(zip(trials, stretches, strict=True)):
        for top in (TOP, below):
            parts.append(f'<text x="4" y="{top + row * ROW + 15}">trial {row}</text>')
        parent: int | None = None
        for start, stop, value in pieces:
            parts += bar(start, stop, value, row, TOP, colours)
            if trial[:stop] in drawn:
                parent = drawn[trial[:stop]]
                continue
            drawn[trial[:stop]] = row
            if parent is not None and parent != row:
                x, y = LEFT + start * STEP, below + BAR // 2
                parts.append(f'<path d="M{x - 8} {y + parent * ROW + BAR // 2}V{y + row * ROW}H{x}"/>')
            parts += bar(start, stop, value, row, below, colours)
            parent = row
    height = below + len(trials) * ROW + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="Five trials of 27 epochs, {alone} epochs alone and {tree} as a stage tree">'
        f"<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
