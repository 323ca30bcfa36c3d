"""How a study that runs is shown: in a notebook as a table, on a terminal in place, elsewhere as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hippo_client.watching import SilentProgress

if TYPE_CHECKING:
    from hippo_client.watching import Progress


def choose_progress(wanted: bool | Progress = True) -> Progress:
    """What shows a study here.

    Args:
        wanted: Whether to show it at all; or what shows it.
    """
    if not isinstance(wanted, bool):
        return wanted
    if not wanted:
        return SilentProgress()
    from hippo_client.notebook import NotebookProgress, display_of_notebook

    display = display_of_notebook()
    if display is not None:
        return NotebookProgress(display)
    from hippo_client.cli.terminal import progress

    return progress()
