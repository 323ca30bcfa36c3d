"""``python with_postgres.py HOME COMMAND...``: an embedded PostgreSQL as Hippo's for a command that wants a database.

The cluster in the home is made where there is none. The command reads its URL in ``PEERS_DATABASE``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hippo_server.postgres import EmbeddedPostgres


def main() -> None:
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
