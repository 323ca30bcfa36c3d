"""Tensors copied side by side into one memory, in few calls: training waits meanwhile, and a state has hundreds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

#: Of these types tensors are joined in one call, which takes a fifth of as many copies where they are small.
_JOINED = frozenset(
    {
        torch.float32,
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.uint8,
        torch.bool,
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What is to be copied.

    Attributes:
        source: In any strides.
        start: Where its elements, row by row, begin in the memory; in bytes, and a multiple of their width.
        stop: Where they end.
    """

    source: torch.Tensor
    start: int
    stop: int


def neighbours(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """The pieces in runs without holes between them, as far as they are given in this order."""
    first = 0
    for number, piece in enumerate(pieces):
        if number and pieces[number - 1].stop != piece.start:
            yield pieces[first:number]
            first = number
    if pieces:
        yield pieces[first:]


def copy_into(memory: torch.Tensor, pieces: Sequence[Piece], *, non_blocking: bool = False) -> None:
    """Copies all sources.

    Args:
        memory: Bytes, one-dimensional.
        pieces: Those of one type should follow one another: then they are few calls.
        non_blocking: Whether copies between devices may be under way when this returns.
    """
    for run in neighbours(pieces):
        first = 0
        for number in range(1, len(run) + 1):
            if number == len(run) or run[number].source.dtype is not run[first].source.dtype:
                _copy_alike(memory, run[first:number], non_blocking)
                first = number


def _copy_alike(memory: torch.Tensor, pieces: Sequence[Piece], non_blocking: bool) -> None:
    whole = memory[pieces[0].start : pieces[-1].stop].view(pieces[0].source.dtype)
    if whole.dtype in _JOINED and all(
        piece.source.is_cpu and piece.source.is_contiguous() for piece in pieces
    ):
        torch.cat([piece.source.view(-1) for piece in pieces], out=whole)
        return
    targets, sources = [], []
    for piece, target in zip(
        pieces, whole.split_with_sizes([piece.source.numel() for piece in pieces]), strict=True
    ):
        if piece.source.is_contiguous():
            targets.append(target)
            sources.append(piece.source.view(-1))
        else:  # by itself: among the others it would make one call for each of them
            target.view(piece.source.shape).copy_(piece.source, non_blocking=non_blocking)
    if targets:
        torch._foreach_copy_(targets, sources, non_blocking=non_blocking)
