"""Expressions over features: arithmetic on whole columns, the same live and in history.

    amount / max(mean_amount, 1)        log1p(amount) if amount > 0 else 0
    is_missing(age)                     hours(now - last_login)

Numbers, input names, `now` (UTC seconds), + - * / // % **, comparisons, and, or, not,
`x if c else y`, and the functions below. All values are float64; NaN means "missing" and
propagates. There is no other syntax, so an expression has no side effects.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from understudy.domain.errors import InvalidInputError

Column = npt.NDArray[np.float64]
Function = Callable[..., Any]
NOW = "now"
_LONGEST_CHARACTERS = 2000
_Evaluate = Callable[[Mapping[str, Column]], Any]


def _claim(function: Function) -> Function:
    """Return `function` with its boolean result as 1.0 or 0.0, which arithmetic accepts."""
    return lambda *operands: np.multiply(function(*operands), 1.0)


def _choose(test: Column, chosen: Column, otherwise: Column) -> Any:
    return np.where(np.abs(test) > 0, chosen, otherwise)  # a missing condition counts as false


_OPERATORS: dict[type[ast.AST], Function] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.Pow: np.float_power,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
    ast.Not: _claim(np.logical_not),
    ast.Lt: _claim(np.less),
    ast.LtE: _claim(np.less_equal),
    ast.Gt: _claim(np.greater),
    ast.GtE: _claim(np.greater_equal),
    ast.Eq: _claim(np.equal),
    ast.NotEq: _claim(np.not_equal),
    ast.And: _claim(np.logical_and),
    ast.Or: _claim(np.logical_or),
}


def _coalesce(first: Column, *others: Column) -> Any:
    result: Any = first
    for other in others:
        result = np.where(np.isnan(result), other, result)
    return result


def _least(first: Column, *others: Column) -> Any:
    result: Any = first
    for other in others:
        result = np.minimum(result, other)
    return result


def _greatest(first: Column, *others: Column) -> Any:
    result: Any = first
    for other in others:
        result = np.maximum(result, other)
    return result


def _hours(seconds: Column) -> Any:
    return np.divide(seconds, 3600.0)


def _days(seconds: Column) -> Any:
    return np.divide(seconds, 86_400.0)


def _hour_of_day(seconds: Column) -> Any:
    return np.floor(np.mod(seconds, 86_400.0) / 3600.0)


FUNCTIONS: Mapping[str, tuple[Function, range]] = {  # with the accepted numbers of arguments
    "abs": (np.abs, range(1, 2)),
    "ceil": (np.ceil, range(1, 2)),
    "clip": (np.clip, range(3, 4)),
    "coalesce": (_coalesce, range(1, 17)),
    "cos": (np.cos, range(1, 2)),
    "days": (_days, range(1, 2)),
    "exp": (np.exp, range(1, 2)),
    "floor": (np.floor, range(1, 2)),
    "hour_of_day": (_hour_of_day, range(1, 2)),
    "hours": (_hours, range(1, 2)),
    "is_missing": (_claim(np.isnan), range(1, 2)),
    "log": (np.log, range(1, 2)),
    "log1p": (np.log1p, range(1, 2)),
    "max": (_greatest, range(1, 17)),
    "min": (_least, range(1, 17)),
    "round": (np.rint, range(1, 2)),
    "sin": (np.sin, range(1, 2)),
    "sqrt": (np.sqrt, range(1, 2)),
}


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A compiled expression."""

    text: str
    names: frozenset[str]  # inputs that it reads; may include `now`
    _evaluate: _Evaluate

    def evaluate(self, columns: Mapping[str, Column], rows: int) -> Column:
        """Return the value per row, shape (rows,), float64; NaN where it is missing.

        A result that is not finite (division by zero, log of a negative number) is missing.
        """
        with np.errstate(all="ignore"):  # NaN is the result, not a warning
            result = np.asarray(self._evaluate(columns), dtype=np.float64)
        column = np.broadcast_to(result, (rows,))
        return np.where(np.isfinite(column), column, np.nan)


def compile_expression(
    text: str, *, functions: Mapping[str, Function] | None = None, field: str = "expression"
) -> Expression:
    """Compile `text`.

    Args:
        text: the expression.
        functions: additional functions over columns, by name.
        field: the name of the text in faults.

    Raises:
        InvalidInputError: `text` is not a valid expression.
    """
    compiler = _Compiler(field, functions or {})
    if len(text) > _LONGEST_CHARACTERS:
        raise compiler.refusal(f"{len(text)} characters", f"at most {_LONGEST_CHARACTERS}")
    try:
        tree = ast.parse(text, mode="eval")
        evaluate = compiler.compiled(tree.body)
    except SyntaxError as error:
        raise compiler.refusal(text, f"an expression ({error.msg})") from error
    except (RecursionError, MemoryError, ValueError, OverflowError) as error:
        raise compiler.refusal(text, "smaller numbers and shallower nesting") from error
    return Expression(text, frozenset(compiler.names), evaluate)


class _Compiler:
    """Turns a syntax tree into nested functions; refuses every node type that it does not know."""

    def __init__(self, field: str, functions: Mapping[str, Function]) -> None:
        self.names: set[str] = set()
        self._field = field
        self._functions = functions

    def compiled(self, node: ast.AST) -> _Evaluate:
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                number = np.float64(value)
                return lambda _: number
            case ast.Name(id=name):
                self.names.add(name)
                return lambda columns: columns[name]
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self._called(self._function(name, len(args)), args)
            case _:
                return self._operated(node)

    def refusal(self, read: str, accepted: str) -> InvalidInputError:
        return InvalidInputError.of(self._field, read=read, accepted=accepted)

    def _operated(self, node: ast.AST) -> _Evaluate:
        match node:
            case ast.BinOp(left=left, op=op, right=right):
                return self._applied(op, [left, right])
            case ast.UnaryOp(op=op, operand=operand):
                return self._applied(op, [operand])
            case ast.BoolOp(op=op, values=values):
                return self._folded(op, values)
            case ast.Compare():
                return self._compared(node)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._called(_choose, [test, body, orelse])
            case _:
                read = ast.unparse(node)[:80]
                raise self.refusal(read, "numbers, inputs, operators and functions")

    def _function(self, name: str, arguments: int) -> Function:
        if name in FUNCTIONS:
            function, accepted = FUNCTIONS[name]
            if arguments not in accepted:
                read = f"{name} of {arguments}"
                raise self.refusal(read, f"{accepted.start} to {accepted.stop - 1} arguments")
            return function
        if name in self._functions:
            return self._functions[name]
        raise self.refusal(f"{name}(…)", f"one of {', '.join([*FUNCTIONS, *self._functions])}")

    def _applied(self, op: ast.AST, nodes: list[ast.expr]) -> _Evaluate:
        function = _OPERATORS.get(type(op))
        if function is None:
            raise self.refusal(type(op).__name__, "+ - * / // % **")
        return self._called(function, nodes)

    def _folded(self, op: ast.boolop, nodes: list[ast.expr]) -> _Evaluate:
        function = _OPERATORS[type(op)]
        parts = [self.compiled(node) for node in nodes]

        def fold(columns: Mapping[str, Column]) -> Any:
            result = parts[0](columns)
            for part in parts[1:]:
                result = function(result, part(columns))
            return result

        return fold

    def _compared(self, node: ast.Compare) -> _Evaluate:
        left = node.left
        pairs: list[ast.expr] = []
        for op, right in zip(node.ops, node.comparators, strict=True):
            pairs.append(ast.Compare(left, [op], [right]))
            left = right
        if len(pairs) > 1:  # a < b < c
            return self._folded(ast.And(), pairs)
        return self._applied(node.ops[0], [node.left, node.comparators[0]])

    def _called(self, function: Function, nodes: list[ast.expr]) -> _Evaluate:
        parts = [self.compiled(node) for node in nodes]
        return lambda columns: function(*[part(columns) for part in parts])
