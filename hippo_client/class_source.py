"""A look at the source of the user's classes before anything is spent: do they exist, and have they the methods?

By syntax trees only; nothing is imported. What cannot be decided this way (a class made by a function, a
base class from an installed package) is left to the worker, which imports the class before it is used.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from hippo_client.class_kinds import TRAINER, ClassKind
from hippo_core.arguments import suggestion
from hippo_core.errors import InvalidStudy
from hippo_core.syntax import parse_module

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


def check(reference: str, files: Mapping[str, Path], kind: ClassKind = TRAINER) -> None:
    """Refuse a class that is sure not to work.

    Args:
        reference: ``module:attribute``.
        files: The bundle's files by their names in it.
        kind: What it is to be.

    Raises:
        InvalidStudy: The module, or the attribute in it, does not exist, or is no class with the methods it must have.
    """
    module, _, path = reference.partition(":")
    attribute, _, nested = path.partition(".")
    source = find_module(module, files, kind)
    if source is None:
        raise _no_module(module, files, kind)
    definition = _definition(source.tree, attribute)
    if definition is None:
        if not _has_star_import(source.tree):
            raise _no_attribute(source, attribute, kind)
        return
    if nested:  # a class within a class is left to the worker
        return
    if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        raise InvalidStudy(
            kind.field,
            f"{attribute} is a function ({source.file.name}:{definition.lineno}).",
            f"A {kind.field} is a class that derives from {kind.derives}.",
        )
    found = _Look(files, kind).methods(source, attribute, _FURTHEST_BASE)
    missing = [name for name in kind.methods if found is not None and name not in found]
    if missing:
        raise InvalidStudy(
            kind.field,
            f"{attribute} lacks {', '.join(missing)} ({source.file.name}:{definition.lineno}).",
            kind.duty,
        )
    if isinstance(definition, ast.ClassDef):
        for name, arguments in kind.methods.items():
            _check_signature(source, _definition(definition, name), arguments, kind)


def _check_signature(
    source: Source, method: ast.stmt | None, arguments: tuple[str, ...], kind: ClassKind
) -> None:
    """Refuses a method of the class's own that is sure not to be callable with its arguments."""
    if not isinstance(method, ast.FunctionDef) or method.decorator_list:
        return
    given, count = method.args, 1 + len(arguments)
    positional = [*given.posonlyargs, *given.args]
    takes = len(positional) - len(given.defaults) <= count and (given.vararg or count <= len(positional))
    if takes and None not in given.kw_defaults:
        return
    raise InvalidStudy(
        kind.field,
        f"{method.name}({ast.unparse(given)}) cannot be called as it has to be ({source.file.name}:{method.lineno}).",
        f"Write: def {method.name}({', '.join(('self', *arguments))}).",
    )


def check_arguments(reference: str, names: Iterable[str], files: Mapping[str, Path], kind: ClassKind) -> None:
    """Refuse arguments that the class's ``setup`` is sure not to take.

    Args:
        reference: ``module:attribute``, that of a class that :func:`check` let pass.
        names: Those of the arguments.
        files: The bundle's files by their names in it.
        kind: What the class is.

    Raises:
        InvalidStudy: Its ``setup``, written in the module, has no argument of such a name.
    """
    module, _, attribute = reference.partition(":")
    source = find_module(module, files, kind)
    setup = None if source is None else _setup(source, attribute, kind, _FURTHEST_BASE)
    if source is None or setup is None:
        return
    known: list[str] = []
    if isinstance(setup, ast.FunctionDef):
        if setup.args.kwarg is not None or setup.decorator_list:
            return
        by_name = setup.args.args if setup.args.posonlyargs else setup.args.args[1:]
        known = [each.arg for each in [*by_name, *setup.args.kwonlyargs]]
    for name in names:
        if name not in known:
            what = f"the setup of {attribute}" if isinstance(setup, ast.FunctionDef) else attribute
            lacking = "argument" if isinstance(setup, ast.FunctionDef) else "setup to take"
            hint = suggestion(name, known) if known else f"Write: def setup(self, {name})."
            problem = f"{what} has no {lacking} {name!r} ({source.file.name}:{setup.lineno})."
            raise InvalidStudy(kind.field, problem, hint)


def _setup(source: Source, name: str, kind: ClassKind, depth: int) -> ast.FunctionDef | ast.ClassDef | None:
    """The ``setup`` of a class; or the class, if neither it nor a base has one; None where the module does not tell."""
    definition = _definition(source.tree, name)
    if depth == 0 or not isinstance(definition, ast.ClassDef):
        return None
    if definition.decorator_list or definition.keywords or len(definition.bases) != 1:
        return None
    own = _definition(definition, "setup")
    if own is not None:
        return own if isinstance(own, ast.FunctionDef) else None
    head, _, rest = ast.unparse(definition.bases[0]).partition(".")
    if _full_name(source, head, rest) in kind.bases:
        return definition
    return None if rest else _setup(source, head, kind, depth - 1)


def find_module(name: str, files: Mapping[str, Path], kind: ClassKind) -> Source | None:
    """The module's source, or None where the bundle lacks it.

    Raises:
        InvalidStudy: It is not Python.
    """
    stem = name.replace(".", "/")
    for candidate in (f"{stem}/__init__.py", f"{stem}.py"):
        if candidate in files:
            return Source(name=name, file=files[candidate], tree=_parse(files[candidate], kind))
    return None


def _parse(file: Path, kind: ClassKind) -> ast.Module:
    try:
        return parse_module(file.read_bytes(), str(file))
    except (SyntaxError, ValueError) as error:  # a null byte is either, as the version of Python has it
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InvalidStudy(
            kind.field, f"{file.name}{line}: {said}.", f"Correct the {kind.field}'s module."
        ) from error


def _no_module(module: str, files: Mapping[str, Path], kind: ClassKind) -> InvalidStudy:
    hint = f"Put {module.replace('.', '/')}.py beside the study file, or add its folder with code=[...]."
    known = [name.removesuffix(".py").replace("/", ".") for name in files if name.endswith(".py")]
    near = get_close_matches(module, known, n=1)
    if near:
        hint = f'Did you mean "{near[0]}:..."? {hint}'
    return InvalidStudy(kind.field, f"the study's folder has no module {module}.", hint)


def _no_attribute(source: Source, attribute: str, kind: ClassKind) -> InvalidStudy:
    classes = [node.name for node in _statements(source.tree) if isinstance(node, ast.ClassDef)]
    near = get_close_matches(attribute, classes, n=1)
    if near:
        hint = f'Did you mean "{source.name}:{near[0]}"?'
    elif classes:
        hint = f"Its classes: {', '.join(classes)}."
    else:
        hint = "It defines no class."
    return InvalidStudy(kind.field, f"{source.file.name} defines no {attribute}.", hint)


def _statements(body: ast.AST) -> Iterator[ast.stmt]:
    """The module's own statements, those below ``if``, ``try`` and ``with`` included."""
    for node in ast.iter_child_nodes(body):
        if isinstance(node, ast.stmt):
            yield node
        if isinstance(node, ast.If | ast.Try | ast.With | ast.ExceptHandler):
            yield from _statements(node)


def _definition(tree: ast.Module | ast.ClassDef, name: str) -> ast.stmt | None:
    """The last statement of the module, or of the class, that binds the name."""
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


@dataclass(frozen=True, slots=True)
class _Look:
    """What classes of a bundle define.

    Attributes:
        files: The bundle's files by their names in it.
        kind: What is looked for.
    """

    files: Mapping[str, Path]
    kind: ClassKind

    def methods(self, source: Source, name: str, depth: int) -> frozenset[str] | None:
        """What the class and its bases define; None where that cannot be told from the bundle's sources."""
        definition = _definition(source.tree, name)
        if depth == 0 or definition is None:
            return None
        if isinstance(definition, ast.ImportFrom):
            return self._imported(source, definition, name, depth)
        if not isinstance(definition, ast.ClassDef) or definition.decorator_list or definition.keywords:
            return None
        found = frozenset(attribute for node in _statements(definition) for attribute in _bound(node))
        for base in definition.bases:
            inherited = self._base(source, base, depth)
            if inherited is None:
                return None
            found |= inherited
        return found

    def _base(self, source: Source, base: ast.expr, depth: int) -> frozenset[str] | None:
        dotted = ast.unparse(base)
        head, _, rest = dotted.partition(".")
        if _full_name(source, head, rest) in self.kind.bases:
            return frozenset()
        if rest:
            return None
        return self.methods(source, head, depth - 1)

    def _imported(
        self, source: Source, statement: ast.ImportFrom, name: str, depth: int
    ) -> frozenset[str] | None:
        original = next(alias.name for alias in statement.names if (alias.asname or alias.name) == name)
        module = statement.module or ""
        if statement.level:
            package = source.name.split(".")
            if source.file.name != "__init__.py":
                package = package[:-1]
            package = package[: len(package) - statement.level + 1]
            module = ".".join([*package, module] if module else package)
        if f"{module}.{original}" in self.kind.bases:
            return frozenset()
        target = find_module(module, self.files, self.kind) if module else None
        return None if target is None else self.methods(target, original, depth - 1)


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
