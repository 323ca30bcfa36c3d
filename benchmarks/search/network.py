"""A small network on scikit-learn's digits, trained in NumPy: an epoch takes well under a millisecond.

A multilayer perceptron of one hidden layer learns 600 of the 8 x 8 digits, a tenth of whose labels are wrong and whose
images are shifted and noisy anew in each epoch, by SGD with momentum and weight decay in batches of 50. Large rates
are needed early, as the epochs are few, and small ones late, as the wrong labels are learnt else. What is searched for
is the cross entropy of 597 other images; that of the remaining 600 is recorded beside it, and no search sees it.

All is a function of the hyper-parameters: batches, shifts and noise of an epoch are those of its number, as a trainer
with a fixed seed has them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

EPOCHS = 27
BATCH = 50
HIDDEN = 24
CLASSES = 10
TRAINED, VALIDATED = 600, 597
WRONG_LABELS = 0.1
NOISE = 0.15
SEED = 2026
WORST = 4.0
"""The largest loss: what diverges has it, so that all searches see a number there."""

INPUTS = 8 * 8 + 1  # and a one, for the bias
FIRST = INPUTS * HIDDEN
COUNT = FIRST + (HIDDEN + 1) * CLASSES


@dataclass(frozen=True, slots=True)
class Data:
    """What is trained on in each epoch, and what is measured on."""

    batches: tuple[tuple[tuple[Floats, Floats], ...], ...]  #: by epoch: inputs and labels, one-hot
    measured: Floats
    truth: npt.NDArray[np.intp]
    start: Floats  #: the weights before training


@cache
def data(epochs: int = EPOCHS) -> Data:
    """Splits the digits, spoils labels and images."""
    from sklearn.datasets import load_digits
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)  # products so small gain nothing by threads
    random = np.random.default_rng(SEED)
    images, labels = load_digits(return_X_y=True)
    order = random.permutation(len(images))
    images, labels = images[order].astype(np.float32) / 16.0, labels[order]
    known = labels[:TRAINED].copy()
    wrong = random.random(TRAINED) < WRONG_LABELS
    known[wrong] = random.integers(0, CLASSES, wrong.sum())
    targets = np.eye(CLASSES, dtype=np.float32)[known]
    start = np.zeros(COUNT, np.float32)
    start[: FIRST - HIDDEN] = random.normal(0, (2 / 64) ** 0.5, FIRST - HIDDEN)
    start[FIRST : COUNT - CLASSES] = random.normal(0, (1 / HIDDEN) ** 0.5, HIDDEN * CLASSES)
    return Data(
        batches=tuple(tuple(_epoch(random, images[:TRAINED], targets)) for _ in range(epochs)),
        measured=_with_one(images[TRAINED:]),
        truth=labels[TRAINED:],
        start=start,
    )


def _epoch(random: np.random.Generator, images: Floats, targets: Floats) -> list[tuple[Floats, Floats]]:
    """The batches of an epoch: each image shifted by up to a pixel either way, with noise."""
    padded = np.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    shifts = random.integers(0, 3, (len(images), 2))
    moved = np.stack(
        [
            image[down : down + 8, right : right + 8].ravel()
            for image, (down, right) in zip(padded, shifts, strict=True)
        ]
    )
    moved = moved + random.normal(0, NOISE, moved.shape).astype(np.float32)
    order = random.permutation(len(images))
    inputs, outputs = _with_one(moved[order]), np.ascontiguousarray(targets[order])
    return [(inputs[at : at + BATCH], outputs[at : at + BATCH]) for at in range(0, len(images), BATCH)]


def _with_one(inputs: Floats) -> Floats:
    return np.ascontiguousarray(np.hstack([inputs, np.ones((len(inputs), 1), np.float32)]), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class State:
    """A network in training; nobody changes it."""

    weights: Floats
    velocity: Floats


class Digits:
    """The network, as ``benchmarks.search.memo`` trains it."""

    def identity(self) -> str:
        own = hashlib.blake2b(Path(__file__).read_bytes(), digest_size=6).hexdigest()
        return f"{own}-numpy{np.__version__}"

    def untrained(self) -> State:
        return State(data().start, np.zeros(COUNT, np.float32))

    def train(self, state: State, step: int, values: Mapping[str, Any]) -> State:
        return train(state, step, values)

    def losses(self, state: State) -> tuple[float, float]:
        return losses(state)


def train(state: State, epoch: int, values: Mapping[str, Any]) -> State:
    """The network an epoch later; values are ``lr``, ``momentum`` and, where there is one, ``weight_decay``."""
    rate, momentum = np.float32(values["lr"]), np.float32(values["momentum"])
    decay = np.float32(values.get("weight_decay", 0.0))
    weights, velocity = state.weights.copy(), state.velocity.copy()
    gradient = np.empty(COUNT, np.float32)
    into, out = weights[:FIRST].reshape(INPUTS, HIDDEN), weights[FIRST:].reshape(HIDDEN + 1, CLASSES)
    into_by, out_by = gradient[:FIRST].reshape(INPUTS, HIDDEN), gradient[FIRST:].reshape(HIDDEN + 1, CLASSES)
    hidden = np.ones((BATCH, HIDDEN + 1), np.float32)
    with np.errstate(all="ignore"):
        for inputs, targets in data().batches[epoch]:
            np.maximum(inputs @ into, 0.0, out=hidden[:, :HIDDEN])
            scores = hidden @ out
            scores -= scores.max(axis=1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=1, keepdims=True)
            scores -= targets
            scores /= BATCH
            np.matmul(hidden.T, scores, out=out_by)
            back = scores @ out[:HIDDEN].T
            back *= hidden[:, :HIDDEN] > 0.0
            np.matmul(inputs.T, back, out=into_by)
            if decay:
                gradient += decay * weights
            velocity *= momentum
            velocity -= rate * gradient
            weights += velocity
    return State(weights, velocity)


def losses(state: State) -> tuple[float, float]:
    """The cross entropy on what is validated on, and on what is tested on."""
    found = data()
    into = state.weights[:FIRST].reshape(INPUTS, HIDDEN)
    out = state.weights[FIRST:].reshape(HIDDEN + 1, CLASSES)
    with np.errstate(all="ignore"):
        scores = np.maximum(found.measured @ into, 0.0) @ out[:HIDDEN] + out[HIDDEN]
        scores -= scores.max(axis=1, keepdims=True)
        each = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(scores)), found.truth]
    return _bounded(each[:VALIDATED]), _bounded(each[VALIDATED:])


def _bounded(each: Floats) -> float:
    mean = float(each.mean())
    return min(mean, WORST) if np.isfinite(mean) else WORST
