"""What a worker offers: its slots and the environment that decides bits. The daemon itself never imports torch."""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hippo_core.engine.commands import SlotSpec
from hippo_worker.slots import mps
from hippo_worker.slots.spawner import Spawner

MIG = "MIG-"  #: how the names of instances of a divided GPU begin

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU, or an instance of one.

    Attributes:
        name: As ``CUDA_VISIBLE_DEVICES`` names it.
        model: What it is; GPUs of one model give the same bits.
    """

    name: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a worker offers.

    Attributes:
        environment: python, torch, cuda, platform.
        slots: By index.
        gpus: For each slot its GPU, as ``CUDA_VISIBLE_DEVICES`` names it; empty: none.
    """

    environment: dict[str, Any]
    slots: tuple[SlotSpec, ...]
    gpus: tuple[str, ...]


async def describe(spawner: Spawner, slots: int | None, slots_per_gpu: int = 1) -> Offer:
    """Asks the forkserver for torch and GPUs, the system for the rest.

    Args:
        spawner: Its forkserver is the process that has imported torch.
        slots: How many slots; None: as many as share its GPUs, and without any one for each core.
        slots_per_gpu: How many slots share a GPU.

    Raises:
        HippoError: torch cannot be imported.
    """
    torch = await spawner.torch()
    gpus = await find_gpus(spawner, os.environ)
    specs, names = shared_out(gpus, slots, slots_per_gpu, usable_cores())
    if slots_per_gpu > 1 and gpus:
        pipes = mps.folder(os.environ)
        how = "at once, by MPS" if mps.answers(pipes) else f"in turns: no MPS daemon answers in {pipes}"
        logger.info("gpus_shared", extra={"slots_per_gpu": slots_per_gpu, "how": how})
    return Offer(
        environment={
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "torch": torch["torch"],
            "cuda": torch["cuda"],
            "platform": f"{platform.system()}-{platform.machine()}",
        },
        slots=specs,
        gpus=names,
    )


async def find_gpus(spawner: Spawner, variables: Mapping[str, str]) -> list[Gpu]:
    """The GPUs that the worker may use.

    A process sees one instance of a GPU that is divided (MIG), whatever it is told: each is looked at by itself.
    """
    visible = visible_names(variables)
    part = mps.part_of_threads(variables)
    if any(name.startswith(MIG) for name in visible):
        found = zip(visible, await spawner.devices(visible), strict=True)
        gpus = [(name, models[0]) for name, models in found if models]
    else:
        (models,) = await spawner.devices([None])
        gpus = list(zip(gpu_names(len(models), variables), models, strict=True))
    return [Gpu(name, f"{model}, {part}" if part else model) for name, model in gpus]


def shared_out(
    gpus: Sequence[Gpu], slots: int | None, slots_per_gpu: int, cores: int
) -> tuple[tuple[SlotSpec, ...], tuple[str, ...]]:
    """Slots, and each one's GPU: one on each first, then a second on each; slots beyond that train on cores."""
    places = [gpu for _ in range(slots_per_gpu) for gpu in gpus]
    count = slots if slots is not None else (len(places) or cores)
    cpus = max(1, cores // count)
    processor = processor_model()
    specs = tuple(
        SlotSpec(index=index, device="cuda", model=places[index].model, cpus=cpus, gpus=1)
        if index < len(places)
        else SlotSpec(index=index, device="cpu", model=processor, cpus=cpus, gpus=0)
        for index in range(count)
    )
    return specs, tuple(places[index].name if index < len(places) else "" for index in range(count))


def usable_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def processor_model() -> str:
    """The processor's model, as the system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def gpu_names(count: int, variables: Mapping[str, str]) -> list[str]:
    """How each visible GPU is named in ``CUDA_VISIBLE_DEVICES``: as the daemon's own variable names it, if set."""
    visible = visible_names(variables)
    return visible[:count] if len(visible) >= count else [str(index) for index in range(count)]


def visible_names(variables: Mapping[str, str]) -> list[str]:
    """What ``CUDA_VISIBLE_DEVICES`` names."""
    return [name.strip() for name in variables.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
