"""torch's settings of a whole process that decide bits: precisions, and which kernels may be chosen.

A trainer may set them: in ``setup``, in ``apply``, or while it trains. They are part of its state then, and the next
trainer of the process must not find them. `hippo_worker.hosting.runtime` says what they are at first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.backends import cuda, cudnn, mkldnn

Plain = bool | int | str | list[bool] | None


@dataclass(frozen=True, slots=True)
class _Setting:
    read: Callable[[], Plain]
    write: Callable[[Any], None]


def capture_numerics() -> dict[str, Plain]:
    """All settings, as plain data."""
    return {name: setting.read() for name, setting in _SETTINGS.items()}


def restore_numerics(saved: Mapping[str, Plain]) -> None:
    """The inverse of `capture_numerics`; one that this torch does not have is left out."""
    for name, setting in _SETTINGS.items():
        if name in saved and setting.read() != saved[name]:
            setting.write(saved[name])


def _attribute(owner: Any, name: str) -> _Setting:
    return _Setting(lambda: getattr(owner, name), lambda value: setattr(owner, name, value))


def _reduction(name: str) -> _Setting:
    """Whether sums of products may be rounded on the way, and over parts that are added up; set as a pair."""

    def read() -> Plain:
        whole = getattr(cuda.matmul, name)
        return [whole, getattr(cuda.matmul, f"{name}_split_k", whole)]

    def write(value: list[bool]) -> None:
        has_parts = hasattr(cuda.matmul, f"{name}_split_k")
        setattr(cuda.matmul, name, tuple(value) if has_parts else value[0])

    return _Setting(read, write)


def _older(read: Callable[[], Plain], write: Callable[[Any], None]) -> _Setting:
    """A setting by its older name, which torch refuses to read where the newer ones contradict it."""

    def read_if_any() -> Plain:
        try:
            return read()
        except RuntimeError:
            return None

    return _Setting(read_if_any, lambda value: None if value is None else write(value))


def _choice(function: Callable[..., Any]) -> _Setting:
    return _Setting(lambda: str(function().name).lower(), lambda value: function(value) and None)


def _settings() -> dict[str, _Setting]:
    found = {
        # Older names first: they set the newer ones as well; and what others inherit before these.
        "float32_matmul_precision": _older(
            torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
        ),
        "cudnn.allow_tf32": _older(
            lambda: cudnn.allow_tf32, lambda value: setattr(cudnn, "allow_tf32", value)
        ),
        "fp32_precision": _attribute(torch.backends, "fp32_precision"),
        "cudnn.fp32_precision": _attribute(cudnn, "fp32_precision"),
    }
    parts = {"cuda": ("matmul",), "cudnn": ("conv", "rnn"), "mkldnn": ("matmul", "conv", "rnn")}
    for library, names in parts.items():
        for name in names:
            part = getattr(getattr(torch.backends, library), name)
            found[f"{library}.{name}.fp32_precision"] = _attribute(part, "fp32_precision")
    found |= {f"cuda.matmul.{name}": _reduction(name) for name in (
        "allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction"
    )}  # fmt: skip
    found["cuda.matmul.allow_fp16_accumulation"] = _attribute(cuda.matmul, "allow_fp16_accumulation")
    of_cudnn = ("enabled", "benchmark", "benchmark_limit", "deterministic", "depthwise_kernel")
    found |= {
        f"cudnn.{name}": _attribute(cudnn, name)
        for name in of_cudnn
        if getattr(cudnn, name, None) is not None
    }
    found |= {f"mkldnn.{name}": _attribute(mkldnn, name) for name in ("enabled", "deterministic")}
    return found | {
        "sdp.flash": _Setting(cuda.flash_sdp_enabled, cuda.enable_flash_sdp),
        "sdp.mem_efficient": _Setting(cuda.mem_efficient_sdp_enabled, cuda.enable_mem_efficient_sdp),
        "sdp.math": _Setting(cuda.math_sdp_enabled, cuda.enable_math_sdp),
        "sdp.cudnn": _Setting(cuda.cudnn_sdp_enabled, cuda.enable_cudnn_sdp),
        "sdp.reduction": _Setting(
            cuda.fp16_bf16_reduction_math_sdp_allowed, cuda.allow_fp16_bf16_reduction_math_sdp
        ),
        "linalg_library": _choice(cuda.preferred_linalg_library),
        "blas_library": _choice(cuda.preferred_blas_library),
        "deterministic": _Setting(torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
        "default_dtype": _Setting(
            lambda: str(torch.get_default_dtype()).removeprefix("torch."),
            lambda value: torch.set_default_dtype(getattr(torch, value)),
        ),
    }


_SETTINGS = _settings()
