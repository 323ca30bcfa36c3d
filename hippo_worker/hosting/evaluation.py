"""Measuring without leaving a trace: random state, train and eval modes and the grad mode are as before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

from hippo_worker.hosting.randomness import Generators

Modes = dict[str, list[bool]]
Roots = Mapping[str, torch.nn.Module]


def capture_modes(roots: Roots) -> Modes:
    """Which modules, and parts of modules, are in training mode.

    Args:
        roots: The modules that a trainer holds, by path.
    """
    return {path: [module.training for module in root.modules()] for path, root in roots.items()}


def restore_modes(roots: Roots, modes: Mapping[str, list[bool]]) -> None:
    """The inverse of `capture_modes`; modules that are no longer there, or are built differently, are left alone."""
    for path, training in modes.items():
        parts = list(roots[path].modules()) if path in roots else []
        if len(parts) == len(training):
            for module, mode in zip(parts, training, strict=True):
                # Set directly: an own train() may do more than switch.
                module.training = mode


@contextmanager
def without_trace(roots: Roots, device: str, random: Generators | None = None) -> Iterator[None]:
    """Puts back, at the end, what evaluating and saving may change.

    Args:
        roots: The modules that a trainer holds, by path.
        device: "cpu" or "cuda".
        random: The state of the global generators now, where it is known: reading it takes long.
    """
    modes = capture_modes(roots)
    gradients = torch.is_grad_enabled()
    before = random or Generators.capture(device)
    try:
        yield
    finally:
        torch.set_grad_enabled(gradients)
        restore_modes(roots, modes)
        before.restore()  # last, as it fails where a GPU has
