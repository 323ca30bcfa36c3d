"""The code digest follows what the trainer imports, as the interpreter does, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from hippo_core.errors import InvalidStudy
from hippo_storage.bundle import build, unpack
from hippo_storage.code import TrainerMissing, code_digest, code_files

REPOSITORY = Path(__file__).parents[3]


def tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def files_of(folder: Path, trainer: str = "trainer", **options: object) -> list[str]:
    return list(code_files(folder, trainer, **options))  # type: ignore[arg-type]


def test_only_what_is_imported_counts(tmp_path: Path) -> None:
    folder = tree(
        tmp_path,
        {
            "trainer.py": "import torch, os\nimport model\nfrom lib import layers as l\n",
            "model.py": "import lib.blocks.conv\n",
            "lib/__init__.py": "from . import base\n",
            "lib/base.py": "",
            "lib/layers.py": "def f():\n    from .deep import thing\n",
            "lib/deep/__init__.py": "",
            "lib/deep/thing.py": "from ..blocks import norm\n",
            "lib/blocks/__init__.py": "",
            "lib/blocks/conv.py": "",
            "lib/blocks/norm.py": "import json",
            "lib/unused.py": "",
            "unused.py": "import nothing",
            "study.py": "import trainer",
            "broken.py": "def (",
            "data.json": "{}",
        },
    )
    assert files_of(folder, study_file=folder / "study.py") == [
        "lib/__init__.py", "lib/base.py", "lib/blocks/__init__.py", "lib/blocks/conv.py", "lib/blocks/norm.py",
        "lib/deep/__init__.py", "lib/deep/thing.py", "lib/layers.py", "model.py", "trainer.py",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "statement",
    [
        "import extra", "import extra as e", "from extra import a", "from extra import *", "from . import extra",
        "from .extra import a", "def f():\n    import extra", "try:\n    import extra\nexcept ImportError:\n    pass",
        "class A:\n    import extra", "if x:\n    pass\nelse:\n    import extra", "async def f():\n    import extra",
        "import importlib\nimportlib.import_module('extra')", "import_module('extra')", "__import__('extra')",
        "import importlib\nimportlib.import_module('.extra', __package__)", "with x:\n    import extra",
        "f = lambda: __import__('extra').a", "if TYPE_CHECKING:\n    pass\nelse:\n    import extra",
    ],
)  # fmt: skip
def test_imports_count_wherever_they_stand(statement: str, tmp_path: Path) -> None:
    folder = tree(tmp_path, {"trainer.py": statement, "extra.py": "a = 1", "other.py": ""})
    assert files_of(folder) == ["extra.py", "trainer.py"]


@pytest.mark.parametrize(
    "statement",
    ["if TYPE_CHECKING:\n    import extra", "import typing\nif typing.TYPE_CHECKING:\n    import extra",
     "'import extra'", "# import extra", "model.eval()", "importlib.util.find_spec('extra')"],
)  # fmt: skip
def test_what_is_never_imported_does_not_count(statement: str, tmp_path: Path) -> None:
    folder = tree(tmp_path, {"trainer.py": statement, "extra.py": "a = 1"})
    assert files_of(folder) == ["trainer.py"]


@pytest.mark.parametrize(
    "statement",
    [
        "importlib.import_module(name)", "__import__(name)", "import_module('pkg.' + name)", "exec(text)", "eval(text)",
        "runpy.run_path('extra.py')", "importlib.util.spec_from_file_location('x', 'extra.py')", "import_module()",
        "import sys\nsys.path.insert(0, 'lib')", "from sys import path", "pkgutil.iter_modules(p)",
    ],
)  # fmt: skip
def test_where_a_name_is_computed_every_python_file_counts(statement: str, tmp_path: Path) -> None:
    folder = tree(
        tmp_path,
        {
            "trainer.py": "import model",
            "model.py": statement,
            "extra.py": "",
            "lib/x.py": "",
            "study.py": "",
            "a.txt": "",
        },
    )
    assert files_of(folder, study_file=folder / "study.py") == [
        "extra.py",
        "lib/x.py",
        "model.py",
        "trainer.py",
    ]


def test_a_star_imports_what_the_package_lists(tmp_path: Path) -> None:
    folder = tree(
        tmp_path,
        {
            "trainer.py": "from lib import *",
            "lib/__init__.py": "__all__ = ['a']\n__all__ += ['sub']\n",
            "lib/a.py": "",
            "lib/b.py": "",
            "lib/sub/__init__.py": "from .x import y",
            "lib/sub/x.py": "",
        },
    )
    assert files_of(folder) == [
        "lib/__init__.py",
        "lib/a.py",
        "lib/sub/__init__.py",
        "lib/sub/x.py",
        "trainer.py",
    ]


def test_packages_hide_modules_and_folders_without_init_are_packages(tmp_path: Path) -> None:
    folder = tree(
        tmp_path,
        {"trainer.py": "import lib, space.inner.x", "lib/__init__.py": "", "lib.py": "", "space/inner/x.py": "",
         "space/inner/y.py": ""},
    )  # fmt: skip
    assert files_of(folder) == ["lib/__init__.py", "space/inner/x.py", "trainer.py"]


def test_extension_modules_count_by_their_bytes(tmp_path: Path) -> None:
    folder = tree(
        tmp_path, {"trainer.py": "import fast", "fast.cpython-311-x86_64-linux-gnu.so": "1", "slow.so": ""}
    )
    assert files_of(folder) == ["fast.cpython-311-x86_64-linux-gnu.so", "trainer.py"]


def test_a_trainer_in_a_package(tmp_path: Path) -> None:
    folder = tree(
        tmp_path, {"pkg/__init__.py": "", "pkg/sub/__init__.py": "from .. import up", "pkg/up.py": "",
                   "pkg/sub/trainer.py": "from ....beyond import x\nfrom . import near\n", "pkg/sub/near.py": "",
                   "beyond.py": ""},
    )  # fmt: skip
    assert files_of(folder, "pkg.sub.trainer") == [
        "pkg/__init__.py", "pkg/sub/__init__.py", "pkg/sub/near.py", "pkg/sub/trainer.py", "pkg/up.py",
    ]  # fmt: skip


def test_imports_in_a_circle_end(tmp_path: Path) -> None:
    folder = tree(tmp_path, {"trainer.py": "import a", "a.py": "import b", "b.py": "import a, trainer"})
    assert files_of(folder) == ["a.py", "b.py", "trainer.py"]


def test_extra_folders_are_followed(tmp_path: Path) -> None:
    folder = tree(tmp_path / "study", {"trainer.py": "import mylib.net\nimport helper\n"})
    tree(tmp_path / "src" / "mylib", {"__init__.py": "", "net.py": "", "other.py": ""})
    tree(tmp_path / "scripts", {"helper.py": "", "more.py": ""})
    code = [tmp_path / "src" / "mylib", tmp_path / "scripts"]
    assert files_of(folder, code=code) == ["helper.py", "mylib/__init__.py", "mylib/net.py", "trainer.py"]
    before = code_digest(folder, "trainer", code)
    (tmp_path / "src" / "mylib" / "other.py").write_text("x = 1")
    assert code_digest(folder, "trainer", code) == before
    (tmp_path / "src" / "mylib" / "net.py").write_text("x = 1")
    assert code_digest(folder, "trainer", code) != before


def test_the_digest_changes_with_what_counts_and_with_nothing_else(tmp_path: Path) -> None:
    folder = tree(
        tmp_path, {"trainer.py": "import model", "model.py": "a = 1", "study.py": "x", "notes.md": ""}
    )
    study = folder / "study.py"
    before = code_digest(folder, "trainer", study_file=study)
    tree(
        folder,
        {"study.py": "y", "notes.md": "z", "new.py": "import model", "second_study.py": "import trainer"},
    )
    assert code_digest(folder, "trainer", study_file=study) == before
    assert code_digest(folder, "trainer", study_file=folder / "second_study.py") == before
    tree(folder, {"model.py": "a = 2"})
    assert code_digest(folder, "trainer", study_file=study) != before
    tree(folder, {"model.py": "a = 1"})
    assert code_digest(folder, "trainer", study_file=study) == before
    tree(folder, {"trainer.py": "import model  # a comment"})
    assert code_digest(folder, "trainer", study_file=study) != before


def test_names_count_as_well_as_bytes(tmp_path: Path) -> None:
    one = tree(
        tmp_path / "one", {"trainer.py": "from m import *\nfrom n import *", "m.py": "a=1", "n.py": "a=2"}
    )
    two = tree(
        tmp_path / "two", {"trainer.py": "from m import *\nfrom n import *", "m.py": "a=2", "n.py": "a=1"}
    )
    assert code_digest(one, "trainer") != code_digest(two, "trainer")


def test_the_digest_does_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    files = {"trainer.py": "import model", "model.py": ""}
    assert code_digest(tree(tmp_path / "a", files), "trainer") == code_digest(
        tree(tmp_path / "b" / "c", files), "trainer"
    )


def test_the_digest_of_an_unpacked_bundle_is_that_of_the_folder(tmp_path: Path) -> None:
    folder = tree(tmp_path / "study", {"trainer.py": "import mylib", "x.py": ""})
    code = [tree(tmp_path / "mylib", {"__init__.py": "a = 1"})]
    unpack(build(folder, code).archive, tmp_path / "out")
    assert code_digest(tmp_path / "out", "trainer") == code_digest(folder, "trainer", code)


def test_a_trainer_in_the_study_file_makes_it_count(tmp_path: Path) -> None:
    folder = tree(tmp_path, {"study.py": "import model", "model.py": "import study"})
    assert files_of(folder, "study", study_file=folder / "study.py") == ["model.py", "study.py"]


def test_a_module_that_imports_the_study_file_is_refused(tmp_path: Path) -> None:
    folder = tree(
        tmp_path, {"trainer.py": "import model", "model.py": "\nfrom study import WIDTH", "study.py": ""}
    )
    with pytest.raises(
        InvalidStudy, match=r"model\.py, line 2, imports the study file study\.py.*module of its own"
    ):
        files_of(folder, study_file=folder / "study.py")


def test_a_trainer_that_is_not_there_is_told(tmp_path: Path) -> None:
    folder = tree(tmp_path, {"study.py": "", "pkg/__init__.py": "", "space/x.py": ""})
    for trainer in ("trainer", "pkg.trainer", "pkg.trainer.deep", "space", "torch"):
        with pytest.raises(TrainerMissing, match=f"no module {trainer} in"):
            files_of(folder, trainer)
    assert files_of(folder, "pkg") == ["pkg/__init__.py"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("x = 1\ndef (:\n", r"model\.py, line 2: "), ("a\0b", r"model\.py"), ("\tx\n  y", r"model\.py, line")],
)
def test_a_syntax_error_names_file_and_line(text: str, words: str, tmp_path: Path) -> None:
    folder = tree(tmp_path, {"trainer.py": "import model", "model.py": text})
    with pytest.raises(InvalidStudy, match=words):
        files_of(folder)


def test_text_in_another_encoding_is_read_as_python_reads_it(tmp_path: Path) -> None:
    tree(tmp_path, {"trainer.py": "", "model.py": ""})
    (tmp_path / "trainer.py").write_bytes("# coding: latin-1\nimport model\nname = 'é'\n".encode("latin-1"))
    assert files_of(tmp_path) == ["model.py", "trainer.py"]


def test_warnings_about_the_users_code_do_not_show(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    assert files_of(tree(tmp_path, {"trainer.py": "x = '\\d'\nassert (1, 'x')\n"})) == ["trainer.py"]
    assert len(recwarn) == 0


@pytest.mark.parametrize("kind", ["ignored", "link", "package"])
def test_an_import_that_would_not_travel_is_refused(kind: str, tmp_path: Path) -> None:
    folder = tree(tmp_path / "study", {"trainer.py": "\nimport model", ".gitignore": ""})
    if kind == "link":
        tree(tmp_path, {"model.py": ""})
        (folder / "model.py").symlink_to(tmp_path / "model.py")
    elif kind == "package":
        tree(folder, {"model/__init__.py": "", ".gitignore": "model/"})
    else:
        tree(folder, {"model.py": "", ".gitignore": "model.py"})
    with pytest.raises(
        InvalidStudy, match=r"trainer\.py, line 2, imports model.*does not travel.*\.hippoignore"
    ):
        files_of(folder)


def test_a_trainer_that_would_not_travel_is_not_called_missing(tmp_path: Path) -> None:
    folder = tree(tmp_path, {"study.py": "", ".gitignore": "study.py"})
    with pytest.raises(InvalidStudy, match=r"the study needs study\.py, which does not travel") as caught:
        files_of(folder, "study", study_file=folder / "study.py")
    assert not isinstance(caught.value, TrainerMissing)


def test_what_is_found_is_what_the_interpreter_loads(tmp_path: Path) -> None:
    """The oracle: a fresh interpreter that imports the trainer and tells which files below the folder it ran."""
    folder = tree(
        tmp_path,
        {
            "trainer.py": "import a.b.c as x\nfrom a import d\nfrom e import *\nfrom a.b import name\n",
            "a/__init__.py": "from .f import g",
            "a/b/__init__.py": "name = 1",
            "a/b/c.py": "from .. import h\nfrom ..b import i",
            "a/b/i.py": "",
            "a/d.py": "import importlib\nimportlib.import_module('a.j')\n",
            "a/f.py": "g = 1",
            "a/h.py": "try:\n    import nothing\nexcept ImportError:\n    from . import k\n",
            "a/j.py": "", "a/k.py": "import ns.inner", "a/unused.py": "",
            "e/__init__.py": "__all__ = ['l']", "e/l.py": "", "e/m.py": "",
            "ns/inner.py": "", "ns/other.py": "",
        },
    )  # fmt: skip
    script = (
        "import sys, os; sys.path.insert(0, sys.argv[1]); import trainer\n"
        "found = [getattr(module, '__file__', None) for module in list(sys.modules.values())]\n"
        "print(*sorted(os.path.relpath(f, sys.argv[1]) for f in found if f and f.startswith(sys.argv[1])), sep='\\n')"
    )
    loaded = subprocess.run(
        [sys.executable, "-B", "-c", script, str(folder)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert files_of(folder) == loaded


def test_the_example_counts_its_trainer_only() -> None:
    folder = REPOSITORY / "examples" / "digits"
    assert files_of(folder, study_file=folder / "study.py") == ["trainer.py"]
