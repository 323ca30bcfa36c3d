"""A Gaussian process of a function that drifts, and its upper confidence bound.

After J. Parker-Holder, V. Nguyen and S. Roberts, "Provably Efficient Online Hyperparameter Optimization with
Population-Based Bandits" (NeurIPS 2020, arXiv 2002.02518), section 4. The kernel of two points x and x', seen at
times i and j, is exp(-|x - x'|^2 / (2 l^2)) * (1 - eps)^(|i - j| / 2), after I. Bogunovic et al., "Time-Varying
Gaussian Process Bandit Optimization" (AISTATS 2016); l is ``length``, eps is ``drift``. A point's worth is mean +
sqrt(beta) * deviation with beta = c1 + log(c2 n) for n observations; c1 = 0.2 and c2 = 0.4, as in the authors' code.
The deviation counts points that are being tried as if they had been seen, since it does not depend on what comes of
them (T. Desautels et al., "Parallelizing Exploration-Exploitation Tradeoffs in Gaussian Process Bandit Optimization",
JMLR 15, 2014).

What was seen is standardised and cut at two deviations, so that one bad fall does not make all else look alike. The
kernel's parameters are those of a small grid under which it is likeliest: there is no optimiser and there are no start
values, and equal observations give equal answers. Observations are few (``MOST``), so that it takes milliseconds.
"""

from __future__ import annotations

from itertools import product
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

LENGTHS = (0.2, 0.1, 0.4, 0.8)
DRIFTS = (0.1, 0.0, 0.3)
NOISES = (0.1, 0.01, 0.5)
MOST = 128
"""How many observations it is made of at most."""

C1, C2 = 0.2, 0.4
CUT = 2.0


class DriftingProcess:
    """What is known of a function over the unit cube that drifts with time.

    Args:
        points: A row each.
        times: When each was seen.
        values: What was seen; more is better.
    """

    def __init__(self, points: Array, times: Array, values: Array) -> None:
        spread = float(values.std()) if len(values) else 0.0
        self._points, self._times = points, times
        deviations = (values - values.mean()) / spread if spread > 0 else np.zeros(len(values))
        self._values = np.clip(deviations, -CUT, CUT)
        self._apart = _squares(points, points)
        self._ago = np.abs(times[:, None] - times[None, :])
        choices = list(product(LENGTHS, DRIFTS, NOISES))
        likelihoods = [self._likelihood(*choice) for choice in choices]
        self.length, self.drift, self.noise = choices[int(np.argmax(likelihoods))]

    def bound(self, candidates: Array, time: float, pending: Array) -> Array:
        """The upper confidence bound of candidates at a time.

        Args:
            candidates: A row each.
            time: When they will have been tried.
            pending: Points that are being tried, to be known at that time; a row each.
        """
        ago = np.abs(time - self._times)
        to_seen = self._kernel(_squares(candidates, self._points), ago[None, :])
        seen = self._covariance(self.length, self.drift, self.noise)
        mean = (
            to_seen @ np.linalg.solve(seen, self._values) if len(self._values) else np.zeros(len(candidates))
        )

        across = self._kernel(_squares(self._points, pending), ago[:, None])
        between = self._kernel(_squares(pending, pending), np.zeros((1, 1))) + self.noise * np.eye(
            len(pending)
        )
        whole = np.block([[seen, across], [across.T, between]])
        to_all = np.hstack([to_seen, self._kernel(_squares(candidates, pending), np.zeros((1, 1)))])
        explained = np.linalg.solve(np.linalg.cholesky(whole), to_all.T) if len(whole) else np.zeros((1, 1))
        deviation = np.sqrt(np.maximum(1.0 - (explained**2).sum(axis=0), 0.0))
        beta = C1 + max(0.0, float(np.log(C2 * max(len(self._values), 1))))
        return np.asarray(mean + np.sqrt(beta) * deviation)

    def _likelihood(self, length: float, drift: float, noise: float) -> float:
        """The logarithm of the marginal likelihood, but for a constant."""
        if not len(self._values):
            return 0.0
        root = np.linalg.cholesky(self._covariance(length, drift, noise))
        fit = np.linalg.solve(root, self._values)
        return float(-0.5 * fit @ fit - np.log(np.diag(root)).sum())

    def _covariance(self, length: float, drift: float, noise: float) -> Array:
        kernel = np.exp(-self._apart / (2 * length**2)) * (1 - drift) ** (self._ago / 2)
        return np.asarray(kernel + noise * np.eye(len(self._values)))

    def _kernel(self, squares: Array, ago: Array) -> Array:
        return np.asarray(np.exp(-squares / (2 * self.length**2)) * (1 - self.drift) ** (ago / 2))


def _squares(one: Array, other: Array) -> Array:
    """The squared distances between rows."""
    return np.asarray(((one[:, None, :] - other[None, :, :]) ** 2).sum(axis=2))
