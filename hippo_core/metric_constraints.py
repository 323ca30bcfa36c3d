"""Constraints on metrics: bounds that a state must keep to be feasible, such as ``latency_ms <= 10``.

A constraint compares two expressions over the metrics that ``evaluate`` reports, by ``<=`` or ``>=``. What it comes to
at a state is its *margin*: by how much the smaller side is above the larger one, in terms of the bound where that is a
number other than 0; above 0 it is violated. So violations of constraints in different units can be added up: the
normalisation of K. Deb, "An Efficient Constraint Handling Method for Genetic Algorithms" (Computer Methods in Applied
Mechanics and Engineering 186, 2000), section 3. The margin where a metric is not finite is infinite.

The order that follows is the constrained domination of K. Deb et al., "A Fast and Elitist Multiobjective Genetic
Algorithm: NSGA-II" (IEEE Transactions on Evolutionary Computation 6(2), 2002), section VI: the smaller violation first,
and where these are equal, as they are where nothing is violated, by the objectives. It is ``Worth`` in
``hippo_core.policies.policy``.
"""

from __future__ import annotations

import ast
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hippo_core.constraints import ARITHMETIC, LONGEST, dotted
from hippo_core.errors import InvalidStudy
from hippo_core.syntax import parse_expression

Metrics = Mapping[str, float | None]
"""By name; None: not finite."""

MOST = 32
NOT_FINITE = ("nan", "inf", "infinity")
EXAMPLE = 'Write constraints=["latency_ms <= 10"].'
GRAMMAR = (
    "Metrics, numbers, + - * / // %, parentheses and one <= or >= may stand in it; a metric whose name is no plain "
    "word stands in quotes: \"'top-5' >= 0.9\"."
)


@dataclass(frozen=True, slots=True)
class Bound:
    """A constraint that is a bound of one metric."""

    metric: str
    is_upper: bool
    value: float


@dataclass(frozen=True, slots=True)
class MetricConstraint:
    """A condition on the metrics of a state.

    Attributes:
        expression: As written.
        metrics: The metrics in it, in the order in which they stand there.
    """

    expression: str
    metrics: tuple[str, ...] = field(init=False, compare=False)
    _small: ast.expr = field(init=False, compare=False, repr=False)  # is to be at most ...
    _large: ast.expr = field(init=False, compare=False, repr=False)  # ... this
    _scale: float = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Parses the expression."""
        if not isinstance(self.expression, str) or len(self.expression) > LONGEST:
            raise InvalidStudy(
                "constraints",
                f"must be texts of at most {LONGEST} characters, not {self.expression!r}",
                EXAMPLE,
            )
        written = self.expression.strip()
        object.__setattr__(self, "expression", written)
        left, right, is_upper = _sides(written)
        found: dict[str, None] = {}
        for side in (left, right):
            _check(side, found, written)
        if not found:
            raise _refused(written, "names no metric")
        bound = _number(right) or _number(left)  # none, or 0: the difference itself counts
        object.__setattr__(self, "metrics", tuple(found))
        object.__setattr__(self, "_small", left if is_upper else right)
        object.__setattr__(self, "_large", right if is_upper else left)
        object.__setattr__(self, "_scale", abs(bound) if bound else 1.0)

    @property
    def bound(self) -> Bound | None:
        """The bound that it is; None: it is more than a bound of one metric."""
        small, large = _name(self._small), _name(self._large)
        upper, lower = _number(self._large), _number(self._small)
        if small is not None and upper is not None:
            return Bound(small, is_upper=True, value=upper)
        if large is not None and lower is not None:
            return Bound(large, is_upper=False, value=lower)
        return None

    def margin(self, metrics: Metrics) -> float:
        """How far a state is beyond the constraint: above 0 where it is violated; infinite: it cannot be told."""
        try:
            found = (_value(self._small, metrics) - _value(self._large, metrics)) / self._scale
        except (ZeroDivisionError, OverflowError):
            return math.inf
        return math.inf if math.isnan(found) else max(found, -sys.float_info.max)

    def told(self, metrics: Metrics) -> str:
        """By how much it is violated at a state, in words; empty: it is not."""
        margin = self.margin(metrics)
        if margin <= 0:
            return ""
        known = {name: metrics.get(name) for name in self.metrics}
        values = ", ".join(
            f"{name} is not finite" if value is None else f"{name} {value:.6g}"
            for name, value in known.items()
        )
        return f"{self.expression} violated: {values}"


def violation(margins: Iterable[float]) -> float:
    """By how much constraints are violated in all; 0: the state is feasible."""
    return sum((margin for margin in margins if margin > 0), 0.0)


def feasibility(constraints: Iterable[MetricConstraint], metrics: Metrics) -> str:
    """Whether a state is feasible, or what it violates, in words; empty where there is no constraint."""
    found = list(constraints)
    if not found:
        return ""
    return "; ".join(filter(None, (each.told(metrics) for each in found))) or "feasible"


def feasibility_json(violated: float | None) -> dict[str, Any]:
    """Whether a trial is feasible, and by how much it is not, as its JSON has it; nothing: it is not known.

    Args:
        violated: Of all constraints; null in JSON where it is infinite.
    """
    if violated is None:
        return {}
    return {"feasible": not violated, "violation": violated if math.isfinite(violated) else None}


def checked(given: Any) -> tuple[MetricConstraint, ...]:
    """The constraints of a study, in their order.

    Raises:
        InvalidStudy: They are no list of texts or constraints, or one is there twice.
    """
    if isinstance(given, str | MetricConstraint | Mapping) or not isinstance(given, Iterable):
        raise InvalidStudy("constraints", f"must be a list, not {given!r}", EXAMPLE)
    found = tuple(each if isinstance(each, MetricConstraint) else MetricConstraint(each) for each in given)
    for each in found:
        if found.count(each) > 1:
            raise InvalidStudy("constraints", f"{each.expression!r} is there twice", "Give it once.")
    if len(found) > MOST:
        raise InvalidStudy("constraints", f"there are {len(found)}", f"Give at most {MOST}.")
    return found


def _refused(written: str, message: str, hint: str = GRAMMAR) -> InvalidStudy:
    return InvalidStudy("constraints", f"{written!r} {message}", hint)


def _sides(written: str) -> tuple[ast.expr, ast.expr, bool]:
    """The two sides of a comparison, and whether the left one is to be at most the right one."""
    try:
        tree = parse_expression(written)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _refused(written, "is not an expression") from None
    match tree:
        case ast.Compare(left=left, ops=[ast.LtE() | ast.GtE() as op], comparators=[right]):
            return left, right, isinstance(op, ast.LtE)
        case ast.Compare(ops=[ast.Lt() | ast.Gt()]):
            raise _refused(written, "excludes its own bound", "Write <= or >=.")
        case ast.Compare(ops=[_, _, *_]) | ast.BoolOp(op=ast.And()):
            raise _refused(written, "is more than one constraint", "Give each by itself in the list.")
    raise _refused(written, "is no bound")


def _check(tree: ast.expr, found: dict[str, None], written: str) -> None:
    """Refuses what is not in the grammar; collects metrics."""
    name = _name(tree)
    match tree:
        case ast.Name(id=word) if word.lower() in NOT_FINITE:
            hint = f'A metric of that name stands in quotes: "{word!r}".'
            raise _refused(written, f"has {word!r} in it, which is no finite number", hint)
        case _ if name is not None:
            found[name] = None
        case _ if _number(tree) is not None:
            pass
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            _check(left, found, written)
            _check(right, found, written)
            if not _names_metrics(tree) and not _is_finite(tree):
                shown = _as_written(tree, written)
                raise _refused(written, f"has {shown!r} in it, which is no finite number")
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            _check(operand, found, written)
        case _:
            raise _refused(written, f"has {_as_written(tree, written)!r} in it, which cannot stand there")


def _names_metrics(tree: ast.expr) -> bool:
    return any(_name(each) is not None for each in ast.walk(tree) if isinstance(each, ast.expr))


def _is_finite(tree: ast.expr) -> bool:
    """Whether an expression without metrics is a finite number."""
    try:
        return math.isfinite(_value(tree, {}))
    except (ZeroDivisionError, OverflowError):
        return False


def _as_written(tree: ast.expr, written: str) -> str:
    return ast.get_source_segment(written, tree) or ast.unparse(tree)


def _name(tree: ast.expr) -> str | None:
    """The metric that an expression is."""
    if isinstance(tree, ast.Constant) and isinstance(tree.value, str) and tree.value:
        return tree.value
    return dotted(tree)


def _number(tree: ast.expr) -> float | None:
    """The finite number that an expression is."""
    match tree:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            try:
                found = float(value)
            except OverflowError:
                return None
            return found if math.isfinite(found) else None
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=operand):
            inner = _number(operand)
            return -inner if inner is not None and isinstance(op, ast.USub) else inner
    return None


def _value(tree: ast.expr, metrics: Metrics) -> float:
    name = _name(tree)
    if name is not None:
        metric = metrics.get(name)
        return math.nan if metric is None else metric
    match tree:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.BinOp(left=left, op=op, right=right):
            found: float = ARITHMETIC[type(op)](_value(left, metrics), _value(right, metrics))
            return found
        case ast.UnaryOp(op=op, operand=operand):
            inner = _value(operand, metrics)
            return -inner if isinstance(op, ast.USub) else inner
    raise AssertionError(f"{ast.dump(tree)} was checked")
