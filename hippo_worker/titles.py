"""Process titles, by which people and supervisors tell Hippo's processes."""

from __future__ import annotations

import os


def set_title(title: str) -> None:
    """Names the process for people, leaving its environment readable where it is."""
    os.environ["SPT_NOENV"] = "1"
    import setproctitle

    setproctitle.setproctitle(title)
    os.environ.pop("SPT_NOENV", None)
