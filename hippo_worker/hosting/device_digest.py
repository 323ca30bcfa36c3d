"""The digest of bytes that lie on a GPU, without bringing them to the host.

Words of 64 bits are multiplied by odd weights, as good as random, and summed modulo 2**64, once with each of two sets
of weights (multilinear hashing: Carter and Wegman, Universal classes of hash functions, 1979). One word that changes
always changes both sums; several cancel out in both by a chance of about 1 in 2**126. The order of the sums does not
matter, so that the digest is the same whatever kernel adds up.
"""

from __future__ import annotations

import blake3
import torch

LEAST_BYTES = 1 << 20  #: fewer are brought to the host as fast
STRETCH = 1 << 20  #: words that are summed at a time: 8 MiB
_SEEDS = (0x2545F4914F6CDD1D, 0x1CE4E5B9BF58476D)
_MIXERS = (
    0x3F58476D1CE4E5B9,
    0x14D049BB133111EB,
)  # odd, of Steele et al.'s SplitMix64, without the sign's bit


def device_digest(data: torch.Tensor) -> bytes:
    """The digest of a one-dimensional tensor of bytes, equal where the bytes are.

    Args:
        data: On any device; not changed.
    """
    whole = len(data) // 8 * 8
    words = data[:whole]
    if words.data_ptr() % 8 or words.storage_offset() % 8:
        words = words.clone()
    words = words.view(torch.int64)
    weights = [_weights(seed, min(len(words), STRETCH), data.device) for seed in _SEEDS]
    sums = [
        (words[start : start + STRETCH] * each[: min(STRETCH, len(words) - start)]).sum()
        for start in range(0, len(words), STRETCH)
        for each in weights
    ]
    digest = blake3.blake3(len(data).to_bytes(8, "little"))
    if sums:
        digest.update(torch.stack(sums).cpu().numpy().tobytes())
    digest.update(data[whole:].cpu().numpy().tobytes())
    found: bytes = digest.digest()
    return found


def _weights(seed: int, count: int, device: torch.device) -> torch.Tensor:
    """Odd numbers, as good as random."""
    numbers = torch.arange(1, count + 1, dtype=torch.int64, device=device) * seed
    for mixer in _MIXERS:
        numbers ^= numbers >> 31
        numbers *= mixer
    numbers ^= numbers >> 29
    return numbers | 1
