"""What decides bits beside the program: threads, deterministic algorithms, the device.

A bare loop that is to give the same bits sets, before it touches a GPU::

    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.set_num_threads(cpus)                      # Resources(cpus=), 1 by default
    torch.use_deterministic_algorithms(True)         # Study(deterministic=True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True

Deterministic algorithms also have torch write the memory that it hands out unwritten. That takes a small network some
2 % of its time, and is left so: a trainer may save memory that it never wrote, and equal trainings save equal states.
"""

from __future__ import annotations

import multiprocessing
import os

import torch

from hippo_worker.hosting.failures import InvalidTrainer

CPU = "cpu"
CUDA = "cuda"


def prepare(
    device: str, threads: int, deterministic: bool, memory_fraction: float | None = None
) -> torch.device:
    """Makes torch do as the program says, and gives the device to train on.

    Args:
        device: "cpu" or "cuda"; the runner sees only the GPU that its slot holds.
        threads: How many threads an operation on the processor may use; at least 1.
        deterministic: Whether operations without a deterministic form are errors.
        memory_fraction: How much of the GPU's memory this process may take, above 0 and up to 1; None: all there is.
            What goes beyond is an out-of-memory error here, and not in a process that shares the GPU.
    """
    # Read by cuBLAS when its first handle is made; without it deterministic matrix products are refused.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # A process that a forkserver has started would start its own ones by another forkserver; a trainer's data
    # loaders are to behave as they do in a bare loop.
    multiprocessing.set_start_method(None, force=True)
    torch.set_num_threads(threads)
    # As torch.use_deterministic_algorithms() does it, which imports the whole compiler: seconds, for what a
    # variable does where a trainer compiles.
    torch.set_deterministic_debug_mode("error" if deterministic else "default")
    os.environ["TORCHINDUCTOR_DETERMINISTIC"] = "1" if deterministic else "0"
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = deterministic
    if device == CPU:
        return torch.device(CPU)
    if device != CUDA:
        raise ValueError(f"unknown device {device!r}: cpu or cuda")
    chosen = torch.device(CUDA, 0)
    torch.cuda.set_device(chosen)
    if memory_fraction is not None:
        torch.cuda.set_per_process_memory_fraction(memory_fraction, chosen)
    return chosen


def is_broken(device: str) -> bool:
    """Whether the device has failed for this process: once a kernel has broken down on a GPU, all later calls fail."""
    if device != CUDA:
        return False
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return True
    return False


def require_threads(threads: int) -> None:
    """Refuses a trainer that has set another number of threads, as results on the processor depend on it."""
    found = torch.get_num_threads()
    if found != threads:
        raise InvalidTrainer(
            f"The trainer set torch to {found} threads; the study says {threads}.",
            f"Remove torch.set_num_threads() and write Study(resources=Resources(cpus={found})).",
        )
