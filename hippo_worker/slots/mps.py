"""Whether NVIDIA's Multi-Process Service runs here, by which processes use a GPU at once instead of in turns.

CUDA finds its daemon by a folder of pipes, without being told to use it.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path

FOLDER = "CUDA_MPS_PIPE_DIRECTORY"
DEFAULT_FOLDER = "/tmp/nvidia-mps"  # noqa: S108 - CUDA's own
THREADS = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"


def folder(variables: Mapping[str, str]) -> Path:
    """Where CUDA looks for the daemon."""
    return Path(variables.get(FOLDER) or DEFAULT_FOLDER)


def answers(pipes: Path) -> bool:
    """Whether a daemon listens in this folder; what one that has died has left there does not count."""
    control = pipes / "control"
    try:
        if stat.S_ISSOCK(control.stat().st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.connect(str(control))
        else:
            os.close(os.open(control, os.O_WRONLY | os.O_NONBLOCK))  # refused where nobody reads
    except OSError:
        return False
    return True


def part_of_threads(variables: Mapping[str, str]) -> str:
    """How much of a GPU's multiprocessors a process gets, for people; empty: all of them.

    It decides bits: kernels are chosen by how many there are.
    """
    percentage = variables.get(THREADS, "").strip()
    if not percentage or percentage == "100" or not answers(folder(variables)):
        return ""
    return f"{percentage} % of its threads"
