"""The sampler that comes with ``policies.trie_asha``."""

from __future__ import annotations

from dataclasses import dataclass

from hippo_core.samplers.learning import Learning


@dataclass(frozen=True, slots=True, kw_only=True)
class TrieAsha(Learning):
    """The points of trie ASHA, as the policy's arguments have them (``hippo_core.proposing.trie_asha``)."""

    word = "trie_asha"
    several_objectives = False
    brought = True


def trie_asha() -> TrieAsha:
    """Points of a finite space, each for a step of its own: what ``policies.trie_asha`` brings with it."""
    return TrieAsha()
