"""Processes of others, which may end between any two questions about them."""

from __future__ import annotations

import psutil


def command_line(process: psutil.Process) -> str:
    """The words that it was started with, or its title; empty: it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has gone, or is a zombie, or another user's
        return ""


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended, reaped or not."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def family(pid: int, words: str = "") -> list[psutil.Process]:
    """The processes below one whose command lines hold certain words, and that have not ended.

    Args:
        pid: The one at the top, which lives.
        words: Which; by default all.
    """
    below = psutil.Process(pid).children(recursive=True)
    return [each for each in below if words in command_line(each) and not is_gone(each)]
