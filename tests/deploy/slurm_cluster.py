"""A Slurm of one node, this machine, on loopback: Debian's munged, slurmctld and slurmd as processes of the test's."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import process_end, until

PROGRAMS = ("sbatch", "scontrol", "scancel", "squeue", "slurmctld", "slurmd", "munged")
_PATH = f"{os.environ['PATH']}:/usr/sbin"


def why_not() -> str:
    """Why there can be none here; empty: there can."""
    missing = [each for each in PROGRAMS if shutil.which(each, path=_PATH) is None]
    if missing:
        return f"{', '.join(missing)} not installed (Debian: slurm-wlm)"
    return "" if os.geteuid() == 0 else "slurmd runs as root only"


@dataclass(frozen=True)
class Cluster:
    """A running one.

    Attributes:
        folder: Where its files lie.
    """

    folder: Path

    def run(self, *words: str | Path, **variables: str) -> str:
        """Runs one of its commands; gives what it prints."""
        done = subprocess.run(
            words,
            env={"PATH": _PATH, "SLURM_CONF": str(self.folder / "slurm.conf"), **variables},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout.strip()

    def jobs(self) -> dict[str, str]:
        """The states of the jobs that are not over, by array's number; those that wait for a place together."""
        lines = self.run("squeue", "--noheader", "--all", "--format=%K %T").splitlines()
        return dict(line.split() for line in lines)

    def log(self) -> str:
        """What its parts said."""
        return "\n".join(
            f"== {each.name}\n{each.read_text()}" for each in sorted(self.folder.glob("*.daemon.log"))
        )


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Starts one, and ends it."""
    # Not below a folder that only root may pass: munged is another user's.
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    munge = pwd.getpwnam("munge")
    own = folder / "munge"
    own.mkdir(mode=0o755)
    (own / "key").write_bytes(secrets.token_bytes(128))
    (own / "key").chmod(0o400)
    for each in (own, own / "key"):
        os.chown(each, munge.pw_uid, munge.pw_gid)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    controller, node = _free_port(), _free_port()
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(
        "\n".join(
            (
                "ClusterName=test",
                f"SlurmctldHost={host}(127.0.0.1)",
                f"SlurmctldPort={controller}",
                f"SlurmdPort={node}",
                "SlurmUser=root",
                "AuthType=auth/munge",
                f"AuthInfo=socket={own / 'socket'}",
                "ProctrackType=proctrack/linuxproc",
                "TaskPlugin=task/none",
                "SelectType=select/cons_tres",
                "SelectTypeParameters=CR_Core",
                "ReturnToService=2",
                "MpiDefault=none",
                "KillWait=5",
                "MinJobAge=300",
                f"StateSaveLocation={folder / 'state'}",
                f"SlurmdSpoolDir={folder / 'spool'}",
                f"SlurmctldPidFile={folder / 'slurmctld.pid'}",
                f"SlurmdPidFile={folder / 'slurmd.pid'}",
                "JobRequeue=1",
                f"NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN",
                f"PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP",
                "",
            )
        )
    )
    made = Cluster(folder)
    with contextlib.ExitStack() as ends:
        ends.enter_context(
            _daemon(
                made,
                *("munged", "--foreground", f"--key-file={own / 'key'}", f"--socket={own / 'socket'}"),
                *(f"--log-file={own / 'log'}", f"--pid-file={own / 'pid'}", f"--seed-file={own / 'seed'}"),
                user=munge.pw_uid,
                group=munge.pw_gid,
            )
        )
        until((own / "socket").exists, "munge's socket")
        for name in ("slurmctld", "slurmd"):
            ends.enter_context(_daemon(made, name, "-D", "-f", str(folder / "slurm.conf")))
        until(lambda: "idle" in _asked(made, "sinfo", "--noheader", "--format=%t"), "an idle node")
        yield made


@contextlib.contextmanager
def _daemon(made: Cluster, name: str, *words: str, **owner: int) -> Iterator[None]:
    with (made.folder / f"{name}.daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [str(shutil.which(name, path=_PATH)), *words],
            stdout=log,
            stderr=log,
            env={"PATH": _PATH, "SLURM_CONF": str(made.folder / "slurm.conf")},
            **owner,  # type: ignore[arg-type]
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process_end(process.pid)
        process.wait()


def _asked(made: Cluster, *words: str) -> str:
    done = subprocess.run(
        words,
        env={"PATH": _PATH, "SLURM_CONF": str(made.folder / "slurm.conf")},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
