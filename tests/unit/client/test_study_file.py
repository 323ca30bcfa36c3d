"""Loading study files: which study it is, and what is said of files that fail."""

import sys

import pytest

import hippo_client as hippo
from hippo_client.errors import InvalidStudy
from hippo_client.study_file import load, split_reference

HEAD = "import hippo_client as hippo\n"


def made(more=""):
    return f"hippo.Study('trainer:Small', {{'lr': 0.1}}, maximize='a', max_steps=3, max_trials=1{more})"


def write(folder, text, name="study.py"):
    file = folder / name
    file.write_text(text)
    return file


def test_the_one_study_is_found(folder):
    study = load(folder / "study.py")
    assert study.name == "study"
    assert study.origin.file == folder / "study.py"
    assert study.origin.folder == folder


def test_a_relative_path_is_that_of_the_current_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert load("study.py").origin.file == folder / "study.py"


def test_one_of_several_is_named(folder):
    file = write(folder, f"{HEAD}a = {made()}\nb = {made(', name=chr(98)')}\n")
    assert load(f"{file}:b").name == "b"
    with pytest.raises(InvalidStudy, match=rf"defines 2 studies. Name one: {file}:a, {file}:b"):
        load(file)


def test_two_names_of_one_study_are_one(folder):
    assert load(write(folder, f"{HEAD}a = b = {made()}\n")).name == "study"


def test_what_stands_below_main_is_left_out(folder):
    file = write(folder, f"{HEAD}study = {made()}\nif __name__ == '__main__':\n    raise SystemExit(3)\n")
    assert load(file).name == "study"


def test_a_trainer_given_by_name_is_not_imported(folder):
    (folder / "trainer.py").write_text("raise RuntimeError('imported')")
    assert load(folder / "study.py").trainer == "trainer:Small"


def test_a_trainer_that_is_not_there_yet_is_shared_within_its_folder_alone(tmp_path):
    def program(folder, name):
        (tmp_path / folder).mkdir(exist_ok=True)
        return load(write(tmp_path / folder, f"{HEAD}study = {made()}", name)).spec().program

    here = program("here", "one.py")
    assert program("here", "two.py").key == here.key
    assert program("there", "one.py").key != here.key


def test_a_trainer_defined_in_the_study_file_names_its_module(folder):
    text = (folder / "trainer.py").read_text() + "study = " + made().replace("'trainer:Small'", "Small")
    study = load(write(folder, text, "mine.py"))
    assert study.trainer == "mine:Small"
    assert study.spec().program.code_digest


def test_modules_beside_the_file_are_those_of_its_own_folder(tmp_path):
    """Two folders have a module of one name; neither sees the other's, and none of them stays."""
    found = []
    before = set(sys.modules)
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "shared_words.py").write_text(f"NAME = {name!r}")
        file = write(folder, f"import shared_words\n{HEAD}s = {made(', name=shared_words.NAME')}")
        found.append(load(file).name)
    assert found == ["one", "two"]
    assert not {name for name in set(sys.modules) - before if "shared" in name or "study__" in name}
    assert not [entry for entry in sys.path if str(tmp_path) in entry]


def test_a_file_named_like_a_module_hides_nothing(folder):
    file = write(folder, f"import random\n{HEAD}random.random()\nstudy = {made()}\n", "tokenize.py")
    import tokenize

    assert load(file).name == "tokenize"
    assert sys.modules["tokenize"] is tokenize


def test_a_dataclass_in_the_study_file_works(folder):
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        f"@dataclass\nclass Point:\n    x: int\n{HEAD}study = {made(', name=str(Point(3).x)')}\n"
    )
    assert load(write(folder, text)).name == "3"


def test_what_the_file_prints_goes_to_standard_error(folder, capsys):
    load(write(folder, f"print('hello')\n{HEAD}study = {made()}\n"))
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "hello\n")


def test_a_study_built_by_a_module_beside_it_belongs_to_the_study_file(folder):
    (folder / "building.py").write_text(f"{HEAD}def build():\n    return {made()}\n")
    study = load(write(folder, "from building import build\nstudy = build()\n", "small.py"))
    assert (study.name, study.origin.file) == ("small", folder / "small.py")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = (", r"study.py:1: '\(' was never closed"),
        (f"{HEAD}\n1 / 0\n", "study.py:3: ZeroDivisionError: division by zero. Correct the study file"),
        ("import no_such_thing\n", r"study.py:1: ModuleNotFoundError.*give the trainer by name"),
        ("raise SystemExit(1)\n", "study.py:1: the study file ends the program. Put this below"),
        (f"{HEAD}study = hippo.Study('trainer:S', {{}}, maximize='a', max_steps=0)\n", r"max_steps: .*study.py:2\)"),
        (f"{HEAD}study = {made()}\nhippo.run(study)\n", "run: study.py runs its study while it is loaded"),
        (f"{HEAD}study = {made()}\nhippo.Client().submit(study)\n", "submit: study.py submits its study while"),
        ("x = 1\n", r"defines no Study at its top level. Add: study = hippo.Study\(...\)"),
        ("x = 1\0\n", "null bytes"),
    ],
)  # fmt: skip
def test_a_file_that_fails_is_told_with_file_and_line(folder, server, monkeypatch, text, words):
    monkeypatch.setenv("HIPPO_SERVER", server.address)
    monkeypatch.setenv("HIPPO_TOKEN", "the-token")
    with pytest.raises(InvalidStudy, match=words):
        load(write(folder, text))


def test_a_failure_in_a_module_beside_it_tells_both_places(folder):
    (folder / "deeper.py").write_text("\nraise ValueError('no')\n")
    with pytest.raises(InvalidStudy, match=r"study.py:1: ValueError: no \(raised at .*deeper.py:2\)"):
        load(write(folder, "import deeper\n"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("stud", r"has no stud. Did you mean .*study.py:study\?"),
        ("hippo", "hippo is not a Study, but module. Name one: .*study.py:study"),
        ("zzz", "has no zzz. Name one: .*:study"),
    ],
)
def test_a_name_that_is_no_study_is_refused(folder, name, words):
    with pytest.raises(InvalidStudy, match=words):
        load(f"{folder / 'study.py'}:{name}")


def test_a_file_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(InvalidStudy, match=r"nothing\.py: cannot be read: No such file"):
        load(tmp_path / "nothing.py")


@pytest.mark.parametrize(
    ("reference", "file", "name"),
    [
        ("study.py", "study.py", None),
        ("a/study.py:two", "a/study.py", "two"),
        (r"C:\study.py", r"C:\study.py", None),
        ("C:study", "C:study", None),
        ("study.py:", "study.py:", None),
    ],
)
def test_a_reference_is_a_file_and_a_name(reference, file, name):
    found, found_name = split_reference(reference)
    assert (str(found), found_name) == (file, name)


def test_a_loaded_study_is_a_study(folder):
    assert isinstance(load(folder / "study.py"), hippo.Study)
