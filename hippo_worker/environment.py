"""What a worker offers: its slots and the environment that decides bits. The daemon itself never imports torch."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hippo_core.engine.commands import SlotSpec
from hippo_worker.slots.spawner import Spawner


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


async def describe(spawner: Spawner, slots: int | None) -> Offer:
    """Asks the forkserver for torch and GPUs, the system for the rest.

    Args:
        spawner: Its forkserver is the process that has imported torch.
        slots: How many slots; None: one for each GPU, else one for each core.

    Raises:
        HippoError: torch cannot be imported.
    """
    torch = await spawner.torch()
    models = await spawner.devices()
    cores = usable_cores()
    count = slots if slots is not None else (len(models) or cores)
    cpus = max(1, cores // count)
    processor = processor_model()
    names = gpu_names(len(models), os.environ)
    return Offer(
        environment={
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "torch": torch["torch"],
            "cuda": torch["cuda"],
            "platform": f"{platform.system()}-{platform.machine()}",
        },
        # GPUs go to the first slots; slots beyond them train on cores.
        slots=tuple(
            SlotSpec(index=index, device="cuda", model=models[index], cpus=cpus, gpus=1)
            if index < len(models)
            else SlotSpec(index=index, device="cpu", model=processor, cpus=cpus, gpus=0)
            for index in range(count)
        ),
        gpus=tuple(names[index] if index < len(models) else "" for index in range(count)),
    )


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
    visible = [name.strip() for name in variables.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return visible[:count] if len(visible) >= count else [str(index) for index in range(count)]
