"""A look at the trainer's source before anything is spent: does it exist, and has it the methods?

By syntax trees only; nothing is imported. What cannot be decided this way (a class made by a function, a
base class from an installed package) is left to the worker, which imports the trainer before it trains.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from hippo_core.errors import InvalidStudy

METHODS = ("setup", "apply", "train", "evaluate")
_OWN_BASES = frozenset({"hippo_client.Trainer", "hippo_core.training.Trainer"})
_FURTHEST_BASE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A module of the bundle.

    Attributes:
        name: Its name.
        file: Its file.
        tree: Its syntax tree.
    """

    name: str
    file: Path
    tree: ast.Module


def check(reference: str, files: Mapping[str, Path]) -> None:
    """Refuse a trainer that is sure not to work.

    Args:
        reference: ``module:attribute``.
        files: The bundle's files by their names in it.

    Raises:
        InvalidStudy: The module, or the attribute in it, does not exist, is no class or lacks a method.
    """
    module, _, path = reference.partition(":")
    attribute, _, nested = path.partition(".")
    source = find_module(module, files)
    if source is None:
        raise _no_module(module, files)
    definition = _definition(source.tree, attribute)
    if definition is None:
        if not _has_star_import(source.tree):
            raise _no_attribute(source, attribute)
        return
    if nested:  # a class within a class is left to the worker
        return
    if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        raise InvalidStudy(
            "trainer",
            f"{attribute} is a function ({source.file.name}:{definition.lineno}).",
            "A trainer is a class that derives from hippo.Trainer.",
        )
    found = _methods(source, attribute, files, _FURTHEST_BASE)
    missing = [name for name in METHODS if found is not None and name not in found]
    if missing:
        raise InvalidStudy(
            "trainer",
            f"{attribute} lacks {', '.join(missing)} ({source.file.name}:{definition.lineno}).",
            "A trainer has setup, apply, train and evaluate.",
        )


def find_module(name: str, files: Mapping[str, Path]) -> Source | None:
    """The module's source, or None where the bundle lacks it.

    Raises:
        InvalidStudy: It is not Python.
    """
    stem = name.replace(".", "/")
    for candidate in (f"{stem}/__init__.py", f"{stem}.py"):
        if candidate in files:
            return Source(name=name, file=files[candidate], tree=_parse(files[candidate]))
    return None


def _parse(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError) as error:  # a null byte is either, as the version of Python has it
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InvalidStudy(
            "trainer", f"{file.name}{line}: {said}.", "Correct the trainer's module."
        ) from error


def _no_module(module: str, files: Mapping[str, Path]) -> InvalidStudy:
    hint = f"Put {module.replace('.', '/')}.py beside the study file, or add its folder with code=[...]."
    known = [name.removesuffix(".py").replace("/", ".") for name in files if name.endswith(".py")]
    near = get_close_matches(module, known, n=1)
    if near:
        hint = f'Did you mean "{near[0]}:..."? {hint}'
    return InvalidStudy("trainer", f"the study's folder has no module {module}.", hint)


def _no_attribute(source: Source, attribute: str) -> InvalidStudy:
    classes = [node.name for node in _statements(source.tree) if isinstance(node, ast.ClassDef)]
    near = get_close_matches(attribute, classes, n=1)
    if near:
        hint = f'Did you mean "{source.name}:{near[0]}"?'
    elif classes:
        hint = f"Its classes: {', '.join(classes)}."
    else:
        hint = "It defines no class."
    return InvalidStudy("trainer", f"{source.file.name} defines no {attribute}.", hint)


def _statements(body: ast.AST) -> Iterator[ast.stmt]:
    """The module's own statements, those below ``if``, ``try`` and ``with`` included."""
    for node in ast.iter_child_nodes(body):
        if isinstance(node, ast.stmt):
            yield node
        if isinstance(node, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            yield from _statements(node)


def _definition(tree: ast.Module, name: str) -> ast.stmt | None:
    """The last statement of the module that binds the name."""
    found: ast.stmt | None = None
    for node in _statements(tree):
        if name in _bound(node):
            found = node
    return found


def _bound(node: ast.stmt) -> list[str]:
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return [name]
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [alias.asname or alias.name.partition(".")[0] for alias in names]
        case ast.Assign(targets=targets):
            return [leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []


def _has_star_import(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
        for node in _statements(tree)
    )


def _methods(source: Source, name: str, files: Mapping[str, Path], depth: int) -> frozenset[str] | None:
    """What the class and its bases define; None where that cannot be told from the bundle's sources."""
    definition = _definition(source.tree, name)
    if depth == 0 or definition is None:
        return None
    if isinstance(definition, ast.ImportFrom):
        return _imported_methods(source, definition, name, files, depth)
    if not isinstance(definition, ast.ClassDef) or definition.decorator_list or definition.keywords:
        return None
    found = frozenset(attribute for node in _statements(definition) for attribute in _bound(node))
    for base in definition.bases:
        inherited = _base_methods(source, base, files, depth)
        if inherited is None:
            return None
        found |= inherited
    return found


def _base_methods(
    source: Source, base: ast.expr, files: Mapping[str, Path], depth: int
) -> frozenset[str] | None:
    dotted = ast.unparse(base)
    head, _, rest = dotted.partition(".")
    if _full_name(source, head, rest) in _OWN_BASES:
        return frozenset()
    if rest:
        return None
    return _methods(source, head, files, depth - 1)


def _full_name(source: Source, head: str, rest: str) -> str:
    """The name under which what ``head.rest`` means in the module is known elsewhere."""
    definition = _definition(source.tree, head)
    full = head
    if isinstance(definition, ast.Import):
        for alias in definition.names:
            if alias.asname == head:
                full = alias.name
    elif isinstance(definition, ast.ImportFrom) and definition.module and not definition.level:
        for alias in definition.names:
            if (alias.asname or alias.name) == head:
                full = f"{definition.module}.{alias.name}"
    return f"{full}.{rest}" if rest else full


def _imported_methods(
    source: Source, statement: ast.ImportFrom, name: str, files: Mapping[str, Path], depth: int
) -> frozenset[str] | None:
    original = next(alias.name for alias in statement.names if (alias.asname or alias.name) == name)
    module = statement.module or ""
    if statement.level:
        package = source.name.split(".")
        if source.file.name != "__init__.py":
            package = package[:-1]
        package = package[: len(package) - statement.level + 1]
        module = ".".join([*package, module] if module else package)
    if f"{module}.{original}" in _OWN_BASES:
        return frozenset()
    target = find_module(module, files) if module else None
    return None if target is None else _methods(target, original, files, depth - 1)
