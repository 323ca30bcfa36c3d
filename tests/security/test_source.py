"""Rules about the source that no linter here knows: what is never called, and what is never imported where.

A rule is worth what it finds: each is tried on code that breaks it.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from hippo_core.syntax import parse_module
from hippo_storage.layout import collect

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "hippo_core",
    "hippo_wire",
    "hippo_storage",
    "hippo_server",
    "hippo_worker",
    "hippo_client",
    "migrations",
)
SHIPPED = tuple(
    path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if not path.name.endswith(("_pb2.py", "_pb2_grpc.py"))
)
#: Where user code is loaded, which is what these are for.
EXEC = {"hippo_client/study_file.py"}
CLIENTS = {
    "urllib.request",
    "urllib3",
    "requests",
    "httpx",
    "aiohttp",
    "http.client",
    "ftplib",
    "smtplib",
    "telnetlib",
}


def dotted(node: ast.expr) -> str:
    """A name with its dots; empty: it is something else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{before}.{name}" if (before := dotted(value)) else ""
        case _:
            return ""


def breaches(source: str) -> Iterator[str]:
    """What of a file breaks a rule."""
    for node in ast.walk(parse_module(source)):
        if isinstance(node, ast.Call):
            name, keywords = dotted(node.func), {each.arg: each.value for each in node.keywords}
            if name in {"eval", "exec", "compile", "__import__"}:
                yield name
            if name in {
                "pickle.load",
                "pickle.loads",
                "pickle.Unpickler",
                "marshal.loads",
                "shelve.open",
                "dill.loads",
            }:
                yield name
            if name in {
                "joblib.load",
                "cloudpickle.load",
                "cloudpickle.loads",
                "pandas.read_pickle",
                "pd.read_pickle",
            }:
                yield name
            if name in {"np.load", "numpy.load"} and not _is(keywords.get("allow_pickle"), False):
                yield name
            if name == "torch.load":
                yield name
            if name in {"yaml.load", "yaml.unsafe_load", "yaml.full_load"}:
                yield name
            if name in {"os.system", "os.popen", "subprocess.getoutput", "asyncio.create_subprocess_shell"}:
                yield name
            if "shell" in keywords and not _is(keywords["shell"], False):
                yield f"{name}(shell=)"
            if name in {"tempfile.mktemp", "shutil.unpack_archive"} or name.endswith(".extractall"):
                yield name
        if isinstance(node, ast.ImportFrom) and node.module in {
            "pickle",
            "marshal",
            "shelve",
            "dill",
            "cloudpickle",
        }:
            yield f"from {node.module}"


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def imported(source: str) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(parse_module(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_nothing_that_runs_what_it_reads_is_called() -> None:
    """S07, S16. No unpickling, no YAML that builds objects, no shell, no code from text but where users' is loaded."""
    found = {
        (str(path.relative_to(ROOT)), breach) for path in SHIPPED for breach in breaches(path.read_text())
    }
    allowed = {(file, breach) for file, breach in found if breach in {"exec", "compile"} and file in EXEC}
    assert found - allowed == set()


def test_the_server_asks_nobody() -> None:
    """S11. No address that a user gives is ever fetched: the server has no client of any protocol but its database's.

    Storage is opened at the address that the administrator gives.
    """
    for package in ("hippo_server", "hippo_wire", "hippo_core"):
        for path in (ROOT / package).rglob("*.py"):
            assert not imported(path.read_text()) & CLIENTS, path


def test_presented_tokens_are_compared_by_their_hashes_in_constant_time() -> None:
    """S10. What is looked up is a SHA-256, of which nobody can choose the first bytes; then it is compared again."""
    source = (ROOT / "hippo_server" / "auth" / "tokens.py").read_text()
    found = {
        node.name: node
        for node in ast.walk(parse_module(source))
        if isinstance(node, ast.FunctionDef) and node.name in ("identify", "holder")
    }
    called = {
        name: {dotted(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
        for name, function in found.items()
    }
    assert {"secret_hash", "self.holder"} <= called["identify"]
    assert "hmac.compare_digest" in called["holder"]
    compared = [
        node
        for function in found.values()
        for node in ast.walk(function)
        if isinstance(node, ast.Compare)
        and isinstance(node.ops[0], ast.Eq | ast.NotEq)
        and {"authorization", "presented"}
        & {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    ]
    assert not compared


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)", "exec(text)", "pickle.loads(data)", "pickle.Unpickler(file).load()", "from pickle import loads",
        "torch.load(file)", "torch.load(file, weights_only=True)", "np.load(file)", "np.load(file, allow_pickle=True)",
        "yaml.load(text)", "os.system(text)", "subprocess.run(text, shell=True)", "subprocess.run(text, shell=flag)",
        "archive.extractall(folder)", "tempfile.mktemp()",
    ],
)  # fmt: skip
def test_the_rules_find_what_they_are_for(line: str) -> None:
    assert list(breaches(f"def function():\n    {line}\n"))


@pytest.mark.parametrize(
    "line",
    [
        "model.eval()",
        "np.load(file, allow_pickle=False)",
        "subprocess.run(words, shell=False)",
        "json.loads(text)",
    ],
)
def test_the_rules_find_nothing_else(line: str) -> None:
    assert not list(breaches(line))


def test_an_import_is_found_wherever_it_is() -> None:
    assert imported("def f():\n    import httpx.client\n    from urllib import request\n") >= {
        "httpx.client",
        "urllib.request",
    }


LOADED = """
import json, sys

read = []
sys.addaudithook(lambda event, arguments: read.append(event) if event.startswith("pickle.") else None)
{program}
print(json.dumps([sorted({{"torch"}} & set(sys.modules)), sorted(set(read))]))
"""


@pytest.mark.parametrize(
    "program",
    [
        "import hippo_server.server, hippo_server.main, hippo_server.web.app, hippo_server.rpc.serving",
        "import hippo_client, hippo_client.client, hippo_client.handles.study, hippo_client.notebook\n"
        "from hippo_client.cli.main import app, call\nfor name in app.list_commands(None): app.get_command(None, name)",
    ],
    ids=["server", "client"],
)
def test_server_and_client_load_no_torch_and_unpickle_nothing(program: str) -> None:
    """S07. Seen by the interpreter itself: its audit hook hears of every class that is unpickled."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(program=program)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [[], []]


def test_what_must_not_travel_stays_at_home(tmp_path: Path) -> None:
    """Files that hold secrets by their name are in no bundle, though nothing ignores them."""
    for name in (
        ".env",
        "prod.env",
        "secrets.env",
        "a.token",
        "id_rsa",
        "key.pem",
        ".netrc",
        ".aws/credentials",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("canary")
    (tmp_path / "trainer.py").write_text(textwrap.dedent("x = 1\n"))
    assert list(collect(tmp_path)) == ["trainer.py"]
