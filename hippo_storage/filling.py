"""Memory that is filled from a file, whole."""

from __future__ import annotations

from io import RawIOBase
from typing import Any

import numpy as np


def fill(file: RawIOBase, target: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """Fills memory with the next bytes of a file.

    Raises:
        ValueError: The file ends before.
    """
    view = target.data
    while view:
        count = file.readinto(view)
        if not count:
            raise ValueError("the file ends too early")
        view = view[count:]
