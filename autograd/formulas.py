"""The gradient rule of an op as a formula, read off the rule itself, as text and as LaTeX.

The rules of ``autograd/ops`` are expressions such as ``g * (1 - out * out)``. Their source is parsed, so what is
shown is what runs.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

_DESCRIBED = re.compile(r"``(.+?)``")

#: names that a formula uses for what a rule calls g, out and the like
Names = Mapping[str, str]


@functools.lru_cache(maxsize=1024)
def rule_expression(rule: Callable[..., Any]) -> ast.expr | None:
    """The expression that a rule returns; None where it takes more than one statement.

    A rule of several statements may give the formula at the start of its docstring, between double backquotes.

    Example:
        >>> from chainrule.autograd.op import OPS
        >>> ast.unparse(rule_expression(OPS["tanh"].rules["x"]))
        'g * (1 - out * out)'
    """
    described = _DESCRIBED.match(rule.__doc__ or "")
    if described is not None:
        try:
            return ast.parse(described[1], mode="eval").body
        except SyntaxError:  # a formula in words or signs of mathematics is shown as it is
            return None
    code = rule.__code__
    tree = _module_tree(code.co_filename)
    if tree is None:
        return None
    # of several lambdas on a line, the one whose body holds the code's own positions
    positions = [(line, column) for line, _, column, _ in code.co_positions() if line and column is not None]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            statements = [s for s in node.body if not _is_docstring(s)]
            if first == code.co_firstlineno and len(statements) == 1 and isinstance(statements[0], ast.Return):
                return statements[0].value
        elif isinstance(node, ast.Lambda) and code.co_name == "<lambda>" and node.lineno == code.co_firstlineno:
            start = (node.body.lineno, node.body.col_offset)
            end = (node.body.end_lineno or 0, node.body.end_col_offset or 0)
            if any(start <= p < end for p in positions if p > (node.lineno, node.col_offset)):
                return node.body
    return None


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


@functools.lru_cache(maxsize=64)
def _module_tree(filename: str) -> ast.Module | None:
    import linecache

    source = "".join(linecache.getlines(filename))
    return ast.parse(source) if source else None


#: what helpers of the rules do, in words of mathematics
_HELPERS = {"restore": "broadcast", "unbroadcast": "sum_to", "keep_dims": "reshape", "spread": "broadcast"}


class _Rename(ast.NodeTransformer):
    """Takes ``xp`` away and puts in the names of this graph."""

    def __init__(self, names: Names) -> None:
        self.names = names

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id in ("xp", "math", "np"):
            return ast.Name(node.attr)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = _function_name(node)
        if name == "zeros_like":
            return ast.Constant(0)
        node.args = [a for a in node.args if not _is_namespace(a)]
        self.generic_visit(node)
        node.func = ast.Name(name)
        if name in ("broadcast", "reshape"):  # the shape says all
            node.args, node.keywords = node.args[:2], []
        return _counted(node) if name == "count_of" else node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        name = self.names.get(node.id, node.id)
        try:
            ast.literal_eval(name)
        except (ValueError, SyntaxError):
            return ast.Name(name)
        return ast.parse(name, mode="eval").body  # a number, a shape or None

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        # exponents and the like; 1 / 12 reads better as it is
        return _folded(node, node.left, node.right) if isinstance(node.op, (ast.Add, ast.Sub)) else node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        return _folded(node, node.left, *node.comparators)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        """Only the branch that is taken, where the condition is known."""
        self.generic_visit(node)
        if not isinstance(node.test, ast.Constant):
            return node
        return node.body if node.test.value else node.orelse


def _folded(node: ast.expr, *parts: ast.expr) -> ast.expr:
    """An expression of numbers as their value."""
    if not all(isinstance(p, ast.Constant) and isinstance(p.value, (int, float)) for p in parts):
        return node
    return ast.Constant(eval(compile(ast.fix_missing_locations(ast.Expression(node)), "<formula>", "eval"), {}))


def _counted(node: ast.Call) -> ast.expr:
    """``count_of(shape, axis)`` as a number, where both are known."""
    from chainrule.autograd.ops.reduction import count_of

    try:
        return ast.Constant(count_of(*[ast.literal_eval(ast.unparse(a)) for a in node.args]))
    except (ValueError, SyntaxError):
        return node


def _is_namespace(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "xp"


def _function_name(node: ast.Call) -> str:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
    return _HELPERS.get(name, name.strip("_"))


def as_text(rule: Callable[..., Any], names: Names) -> str:
    """The rule's formula in one line of text, with the given names for what the rule calls ``g``, ``x``, ``out``.

    Example:
        >>> from chainrule.autograd.op import OPS
        >>> as_text(OPS["tanh"].rules["x"], {"g": "dL/dy", "out": "y"})
        'dL/dy * (1 - y * y)'
    """
    expression = rule_expression(rule)
    if expression is None:
        described = _DESCRIBED.match(rule.__doc__ or "")
        if described is not None:
            return described[1]
        needs = list(inspect.signature(rule).parameters)[1:]
        return f"{rule.__name__.strip('_')}({', '.join(names.get(n, n) for n in needs)})"
    return ast.unparse(_renamed(expression, names))


def _renamed(expression: ast.expr, names: Names) -> ast.expr:
    copy = ast.parse(ast.unparse(expression), mode="eval").body  # the tree of the module stays as it is
    return _Rename(names).visit(copy)


def as_latex(rule: Callable[..., Any], names: Names) -> str:
    r"""The rule's formula in LaTeX's mathematics.

    Example:
        >>> from chainrule.autograd.op import OPS
        >>> as_latex(OPS["sqrt"].rules["x"], {"g": "g", "out": "y"})
        '\\frac{g \\odot 0.5}{y}'
    """
    expression = rule_expression(rule)
    if expression is None:
        described = _DESCRIBED.match(rule.__doc__ or "")
        if described is not None:
            return r"\texttt{" + described[1].replace("_", r"\_").replace("^", r"\^{}") + "}"
        needs = list(inspect.signature(rule).parameters)[1:]
        return _call(rule.__name__.strip("_"), [names.get(n, _word(n)) for n in needs])
    return _Latex().write(_renamed(expression, names), 0)


def _word(name: str) -> str:
    return name if len(name) == 1 else r"\mathrm{" + name.replace("_", r"\_") + "}"


def _call(name: str, arguments: list[str]) -> str:
    escaped = name.replace("_", r"\_")
    return rf"\operatorname{{{escaped}}}\left({', '.join(arguments)}\right)"


#: how tightly an operator binds, and how it is written; elementwise products are told from matrix products
_OPERATORS: dict[type[ast.operator], tuple[int, str]] = {
    ast.Add: (1, "+"), ast.Sub: (1, "-"), ast.Mult: (2, r"\odot"), ast.MatMult: (2, ""),
    ast.Mod: (2, r"\bmod"), ast.BitAnd: (1, r"\wedge"), ast.BitOr: (1, r"\vee"),
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "=", ast.NotEq: r"\neq", ast.Lt: "<", ast.LtE: r"\leq", ast.Gt: ">", ast.GtE: r"\geq",
}  # fmt: skip
_FUNCTIONS = {"exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "max", "min"}


class _Latex:
    """Writes an expression; ``level`` is how tightly what stands around it binds."""

    def write(self, node: ast.expr, level: int) -> str:
        if isinstance(node, ast.Name):
            return node.id if not node.id.isidentifier() else _word(node.id)
        if isinstance(node, ast.Constant):
            return str(node.value) if isinstance(node.value, (int, float)) else rf"\text{{{node.value!s}}}"
        if isinstance(node, ast.BinOp):
            return self._binary(node, level)
        if isinstance(node, ast.UnaryOp):
            sign = {ast.USub: "-", ast.UAdd: "+", ast.Invert: r"\neg ", ast.Not: r"\neg "}[type(node.op)]
            return self._bracket(sign + self.write(node.operand, 2), level > 1)
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
            sign = _COMPARISONS[type(node.ops[0])]
            text = f"{self.write(node.left, 1)} {sign} {self.write(node.comparators[0], 1)}"
            return self._bracket(text, level > 0)
        if isinstance(node, ast.IfExp):
            return self._cases(node.test, node.body, node.orelse)
        if isinstance(node, ast.Call):
            return self._function(node, level)
        return r"\texttt{" + ast.unparse(node).replace("_", r"\_") + "}"

    @staticmethod
    def _bracket(text: str, needed: bool) -> str:
        return rf"\left({text}\right)" if needed else text

    def _binary(self, node: ast.BinOp, level: int) -> str:
        if isinstance(node.op, (ast.Div, ast.FloorDiv)):
            text = rf"\frac{{{self.write(node.left, 0)}}}{{{self.write(node.right, 0)}}}"
            return rf"\left\lfloor {text} \right\rfloor" if isinstance(node.op, ast.FloorDiv) else text
        if isinstance(node.op, ast.Pow):
            return f"{{{self.write(node.left, 4)}}}^{{{self.write(node.right, 0)}}}"
        binds, sign = _OPERATORS.get(type(node.op), (1, r"\circ"))
        right = self.write(node.right, binds + (1 if isinstance(node.op, ast.Sub) else 0))
        return self._bracket(f"{self.write(node.left, binds)} {sign} {right}".replace("  ", " "), level > binds)

    def _cases(self, test: ast.expr, yes: ast.expr, no: ast.expr) -> str:
        rows = (
            rf"{self.write(yes, 0)} & \text{{if }} {self.write(test, 0)} \\ {self.write(no, 0)} & \text{{otherwise}}"
        )
        return rf"\begin{{cases}} {rows} \end{{cases}}"

    def _function(self, node: ast.Call, level: int) -> str:
        name = ast.unparse(node.func)
        arguments = node.args
        written = [self.write(a, 0) for a in arguments]
        if name == "sqrt":
            return rf"\sqrt{{{written[0]}}}"
        if name == "square":
            return f"{{{self.write(arguments[0], 4)}}}^{{2}}"
        if name == "abs":
            return rf"\left|{written[0]}\right|"
        if name == "conj":
            return rf"\overline{{{written[0]}}}"
        if name == "where" and len(arguments) == 3:
            return self._cases(arguments[0], arguments[1], arguments[2])
        if name in ("matrix_transpose", "transpose_last"):
            return f"{{{self.write(arguments[0], 4)}}}^{{\\top}}"
        if name == "matmul" and len(arguments) == 2:
            return self._bracket(rf"{self.write(arguments[0], 2)} \, {self.write(arguments[1], 2)}", level > 2)
        if name in _FUNCTIONS and len(arguments) == 1:
            return rf"\{name}\left({written[0]}\right)"
        written += [f"{_word(k.arg)}={self.write(k.value, 0)}" for k in node.keywords if k.arg]
        return _call(name, written)
