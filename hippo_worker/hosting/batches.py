"""Endless batches of a data set, whose content depends on the seed and the position and on nothing else.

Position p is the p-th item ever handed out. It lies in pass p // n over the n items; each pass has an order of its
own, drawn from (seed, pass); before an item is read, Python, NumPy and torch are seeded from (seed, p). So it is the
same item, with the same augmentation, whatever the batch size, the number of worker processes and the place where
training was taken up again. A batch is the next so many positions: all are full, and an end of a pass may lie inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset, default_collate

from hippo_worker.hosting.failures import InvalidTrainer
from hippo_worker.hosting.randomness import (
    derive,
    random_state_kept,
    seed_host,
)

PREFETCHED = 2  #: batches that each worker process loads ahead


class Indexed(Protocol):
    """A map-style data set."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Batches:
    """An iterator without end over the batches of a data set. Its position is its state.

    Args:
        dataset: A map-style data set.
        batch_size: How many items a batch has: an int, or a function that is asked before each batch.
        shuffle: Whether each pass is in an order of its own.
        workers: How many processes load ahead; 0: none.
        seed: What orders and items' seeds are derived from.

    Attributes:
        batch_size: May be set at any time; counts from the next batch on.
        position: How many items have been handed out.
    """

    def __init__(
        self,
        dataset: Indexed,
        batch_size: int | Callable[[], int],
        shuffle: bool = True,
        workers: int = 0,
        *,
        seed: int,
    ) -> None:
        _require_map_style(dataset)
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 0:
            raise InvalidTrainer(f"context.batches: workers must be an int of at least 0, not {workers!r}.")
        self.batch_size = batch_size
        self.position = 0
        self._positions = _Positions(len(dataset), shuffle, seed)
        self._items = _Items(dataset, self._positions)
        self._workers = workers
        self._ahead: Iterator[Any] | None = None
        self._ahead_size = 0
        self._size()

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> Any:
        size = self._size()
        if self._workers:
            batch = self._next_ahead(size)
        else:
            batch = self._items.batch(range(self.position, self.position + size))
        self.position += size
        return batch

    @property
    def passes(self) -> int:
        """How many times the whole data set has been handed out."""
        return self.position // self._positions.count

    def state_dict(self) -> dict[str, int]:
        """The position; what worker processes have loaded ahead is no part of it."""
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes to a position."""
        self.position = state["position"]
        self.close()

    def close(self) -> None:
        """Ends the worker processes; they are started again when needed."""
        self._ahead = None

    def _size(self) -> int:
        size = self.batch_size() if callable(self.batch_size) else self.batch_size
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise InvalidTrainer(f"context.batches: batch_size must be an int of at least 1, not {size!r}.")
        return size

    def _next_ahead(self, size: int) -> Any:
        if self._ahead is None or self._ahead_size != size:
            self._ahead_size = size
            self._ahead = self._load_ahead(size)
        return next(self._ahead)

    def _load_ahead(self, size: int) -> Iterator[Any]:
        loader = DataLoader(
            self._items,
            batch_sampler=_Ahead(self.position, size),
            num_workers=self._workers,
            prefetch_factor=PREFETCHED,
            # The loader draws a seed when it starts; not from the global generator, which is the trainer's.
            generator=torch.Generator(),
            worker_init_fn=_ThreadsAs(torch.get_num_threads()),
        )
        return iter(loader)


class _Positions:
    """Which item lies at a position, and with which seed it is read."""

    def __init__(self, count: int, shuffle: bool, seed: int) -> None:
        self.count = count
        self._shuffle = shuffle
        self._seed = seed
        self._pass = -1
        self._order: list[int] = []

    def index(self, position: int) -> int:
        number, offset = divmod(position, self.count)
        if not self._shuffle:
            return offset
        if number != self._pass:
            generator = torch.Generator().manual_seed(derive(self._seed, "order", number))
            self._order = torch.randperm(self.count, generator=generator).tolist()
            self._pass = number
        return self._order[offset]

    def seed(self, position: int) -> int:
        return derive(self._seed, "item", position)


class _Items(Dataset[Any]):
    """The data set by position, read as the position's seed says."""

    def __init__(self, dataset: Indexed, positions: _Positions) -> None:
        self._dataset = dataset
        self._positions = positions

    def __getitem__(self, position: int) -> Any:
        seed_host(self._positions.seed(position))
        return self._dataset[self._positions.index(position)]

    def batch(self, positions: range) -> Any:
        """A batch, read in this process; the global random state is as before."""
        if type(self._dataset) is TensorDataset:
            # Reads no random numbers, so that all items can be taken at once.
            indices = torch.tensor([self._positions.index(position) for position in positions])
            return [tensor[indices] for tensor in self._dataset.tensors]
        with random_state_kept("cpu"):
            return default_collate([self[position] for position in positions])


class _Ahead:
    """The positions of batch after batch, for the worker processes."""

    def __init__(self, position: int, size: int) -> None:
        self._position = position
        self._size = size

    def __iter__(self) -> Iterator[list[int]]:
        position = self._position
        while True:
            yield list(range(position, position + self._size))
            position += self._size


class _ThreadsAs:
    """Gives a worker process as many threads as its parent has, as results may depend on it."""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def __call__(self, worker: int) -> None:
        torch.set_num_threads(self._threads)


def _require_map_style(dataset: Any) -> None:
    kind = type(dataset).__qualname__
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise InvalidTrainer(
            f"context.batches needs a data set with __len__ and __getitem__; a {kind} has not both.",
            "Wrap it in a torch.utils.data.Dataset.",
        )
    if len(dataset) == 0:
        raise InvalidTrainer(f"context.batches: the data set (a {kind}) is empty.")
