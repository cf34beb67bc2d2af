"""The chain rule of a recorded graph, term by term, with formulas, shapes and numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TextIO

import numpy as np

from chainrule.autograd import formulas
from chainrule.autograd.calls import argument_names, attributes_of, constants_of, declared_op, format_attribute
from chainrule.autograd.engine import _order, _restrict, _start
from chainrule.autograd.graph import named_tensors
from chainrule.autograd.modes import _GradContext
from chainrule.autograd.node import FREED, Leaf, OutputSlot
from chainrule.autograd.tensor import Tensor

#: arrays up to this size are shown whole
_SHOWN = 8
#: so many paths are written out
_PATHS = 8


@dataclass(frozen=True, slots=True)
class Term:
    """What one argument of one operation passes back.

    Attributes:
        operation: the call, such as ``"tanh(v1)"``.
        output: the name of its result.
        argument: the name of the tensor that receives the gradient.
        formula: the rule, in text.
        latex: the rule, in LaTeX.
        value: the contribution itself.
        where: the source line, where it was recorded.
        module: the path of the module, where it was recorded.
    """

    operation: str
    output: str
    argument: str
    formula: str
    latex: str
    value: Any
    where: str | None = None
    module: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The chain rule of one gradient: ``str()`` gives the text, :meth:`latex` the formulas.

    Attributes:
        result: the name of what is differentiated.
        target: the name of what it is differentiated with respect to.
        forward: for each operation on the way, in order, (name of the result, call, shape).
        paths: the ways from target to result, each a list of names; at most eight.
        path_count: how many there are.
        terms: what each operation passes back, from the result to the target.
        gradient: the gradient, a NumPy array; None where no path leads there.
    """

    result: str
    target: str
    forward: tuple[tuple[str, str, tuple[int, ...] | None], ...]
    paths: tuple[tuple[str, ...], ...]
    path_count: int
    terms: tuple[Term, ...]
    gradient: Any

    def __str__(self) -> str:
        lines = [f"the gradient of {self.result} with respect to {self.target}, shape {tuple(self.gradient.shape)}", ""]
        lines.append("forward")
        width = max(len(f"{name} = {call}") for name, call, _ in self.forward)
        for name, call, shape in self.forward:
            lines.append(f"  {f'{name} = {call}':<{width}}  {_shape(shape)}")
        lines += ["", f"chain rule: {_count(self.path_count, 'path')} from {self.target} to {self.result}"]
        head = f"  d{self.result}/d{self.target} = "
        for i, path in enumerate(self.paths):
            factors = [f"d{a}/d{b}" for a, b in pairwise(path)] or ["1"]
            lines.append((head if i == 0 else " " * (len(head) - 2) + "+ ") + " * ".join(factors))
        if self.path_count > len(self.paths):
            lines.append(" " * (len(head) - 2) + f"+ {self.path_count - len(self.paths):,} more")
        lines += ["", "backward (each line is one factor of it, applied to what arrived)"]
        lines.append(f"  d{self.result}/d{self.result} = 1")
        for term in self.terms:
            made = " ".join(part for part in (term.module, term.where) if part)
            lines.append(f"  through {term.output} = {term.operation}{f'   # {made}' if made else ''}")
            lines.append(f"    d{self.result}/d{term.argument} gets {term.formula}")
            lines.append(f"      = {_numbers(term.value)}")
        lines += ["", f"  d{self.result}/d{self.target} = {_numbers(self.gradient)}"]
        return "\n".join(lines)

    def latex(self) -> str:
        """The same formulas as an ``align*`` block of LaTeX."""

        def slope(a: str, b: str) -> str:
            return rf"\frac{{\partial {_latex_name(a)}}}{{\partial {_latex_name(b)}}}"

        lines = []
        for i, path in enumerate(self.paths):
            head = slope(self.result, self.target) + " &= " if i == 0 else "&+ "
            lines.append(head + (" ".join(slope(a, b) for a, b in pairwise(path)) or "1"))
        if self.path_count > len(self.paths):
            lines.append(r"&+ \dots")
        for term in self.terms:
            sign = "&=" if sum(t.argument == term.argument for t in self.terms) == 1 else r"&\mathrel{+}="
            note = rf" && \text{{through }} {_latex_name(term.output)}"
            lines.append(f"{slope(self.result, term.argument)} {sign} {term.latex}{note}")
        body = " \\\\\n".join(lines)
        return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"

    def _repr_latex_(self) -> str:
        return self.latex()


def explain(
    tensor: Tensor, wrt: Tensor, params: Any = None, *, format: str = "text", file: TextIO | None = None
) -> None:
    """Print the chain rule that gives the gradient of ``tensor`` with respect to ``wrt``, term by term.

    Every operation on a path between the two is shown with the formula of its gradient rule, the shape and the
    numbers of what it passes back. No ``.grad`` is touched, and the graph can be used afterwards.

    Args:
        tensor: a result of one element.
        wrt: a leaf or an intermediate result that requires grad.
        params: names for tensors: a Module, or a dict of names (``locals()`` will do).
        format: ``"text"`` or ``"latex"``.
        file: where to print (default: standard output).

    Raises:
        RuntimeError: there is no graph, ``wrt`` is not part of it, or a backward pass has freed it.
        TypeError, ValueError: an argument is none of the above.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([1.0, 2.0], requires_grad=True)
        >>> explain((w * w).sum(), w, {"w": w})
        the gradient of L with respect to w, shape (2,)
        <BLANKLINE>
        forward
          v1 = mul(w, w)  (2,)
          L = sum(v1)     scalar
        <BLANKLINE>
        chain rule: 2 paths from w to L
          dL/dw = dL/dv1 * dv1/dw
                + dL/dv1 * dv1/dw
        <BLANKLINE>
        backward (each line is one factor of it, applied to what arrived)
          dL/dL = 1
          through L = sum(v1)
            dL/dv1 gets broadcast(1, (2,))
              = [1, 1]
          through v1 = mul(w, w)
            dL/dw gets dL/dv1 * w
              = [1, 2]
          through v1 = mul(w, w)
            dL/dw gets dL/dv1 * w
              = [1, 2]
        <BLANKLINE>
          dL/dw = [2, 4]
    """
    if format not in ("text", "latex"):
        raise ValueError(f"explain: format must be 'text' or 'latex', got {format!r}")
    found = chain_rule(tensor, wrt, params)
    (file or sys.stdout).write((str(found) if format == "text" else found.latex()) + "\n")


def chain_rule(tensor: Tensor, wrt: Tensor, params: Any = None) -> Explanation:
    """What :func:`explain` prints, as an object.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor(2.0, requires_grad=True)
        >>> chain_rule(cr.exp(x), x, {"x": x}).terms[0].formula
        '1 * L'
    """
    for name, t in (("tensor", tensor), ("wrt", wrt)):
        if not isinstance(t, Tensor):
            raise TypeError(f"explain: {name} must be a Tensor, got {type(t).__name__}")
    target = wrt._current_node()
    if target is None:
        raise RuntimeError("explain: wrt does not require grad; chainrule.why_no_grad(wrt) says why")
    grads = _start("explain", [tensor], [None], False)
    (root,) = grads
    order = _order([root])
    if target not in order:
        raise RuntimeError("explain: the result does not depend on wrt; chainrule.why_no_grad(wrt, result) may say why")
    needed = _restrict(order, [target])
    steps = [e for e in order if e in needed and e is not target]
    names = _names(root, target, steps, params)
    terms, gradient = _walk(grads, steps, needed, target, names)
    paths, count = _paths(root, target, steps, needed, names)
    forward = tuple(
        (names[e], _call(e, names), e.shape) for e in reversed(steps) if type(e) not in (Leaf, OutputSlot)
    )
    return Explanation("L", names[target], forward, paths, count, tuple(terms), gradient)


def _names(root: Any, target: Any, steps: Sequence[Any], params: Any) -> dict[Any, str]:
    """L for the result, the user's names where given, v1, v2, ... in order of creation."""
    names: dict[Any, str] = {}
    for name, t in named_tensors(params):
        edge = t._current_node()
        if edge is not None:
            names.setdefault(edge, name)
    count = 0
    for e in reversed(steps):
        if e not in names and type(e) is not Leaf:
            if type(e) is OutputSlot:
                parent = e.inputs[0]
                names[e] = f"{names.get(parent, 'v')}[{e.index}]"
            else:
                count += 1
                names[e] = f"v{count}"
    names.setdefault(target, "w" if "w" not in names.values() else "wrt")
    names[root] = "L"
    return names


def _name(edge: Any, names: dict[Any, str]) -> str:
    if edge in names:
        return names[edge]
    return "constant" if edge is None else f"leaf{tuple(edge.shape or ())}"


def _call(node: Any, names: dict[Any, str]) -> str:
    """The call that made a node, with the names of this explanation."""
    op = declared_op(node)
    arguments, edges = argument_names(node)
    given = {argument: _name(edge, names) for argument, edge in edges if edge is not None}
    constants = constants_of(node, op, arguments, set(given))
    parts = [given.get(a) or constants.get(a) for a in arguments]
    shown = [p for p in parts if p is not None]
    shown += [f"{k}={v}" for k, v in attributes_of(node, op, None).items()]
    label = op.label if op is not None else node.name()
    return f"{label}({', '.join(shown)})"


def _walk(
    grads: dict[Any, Any], steps: Sequence[Any], needed: set[Any], target: Any, names: dict[Any, str]
) -> tuple[list[Term], Any]:
    """Run the backward pass without freeing anything, and keep what each edge receives."""
    terms: list[Term] = []
    for e, _, received in _backward_steps(grads, steps, needed):
        arrived = "1" if names[e] == "L" else f"dL/d{names[e]}"
        terms += [_term(e, argument, edge, value, arrived, names) for argument, edge, value in received]
    found = grads.get(target)
    return terms, _host(found, target) if found is not None else np.zeros(target.shape)


def _backward_steps(
    grads: dict[Any, Any], steps: Sequence[Any], needed: set[Any]
) -> Iterator[tuple[Any, Any, list[tuple[str, Any, Any]]]]:
    """The backward pass, which frees nothing: each node, what arrived, and (argument, edge, value) of what it gives."""
    with _GradContext(False):
        for e in steps:
            g = grads.pop(e, None)
            if g is None:
                continue
            if type(e) is OutputSlot:
                parts = grads.setdefault(e.inputs[0], [None] * len(e.inputs[0].output_meta))
                parts[e.index] = g if parts[e.index] is None else parts[e.index] + g
                continue
            _check_alive(e)
            _, edges = argument_names(e)
            received = []
            for (argument, edge), value in zip(edges, e.run(g, needed), strict=True):
                if edge is not None and edge in needed and value is not None:
                    grads[edge] = value if edge not in grads else grads[edge] + value
                    received.append((argument, edge, value))
            yield e, g, received


def follow(tensor: Tensor, target: Any) -> list[tuple[Any, Any, list[Any]]]:
    """Each node between a result and a target: what arrived there and what it passed on, as NumPy arrays."""
    seed = tensor._device.xp.ones(tensor._data.shape, dtype=tensor._data.dtype)
    root = tensor._current_node()
    order = _order([root])
    needed = _restrict(order, [target])
    steps = [e for e in order if e in needed and e is not target]
    found = []
    for e, g, received in _backward_steps({root: seed}, steps, needed):
        parts = [p for p in (g if isinstance(g, list) else [g]) if p is not None]
        arrived = np.concatenate([_host(p, e).reshape(-1) for p in parts])
        found.append((e, arrived, [_host(value, edge) for _, edge, value in received]))
    return found


def _check_alive(node: Any) -> None:
    if any(getattr(node, slot, None) is FREED for slot in getattr(type(node), "__slots__", ())):
        raise RuntimeError(
            f"explain: what {node.name()} saved was freed by a backward pass; call explain before backward(), or "
            f"backward(retain_graph=True)"
        )


def _term(node: Any, argument: str, edge: Any, value: Any, arrived: str, names: dict[Any, str]) -> Term:
    op = declared_op(node)
    location = getattr(node, "where", None)
    formula, latex = f"backward of {node.name()}", rf"\text{{backward of {node.name()}}}"
    if op is not None:
        parameter = next((p for p in (*op.parameters, op.variadic) if p and _public(op, p, argument)), None)
        if parameter is not None:
            rule = op.rules[parameter]
            formula = formulas.as_text(rule, _text_names(node, op, arrived, names))
            latex = formulas.as_latex(rule, _latex_names(node, op, names))
    return Term(
        _call(node, names),
        names[node],
        _name(edge, names),
        formula,
        latex,
        _host(value, edge),
        str(location) if location is not None else None,
        getattr(location, "module", None),
    )


def _public(op: Any, parameter: str, argument: str) -> bool:
    from chainrule.autograd.op import PUBLIC_NAMES

    return PUBLIC_NAMES.get(parameter, parameter) == argument or argument.startswith(f"{parameter}[")


def _values(node: Any, op: Any, names: dict[Any, str]) -> dict[str, str]:
    """What the words of the op's rules are in this graph."""
    arguments, edges = argument_names(node)
    tracked = {argument: edge for argument, edge in edges if edge is not None}
    constants = constants_of(node, op, arguments, set(tracked))
    found: dict[str, str] = {"out": names[node]}
    for parameter in op.parameters:
        public = next(a for a in arguments if _public(op, parameter, a))
        edge = tracked.get(public)
        found[parameter] = _name(edge, names) if edge is not None else constants.get(public, public)
        shape = edge.shape if edge is not None else getattr(getattr(node, f"saved_{parameter}", None), "shape", None)
        if shape is None:
            shape = getattr(node, f"saved_{parameter}_shape", None)
        if shape is not None:
            found[f"{parameter}_shape"] = str(tuple(shape))
    for attribute in op.attributes:
        value = getattr(node, f"saved_{attribute}", None)
        text = format_attribute(value)
        if hasattr(node, f"saved_{attribute}") and text is not None:
            found[attribute] = text
    return found


def _text_names(node: Any, op: Any, arrived: str, names: dict[Any, str]) -> dict[str, str]:
    return {**_values(node, op, names), "g": arrived}


def _latex_names(node: Any, op: Any, names: dict[Any, str]) -> dict[str, str]:
    tensors = {*op.parameters, "out"}
    found = {k: _latex_name(v) if k in tensors else v for k, v in _values(node, op, names).items()}
    arrived = "1" if names[node] == "L" else rf"\frac{{\partial L}}{{\partial {_latex_name(names[node])}}}"
    return {**found, "g": arrived}


def _latex_name(name: str) -> str:
    if name[:1] == "v" and name[1:].isdigit():
        return f"v_{{{name[1:]}}}"
    if len(name) == 1 or not any(c.isalpha() for c in name):
        return name
    if " " in name:
        return rf"\text{{{name}}}"
    return r"\mathrm{" + name.replace("_", r"\_") + "}"


def _paths(
    root: Any, target: Any, steps: Sequence[Any], needed: set[Any], names: dict[Any, str]
) -> tuple[tuple[tuple[str, ...], ...], int]:
    """The ways from root to target, a few of them written out, and their number."""
    counts: dict[Any, int] = {target: 1}
    for e in reversed(steps):
        counts[e] = sum(counts.get(edge, 0) for edge in e.inputs if edge in needed)
    found: list[tuple[str, ...]] = []
    waiting: list[tuple[Any, tuple[str, ...]]] = [(root, (names[root],))]
    while waiting and len(found) < _PATHS:
        e, path = waiting.pop()
        if e is target:
            found.append(path)
            continue
        for edge in reversed(e.inputs):
            if edge in needed:
                inner = edge.inputs[0] if type(edge) is OutputSlot and edge is not target else edge
                waiting.append((inner, (*path, names[inner])))
    return tuple(found), counts[root]


def _host(array: Any, edge: Any) -> Any:
    device = edge.inputs[0].device if type(edge) is OutputSlot else edge.device
    return device.backend.to_host(array) if device.type != "cpu" else np.asarray(array)


def _shape(shape: tuple[int, ...] | None) -> str:
    return "?" if shape is None else str(tuple(shape)) if shape else "scalar"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _numbers(array: Any) -> str:
    """An array's elements where there are few, else its shape and size."""
    a = np.asarray(array)
    if a.size <= _SHOWN:
        return _plain(a.tolist())
    wide = a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)
    size = np.abs(wide)
    return f"shape {tuple(a.shape)}, norm {float(np.sqrt((size * size).sum())):.4g}, largest {float(size.max()):.4g}"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_plain(v) for v in value)}]"
    return f"{value:.4g}"
