"""Generates ``hippo_wire/v1`` from ``proto/hippo/v1``: ``python proto/generate.py [FOLDER]``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent / "hippo" / "v1"


def generate(target: Path) -> None:
    """Writes the generated modules below ``target``/hippo_wire/v1."""
    target.mkdir(parents=True, exist_ok=True)
    # protoc looks for its plugins there; they lie beside the interpreter, whether or not its environment is active.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    include = Path(protoc.__file__).resolve().parent / "_proto"
    status = protoc.main(
        [
            "protoc",
            f"-Ihippo_wire/v1={PROTO}",
            f"-I{include}",
            f"--python_out={target}",
            f"--grpc_python_out={target}",
            f"--mypy_out=quiet:{target}",
            f"--mypy_grpc_out=quiet:{target}",
            *(f"hippo_wire/v1/{path.name}" for path in sorted(PROTO.glob("*.proto"))),
        ]
    )
    if status != 0:
        raise SystemExit(status)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
