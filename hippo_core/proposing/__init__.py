"""Points of the samplers that learn and are Hippo's own: pure functions of what a proposal may see.

``bohb``, ``dehb``, ``fork_asha`` and ``phase_tree`` are the algorithms; ``densities`` is BOHB's model, and ``parzen``
the tree-structured Parzen estimator. ``places`` turns domains into stretches of [0, 1], ``draws`` has random numbers
that follow from a study's seed, and ``points`` takes the first of an algorithm's proposals that can be trained and is
no copy of a trial. The server makes points with it, and so does the simulator.
"""

from hippo_core.proposing.draws import Exhausted, Point, seed_of
from hippo_core.proposing.points import first_unseen, own_point, unseen_point

__all__ = ["Exhausted", "Point", "first_unseen", "own_point", "seed_of", "unseen_point"]
