"""Workers as jobs of the real Slurm: Debian's, on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hippo_client import Client
from tests.acceptance.conftest import COMMAND, Pool, environment
from tests.deploy.slurm_cluster import cluster, why_not
from tests.waiting import until

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "slurm" / "hippo-workers.sbatch"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may pass, as parts of Slurm are theirs."""
    made = Path(tempfile.mkdtemp(prefix="hippo-slurm-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.mark.soak
@pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
def test_an_array_of_workers_trains_a_study_on_slurm(pool: Pool, tmp_path: Path, open_folder: Path) -> None:
    """
    1. an array of three, two at once: they come by their names, over TLS, and train
    2. the first is told to end: it saves and leaves, and the third takes its place
    3. the second is queued again: it comes back under its name
    4. no step is lost and no trial fails; when all is trained the workers leave, and no job is left
    """
    certs = pool.path / "certs"
    subprocess.run(
        [*COMMAND, "certs", "init", "--dir", certs], env=environment(), check=True, capture_output=True
    )
    pool.end("server")
    pool.start_server("--tls-cert", str(certs / "server.pem"), "--tls-key", str(certs / "server.key"))
    client = Client(
        pool.address, (pool.path / "server" / "admin.token").read_text().strip(), ca=certs / "ca.pem"
    )
    (pool.folder / "slow.py").write_text(
        "import time\nimport hippo_client as hippo\nfrom hippo_client import space\n\n\n"
        "class Slow(hippo.Trainer):\n    def setup(self, context): self.total = 0.0\n"
        "    def apply(self, hp): self.lr = hp['lr']\n"
        "    def train(self, step):\n        time.sleep(0.25)\n        self.total += self.lr\n"
        "    def evaluate(self): return {'loss': 1 / (1 + self.total)}\n\n\n"
        "study = hippo.Study(Slow, {'lr': space.choice([0.1, 0.2, 0.3])}, minimize='loss', max_steps=100)\n"
    )

    def live() -> set[str]:
        return {name for (name,) in pool.query("SELECT name FROM workers WHERE state = 'live'")}

    def lives(name: str) -> int:
        registered = "SELECT count(*) FROM journal WHERE event = 'WorkerRegistered' AND body->>'worker' = %s"
        return int(pool.query(registered, name)[0][0])

    with cluster(open_folder / "slurm") as slurm:
        subprocess.run(
            [*COMMAND, "submit", "slow.py"],
            cwd=pool.folder,
            env=environment(
                HIPPO_HOME=str(tmp_path / "ada"),
                HIPPO_SERVER=pool.address,
                HIPPO_CA=str(certs / "ca.pem"),
                HIPPO_TOKEN_FILE=str(pool.path / "server" / "admin.token"),
            ),
            check=True,
            capture_output=True,
        )
        said = slurm.run(
            *("sbatch", "--parsable", "--array=1-3%2", "--gres=none", "--cpus-per-task=1", SCRIPT),
            PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            HIPPO_SERVER=pool.address,
            HIPPO_CA=str(certs / "ca.pem"),
            HIPPO_TOKEN_FILE=str(pool.path / "server" / "worker.token"),
            HIPPO_DATA_DIR=str(tmp_path / "data"),
            HIPPO_EXIT_WHEN_IDLE="20s",
        )
        job = said.partition(";")[0]
        first, second, third = (f"test-{job}-{number}" for number in (1, 2, 3))
        until(lambda: live() == {first, second}, f"two workers\n{slurm.log()}")
        slurm.run("scancel", "--batch", "--signal=TERM", f"{job}_1")
        until(lambda: third in live(), "the third worker")
        assert first not in live()
        slurm.run("scontrol", "requeue", f"{job}_2")
        until(lambda: lives(second) == 2, "the second worker's second life", 300)
        client.study("slow").wait(progress=False, timeout=300)
        until(lambda: not slurm.jobs(), "the end of all jobs", 300)
        logs = {
            number: (slurm.folder / f"hippo-worker-{job}_{number}.log").read_text() for number in (1, 2, 3)
        }
    trials = client.study("slow").trials()
    assert [(trial.state, trial.step) for trial in trials] == [("completed", 100)] * 3
    assert "the worker was told to end" in logs[1]
    assert all("--exit-when-idle" in logs[number] for number in (2, 3))
    assert pool.query("SELECT count(*) FROM journal WHERE event = 'PathFailed'")[0][0] == 0
