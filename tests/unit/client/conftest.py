import pytest

import hippo_client as hippo
from tests.unit.client.service import TOKEN, Server

TRAINER = """
import hippo_client as hippo


class Small(hippo.Trainer):
    def setup(self, context): ...
    def apply(self, hp): ...
    def train(self, step): ...
    def evaluate(self): return {"accuracy": 1.0}
"""

STUDY = """
import hippo_client as hippo
from hippo_client import space

study = hippo.Study(
    "trainer:Small", {"lr": space.choice([0.1, 0.2])}, maximize="accuracy", max_steps=3
)
"""


@pytest.fixture(autouse=True)
def no_server_around(monkeypatch, tmp_path_factory):
    """Neither a server nor a token nor a home of whoever runs the tests."""
    for name in ("HIPPO_SERVER", "HIPPO_TOKEN", "HIPPO_TOKEN_FILE", "HIPPO_CA", "HIPPO_CERT", "HIPPO_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HIPPO_HOME", str(tmp_path_factory.mktemp("home") / "hippo"))


@pytest.fixture
def folder(tmp_path):
    """A study's folder: study.py and trainer.py."""
    (tmp_path / "study.py").write_text(STUDY)
    (tmp_path / "trainer.py").write_text(TRAINER)
    return tmp_path


@pytest.fixture
def server():
    with Server() as started:
        yield started


@pytest.fixture
def service(server):
    return server.service


@pytest.fixture
def client(server):
    with hippo.Client(server.address, TOKEN) as made:
        yield made
