"""Draws the pictures of how-to/plots.md: python docs/draw_plots.py digits.json, which hippo study export wrote."""

import sys
from pathlib import Path

from hippo_client import plots, simulation

PICTURES = Path(__file__).parent / "how-to"

if __name__ == "__main__":
    study = simulation.load(sys.argv[1])
    for kind in ("stage_tree", "savings"):
        figure = plots.named(kind)(study)
        figure.savefig(PICTURES / f"plots-{kind.replace('_', '-')}.svg", metadata={"Date": None})
