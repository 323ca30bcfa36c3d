"""Samplers: which points of the space to try."""

from hippo_core.samplers import grid, random

__all__ = ["grid", "random"]
