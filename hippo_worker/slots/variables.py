"""Which environment variables the processes that run user code are born with: a list of what may pass.

Not a list of what may not: a credential that nobody thought of stays with the daemon. What a study needs beside
these it names in ``env`` (values of its own) or ``secrets`` (names of the worker's secrets).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

MARK = "HIPPO_WORKER_FOLDER"  #: names the data folder of the daemon that a process belongs to

_PASSED = frozenset(
    {
        "HOME",
        "LANG",
        "LANGUAGE",
        "LOGNAME",
        "PATH",
        "SHELL",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TEMP",
        "TERM",
        "TMP",
        "TMPDIR",
        "TZ",
        "USER",
        "VIRTUAL_ENV",
    }
)
_PASSED_PREFIXES = (
    "CONDA_",
    "CUDA_",
    "DYLD_",
    "HF_HOME",
    "LC_",
    "LD_",
    "NCCL_",
    "NVIDIA_",
    "PYTHON",
    "TORCH",
    "XDG_",
)
# What decides bits and begins like others that pass: a study that wants it names it in ``env``.
_HELD_BACK = frozenset(
    {
        "NVIDIA_TF32_OVERRIDE",
        "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
        "TORCH_BLAS_PREFER_CUBLASLT",
        "TORCH_LINALG_PREFER_CUSOLVER",
    }
)
# What decides the order of floating-point sums or of sets is the same in every runner: NumPy's libraries read
# their thread counts when they are loaded, Python its hash seed when it starts; torch's threads are set by its host.
_FIXED = {
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}


def base_environment(worker: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What every runner of the daemon with this data folder is born with."""
    passed = {
        name: value
        for name, value in sorted(worker.items())
        if name in _PASSED or (name.startswith(_PASSED_PREFIXES) and name not in _HELD_BACK)
    }
    return {**passed, **_FIXED, MARK: str(folder)}
