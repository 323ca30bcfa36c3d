"""Where torch's compilers keep the modules that they make while a program runs."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def compiler_caches() -> tuple[Path, ...]:
    """The folders of Inductor and of Triton, as far as they are in use in this process.

    What lies there was made of the trainer's code by an installed compiler, so that both are known already: it is
    neither the study's nor anybody else's. Inductor names its folder in the environment when it first needs it.
    """
    folders = [os.environ.get("TORCHINDUCTOR_CACHE_DIR"), os.environ.get("TRITON_CACHE_DIR")]
    with contextlib.suppress(RuntimeError):  # an account without a home has no cache in it
        folders.append(f"{os.environ.get('TRITON_HOME') or Path.home()}/.triton/cache")
    return tuple(Path(folder).resolve() for folder in folders if folder)
