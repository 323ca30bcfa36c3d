"""An S3 server on loopback, in a process of its own."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.waiting import until


@dataclass(slots=True, kw_only=True)
class S3Server:
    """A server that runs.

    Attributes:
        address: Its URL.
    """

    address: str
    _process: subprocess.Popen[bytes]
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def stop(self) -> None:
        """Stops it where it stands: it takes connections, and does not answer."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Lets it go on."""
        self._process.send_signal(signal.SIGCONT)

    @property
    def variables(self) -> dict[str, str]:
        """What a process's environment holds that is to reach it: the address, and credentials."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": "hippo-key",
            "AWS_SECRET_ACCESS_KEY": "hippo-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def new_bucket(self) -> str:
        """Makes a bucket, and gives its name."""
        import boto3

        name = f"bucket-{next(self._numbers)}"
        client = boto3.client(
            "s3",
            endpoint_url=self.address,
            region_name="us-east-1",
            aws_access_key_id="hippo-key",
            aws_secret_access_key="hippo-secret",
        )
        client.create_bucket(Bucket=name)
        client.close()
        return name


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Runs a server; what it is given goes with it.

    Args:
        folder: For its log.
    """
    log = folder / "s3.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            stdout=file,
            stderr=file,
            env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        )
    try:
        found = until(
            lambda: re.search(r"Running on (http://127\.0\.0\.1:\d+)", log.read_text()), "an S3 server"
        )
        assert found is not None
        yield S3Server(address=found[1], _process=process)
    finally:
        process.kill()
        process.wait()
