"""A process that publishes a checkpoint and dies at one named point, as if by SIGKILL.

Arguments: the storage's root, the folder, the point.
"""

import os
import sys
from pathlib import Path

from hippo_storage.local import LocalStorage
from hippo_storage.manifest import CheckpointLocation

LOCATION = CheckpointLocation(plan=1, node=2, step=30, fence=7)
DIED = 86


def main(root: str, folder: str, fatal: str) -> None:
    def hook(point: str) -> None:
        if point == fatal:
            os._exit(DIED)

    LocalStorage(Path(root), hook=hook).publish(Path(folder), LOCATION, {"unit": "epoch"})


if __name__ == "__main__":
    main(*sys.argv[1:])
