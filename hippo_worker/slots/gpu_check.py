"""Asks the driver for the one visible GPU, and has it write and read some memory. Exits with 0 where that goes well.

It speaks to ``libcuda`` itself: importing torch would take longer than all else, and a context of its own is let go of
at once. Names and numbers are those of the CUDA driver API. A warm runner may hold all of the memory, or the GPU itself
where only one process may; then the driver's refusal is the answer of a GPU that works.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

BYTES = 1 << 20
PATTERN = 0xA5
OCCUPIED = frozenset({2, 46})  #: CUDA_ERROR_OUT_OF_MEMORY, CUDA_ERROR_DEVICE_UNAVAILABLE
COMPUTE_MODE = 20  #: CU_DEVICE_ATTRIBUTE_COMPUTE_MODE
PROHIBITED = 2  #: CU_COMPUTEMODE_PROHIBITED


class GpuFailed(Exception):
    """The GPU, or its driver, does not work."""


class GpuOccupied(Exception):
    """There is no room on the GPU to try it."""


def check(cuda: Any) -> None:
    """Initialises the driver, and uses the first GPU.

    Args:
        cuda: The driver's library.

    Raises:
        GpuFailed: A call failed; names it, and the driver's error. Or nobody may use the GPU.
        GpuOccupied: It is used to the full.
    """

    def call(name: str, *arguments: Any) -> None:
        code = getattr(cuda, name)(*arguments)
        if code in OCCUPIED:
            raise GpuOccupied
        if code:
            text = ctypes.c_char_p()
            cuda.cuGetErrorString(code, ctypes.byref(text))
            said = (text.value or b"unknown error").decode(errors="replace")
            raise GpuFailed(f"{name} failed with {code}: {said}")

    device, mode = ctypes.c_int(), ctypes.c_int()
    context, memory = ctypes.c_void_p(), ctypes.c_uint64()
    call("cuInit", 0)
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuDeviceGetAttribute", ctypes.byref(mode), COMPUTE_MODE, device)
    if mode.value == PROHIBITED:
        raise GpuFailed("the GPU's compute mode is Prohibited: nvidia-smi --compute-mode sets another")
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    call("cuCtxSetCurrent", context)
    call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(BYTES))
    call("cuMemsetD8_v2", memory, ctypes.c_ubyte(PATTERN), ctypes.c_size_t(BYTES))
    found = (ctypes.c_ubyte * BYTES)()
    call("cuMemcpyDtoH_v2", found, memory, ctypes.c_size_t(BYTES))
    if bytes(found) != bytes([PATTERN]) * BYTES:
        raise GpuFailed("the GPU's memory did not keep what was written to it")
    call("cuMemFree_v2", memory)


def main() -> int:
    """The command: what is wrong is printed."""
    try:
        check(ctypes.CDLL("libcuda.so.1"))
    except GpuOccupied:
        return 0
    except (OSError, GpuFailed) as error:
        print(error)  # noqa: T201 - whoever asks reads it
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
