"""What the trainer's source tells without being imported."""

import pytest

from hippo_client.class_source import check
from hippo_client.errors import InvalidStudy

WHOLE = """
    def setup(self, context): ...
    def apply(self, hp): ...
    def train(self, step): ...
    def evaluate(self): ...
"""
GOOD = f"import hippo_client as hippo\nclass Good(hippo.Trainer):{WHOLE}"


def look(tmp_path, sources, reference="trainer:Good"):
    files = {}
    for name, text in sources.items():
        path = tmp_path / name.replace("/", "_")
        path.write_text(text)
        files[name] = path
    check(reference, files)


@pytest.mark.parametrize(
    "sources",
    [
        {"trainer.py": GOOD},
        {"trainer/__init__.py": GOOD},
        {"trainer.py": f"from hippo_client import Trainer as Base\nclass Good(Base):{WHOLE}"},
        {"trainer.py": f"import hippo_client\nclass Good(hippo_client.Trainer):{WHOLE}"},
        {"trainer.py": f"import hippo_core.training as t\nclass Good(t.Trainer):{WHOLE}"},
        {"trainer.py": f"{GOOD}\nclass Better(Good): ...\nGood = Better"},
        {"trainer.py": "from base import Good as Other\nclass Good(Other): ...", "base.py": GOOD},
        {"trainer.py": "from base import Good", "base.py": GOOD},
        {"trainer.py": "from base import *", "base.py": GOOD},
        {"trainer.py": "from lightning import Module\nclass Good(Module): ..."},
        {"trainer.py": "import lightning\nclass Good(lightning.Module): ..."},
        {"trainer.py": "Good = make_trainer()"},
        {"trainer.py": "from dataclasses import dataclass\n@dataclass\nclass Good: ..."},
        {"trainer.py": "class Good(metaclass=Meta): ..."},
        {"trainer.py": f"if True:\n    class No: ...\ntry:\n    import x\nexcept ImportError:\n    x = 1\n{GOOD}"},
        {"trainer.py": f"class Good(Good): ...\n{GOOD}"},
        {"trainer.py": "class Good(Good): ..."},
        {"trainer.py": "import hippo_client as h\nclass Good(h.Trainer):\n    setup = apply = train = evaluate = f"},
    ],
)  # fmt: skip
def test_what_may_work_passes(tmp_path, sources):
    look(tmp_path, sources)


def test_relative_imports_are_followed(tmp_path):
    base = GOOD.replace("def evaluate", "def measure")
    sources = {
        "lib/__init__.py": "",
        "lib/trainer.py": "from .base import Good as Base\nclass Good(Base): ...",
        "lib/base.py": base,
    }
    with pytest.raises(InvalidStudy, match="Good lacks evaluate"):
        look(tmp_path, sources, "lib.trainer:Good")
    sources["lib/base.py"] = GOOD
    look(tmp_path, sources, "lib.trainer:Good")
    sources["lib/__init__.py"] = "from . import base\nfrom .trainer import Good"
    look(tmp_path, sources, "lib:Good")


@pytest.mark.parametrize(
    ("sources", "reference", "words"),
    [
        ({}, "trainer:Good", r"no module trainer. Put trainer.py beside the study file"),
        ({"trainers.py": GOOD}, "trainer:Good", r'Did you mean "trainers:\.\.\."'),
        ({}, "a.b:Good", r"no module a.b. Put a/b.py beside"),
        ({"trainer.py": GOOD}, "trainer:Goood", 'trainer.py defines no Goood. Did you mean "trainer:Good"'),
        ({"trainer.py": GOOD}, "trainer:Xyzzy", r"defines no Xyzzy. Its classes: Good\."),
        ({"trainer.py": "x = 1"}, "trainer:Good", "defines no Good. It defines no class"),
        ({"trainer.py": "x = ("}, "trainer:Good", "trainer.py:1: '.' was never closed"),
        ({"trainer.py": "x\0"}, "trainer:Good", "trainer.py: .*null bytes"),
        ({"trainer.py": "def Good(): ..."}, "trainer:Good", r"Good is a function \(trainer.py:1\)"),
        ({"trainer.py": "class Good: ..."}, "trainer:Good", r"lacks setup, apply, train, evaluate \(trainer.py:1\)"),
        ({"trainer.py": GOOD.replace("def apply", "def aply")}, "trainer:Good", r"Good lacks apply \(trainer.py:2\)"),
        (
            {"trainer.py": "from b import Good as B\nclass Good(B): ...", "b.py": GOOD.replace("train(", "trian(")},
            "trainer:Good",
            "Good lacks train",
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(tmp_path, sources, reference, words):
    with pytest.raises(InvalidStudy, match=words) as caught:
        look(tmp_path, sources, reference)
    assert caught.value.field == "trainer"


@pytest.mark.parametrize("arguments", ["self", "self, step, data", "self, step, *, data", ""])
def test_a_method_that_cannot_be_called_as_it_has_to_be_is_refused(tmp_path, arguments):
    trainer = GOOD + f"\n    def train({arguments}): ..."
    with pytest.raises(InvalidStudy, match=r"cannot be called as it has to be \(trainer.py:") as caught:
        look(tmp_path, {"trainer.py": trainer})
    assert f"train({arguments})" in caught.value.message
    assert caught.value.hint == "Write: def train(self, step)."


@pytest.mark.parametrize(
    "arguments",
    ["self, at", "self, step, data=None", "*everything", "self, step, /, *, data=1", "self, *a, **b"],
)
def test_a_method_may_take_more_than_it_has_to(tmp_path, arguments):
    look(tmp_path, {"trainer.py": GOOD + f"\n    def train({arguments}): ..."})
