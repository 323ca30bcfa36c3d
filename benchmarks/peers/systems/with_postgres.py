"""``python with_postgres.py HOME COMMAND...``: an embedded PostgreSQL as Hippo's for a command that wants a database.

The cluster in the home is made where there is none. The command reads its URL in ``PEERS_DATABASE``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hippo_server.postgres import EmbeddedPostgres
from hippo_server.postgres.embedded import SETTINGS

CONNECTIONS = 300
"""A process of Optuna's holds two or three, where Hippo's server has a few for all."""


def main() -> None:
    SETTINGS["max_connections"] = str(CONNECTIONS)
    database = EmbeddedPostgres(Path(sys.argv[1]))
    url = database.start()
    try:
        sys.exit(
            subprocess.run(sys.argv[2:], env={**os.environ, "PEERS_DATABASE": url}, check=False).returncode
        )
    finally:
        database.stop()


if __name__ == "__main__":
    main()
