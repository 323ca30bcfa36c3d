"""Naming a policy of one's own: found without being imported, and part of the study but not of the program."""

import pytest

import hippo_client as hippo
from hippo_client import policies, space
from hippo_client.errors import InvalidStudy
from hippo_client.study_file import load
from hippo_client.submission import prepare
from hippo_core.study_changes import differences

STUDY = """
import hippo_client as hippo
from hippo_client import policies, space

study = hippo.Study(
    "trainer:Linear", {"lr": space.choice([0.1, 0.2])}, maximize="accuracy", max_steps=4,
    policy=policies.own("my_policy:Mine", window=3),
)
"""
POLICY = """
import helper
import hippo_client as hippo

class Mine(hippo.Policy):
    def setup(self, window):
        self.window = window

    def decide(self):
        return []

raise SystemExit("imported")
"""
TRAINER = """
import hippo_client as hippo

class Linear(hippo.Trainer):
    def setup(self, context): ...
    def apply(self, hp): ...
    def train(self, step): ...
    def evaluate(self): ...
"""


class Here(hippo.Policy):
    def decide(self):
        return []


class Lacking(hippo.Policy):
    pass


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    for name, text in (("study", STUDY), ("my_policy", POLICY), ("trainer", TRAINER), ("helper", "")):
        (folder / f"{name}.py").write_text(text)
    return folder


def spec_of(place):
    return prepare(load(place / "study.py")).spec


def test_it_is_named_and_its_code_is_part_of_the_study_and_not_of_the_program(place):
    """1. Its file and what that imports count; the trainer and the study file do not. 2. The program stays."""
    first = spec_of(place)
    assert first.policy.reference == "my_policy:Mine"
    assert first.policy.arguments == {"window": 3}
    for file, changes in (
        ("study.py", False),
        ("trainer.py", False),
        ("my_policy.py", True),
        ("helper.py", True),
    ):
        before = spec_of(place)
        path = place / file
        path.write_text(path.read_text() + "\n# changed\n")
        after = spec_of(place)
        assert (after.policy.code != before.policy.code) is changes, file
        assert (after.program.key != before.program.key) is (file == "trainer.py"), file
        assert bool(differences(after, before)) is (changes or file == "trainer.py"), file


def test_the_users_word_stands_for_its_code(place):
    file = place / "study.py"
    file.write_text(file.read_text().replace("max_steps=4", 'max_steps=4, code_version="v3"'))
    assert spec_of(place).policy.code == "version:v3"


def test_a_study_is_planned_before_its_policy_exists(place):
    (place / "my_policy.py").unlink()
    assert load(place / "study.py").spec().policy.code.startswith("missing:")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, "has no module my_policy"),
        ("class Other: ...", "my_policy.py defines no Mine. Its classes: Other"),
        ("def Mine(): ...", "A policy is a class that derives from hippo.Policy"),
        (
            "import hippo_client as hippo\nclass Mine(hippo.Policy): ...",
            "Mine lacks decide .* A policy has decide",
        ),
        ("x = (", "my_policy.py, line 1: .*Correct the file"),
    ],
)
def test_what_cannot_work_is_refused_before_it_is_sent(place, source, words):
    file = place / "my_policy.py"
    file.unlink() if source is None else file.write_text(source)
    with pytest.raises(InvalidStudy, match=words) as caught:
        prepare(load(place / "study.py"))
    assert caught.value.field == "policy"


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (
            "class Mine(hippo.Policy):\n  def setup(self, windw=3, *, wide=1): ...\n",
            "the setup of Mine has no argument 'window' (my_policy.py:3). Did you mean 'windw'?",
        ),
        (
            "class Base(hippo.Policy):\n  def setup(self): ...\nclass Mine(Base):\n",
            "the setup of Mine has no argument 'window' (my_policy.py:3). Write: def setup(self, window).",
        ),
        (
            "class Mine(hippo.Policy):\n",
            "Mine has no setup to take 'window' (my_policy.py:2). Write: def setup(self, window).",
        ),
    ],
)
def test_an_argument_that_setup_does_not_take_is_refused(place, classes, words):
    (place / "my_policy.py").write_text(f"import hippo_client as hippo\n{classes}  def decide(self): ...\n")
    with pytest.raises(InvalidStudy) as caught:
        prepare(load(place / "study.py"))
    assert (caught.value.field, words in str(caught.value)) == ("policy", True), str(caught.value)


@pytest.mark.parametrize(
    "classes",
    [
        "class Mine(hippo.Policy):\n  def setup(self, **others): ...\n",
        "class Mine(hippo.Policy):\n  def setup(self, /, window): ...\n",
        "class Mine(hippo.Policy):\n  def setup(self, *, window): ...\n",
        "class Mine(hippo.Policy):\n  @helper.any\n  def setup(self): ...\n",
        "class Mine(hippo.Policy):\n  setup = helper.setup\n",
        "class Mine(helper.Base):\n",
    ],
)
def test_an_argument_that_setup_takes_or_may_take_is_left_to_the_worker(place, classes):
    text = f"import helper\nimport hippo_client as hippo\n{classes}  def decide(self): ...\n"
    (place / "my_policy.py").write_text(text)
    assert spec_of(place).policy.arguments == {"window": 3}


def test_the_class_itself_may_be_given():
    found = policies.own(Here, window=1)
    assert found.reference.partition(":")[2] == "Here"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("my_policy", 'not of the form module:attribute. Give "module:Class", e.g. "my_policy:MyPolicy"'),
        ("my_policy.py:Mine", "Write 'my_policy:Mine'"),
        (Here(), "an instance Here is given"),
        (3, "of type int is given"),
        (int, "int is no Policy. Write: class int"),
        (Lacking, "Lacking lacks decide. A policy has decide."),
    ],
)
def test_what_names_no_policy_is_refused(given, words):
    with pytest.raises(InvalidStudy) as caught:
        policies.own(given)
    assert words in str(caught.value)
    assert caught.value.field == "policy"


def test_a_class_within_a_function_is_refused():
    class Inner(hippo.Policy):
        def decide(self):
            return []

    with pytest.raises(InvalidStudy, match="inside a function"):
        policies.own(Inner)


def test_a_class_is_no_policy_until_it_is_named():
    with pytest.raises(InvalidStudy) as caught:
        hippo.Study("t:T", {"lr": space.choice([1, 2])}, maximize="a", max_steps=2, policy=Here)
    assert "policies.own" in str(caught.value)
