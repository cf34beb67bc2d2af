"""The recorded graph as a picture (Graphviz) and as text."""

from __future__ import annotations

import functools
import html
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from chainrule.autograd.graph import EdgeRecord, Graph, NodeRecord, Shape, record_graph
from chainrule.autograd.tensor import Tensor

if TYPE_CHECKING:
    import graphviz

# Colours of Okabe and Ito (colour-blind safe), as pale fills under dark text; the three kinds differ in outline
# too. Lines and what is written beside them are a grey that can be read on white and on dark pages.
_FONT = "Helvetica,Arial,sans-serif"
_INK, _FAINT, _LINE = "#1a1a1a", "#4d4d4d", "#7d7d7d"
_STYLES: dict[str, dict[str, str]] = {
    "leaf": {"shape": "box", "style": "filled", "fillcolor": "#cdeade", "color": "#009e73", "penwidth": "1.4"},
    "op": {"shape": "box", "style": "rounded,filled", "fillcolor": "#e4eff8", "color": "#0072b2"},
    "result": {"shape": "box", "style": "filled", "fillcolor": "#fbe2cd", "color": "#d55e00", "peripheries": "2"},
    "frozen": {"shape": "box", "style": "filled,dashed", "fillcolor": "#ededed", "color": "#7d7d7d"},
    "unused": {"shape": "box", "style": "filled,dashed", "fillcolor": "#ffffff", "color": "#d55e00"},
    "more": {"shape": "note", "style": "filled", "fillcolor": "#fff7d6", "color": "#7d7d7d"},
}


def draw(
    tensor: Tensor | Sequence[Tensor], params: Any = None, *, max_nodes: int = 400, direction: str = "TB"
) -> graphviz.Digraph:
    """The graph that leads to ``tensor`` as a Graphviz object: an SVG in a notebook, a file by ``.render()``.

    Green boxes are leaves, where gradients end, with the norm of the gradient once a backward pass has run;
    rounded blue boxes are operations, in the order data flows; the orange box is the result. Tensors that do
    not require grad are not part of the graph. Source lines and modules are shown for what was computed
    inside :func:`record_locations`.

    Args:
        tensor: one result, or several.
        params: names for leaves and intermediate results: a Module, or a dict of names (``locals()`` will do).
        max_nodes: leave out the oldest operations of a graph that is larger.
        direction: ``"TB"`` from top to bottom, ``"LR"`` from left to right.

    Raises:
        RuntimeError: nothing was recorded for the tensor.
        TypeError, ValueError: an argument is none of the above.
        ModuleNotFoundError: the Python package ``graphviz`` is missing. The program ``dot`` is needed only to
            render; :func:`draw_text` needs neither.

    Example:
        >>> import chainrule as cr
        >>> w = cr.ones(3, requires_grad=True)
        >>> picture = draw((w * 2).sum(), {"w": w})
        >>> "mul" in picture.source
        True
    """
    _check_limit("draw", max_nodes)
    if direction not in ("TB", "LR", "BT", "RL"):
        raise ValueError(f"draw: direction must be 'TB', 'LR', 'BT' or 'RL', got {direction!r}")
    return to_dot(record_graph(tensor, params), max_nodes=max_nodes, direction=direction)


def draw_text(
    tensor: Tensor | Sequence[Tensor], params: Any = None, *, max_nodes: int = 400, file: TextIO | None = None
) -> None:
    """Print the graph that leads to ``tensor`` as text; needs no other program.

    Args:
        tensor: one result, or several.
        params: names for leaves and intermediate results: a Module, or a dict of names (``locals()`` will do).
        max_nodes: leave out the oldest operations of a graph that is larger.
        file: where to print (default: standard output).

    Raises:
        RuntimeError: nothing was recorded for the tensor.
        TypeError, ValueError: an argument is none of the above.

    Example:
        >>> import chainrule as cr
        >>> w = cr.ones(3, requires_grad=True)
        >>> draw_text((w * 2).sum(), {"w": w})
        result: scalar float32, value 6
        <BLANKLINE>
        leaves, where gradients end
          w   (3,)  float32  no gradient yet
        <BLANKLINE>
        operations, in the order they ran (#n stands for the result of line n)
          #1  mul  w, 2  -> (3,)
          #2  sum  #1    -> scalar
          result = #2
    """
    _check_limit("draw_text", max_nodes)
    (file or sys.stdout).write(to_text(record_graph(tensor, params), max_nodes=max_nodes) + "\n")


def _check_limit(caller: str, max_nodes: Any) -> None:
    if not isinstance(max_nodes, int) or max_nodes < 1:
        raise ValueError(f"{caller}: max_nodes must be a positive int, got {max_nodes!r}")


def _kept(graph: Graph, max_nodes: int) -> set[int]:
    """The ids of the nodes nearest to the results, with the leaves those use."""
    inputs = graph.inputs()
    kept = {n.id for n in graph.nodes if n.kind == "result" or not n.connected}
    count = 0
    for node in reversed(graph.nodes):
        if node.kind == "op":
            new = [e.source for e in inputs[node.id] if graph.nodes[e.source].kind == "leaf" and e.source not in kept]
            count += 1 + len(set(new))
            if count > max_nodes:
                break
            kept.update([node.id, *new])
    kept.update(e.source for n in graph.of_kind("result") for e in inputs[n.id] if graph.nodes[e.source].kind == "leaf")
    return kept


# ---- text -----------------------------------------------------------------------------------------------------------


def to_text(graph: Graph, *, max_nodes: int = 400) -> str:
    """What :func:`draw_text` prints, from records.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.autograd.graph import record_graph
        >>> print(to_text(record_graph(cr.ones(1, requires_grad=True).exp())).splitlines()[-1])
          result = #1
    """
    kept = _kept(graph, max_nodes)
    inputs = graph.inputs()
    numbers = {node.id: i for i, node in enumerate(graph.of_kind("op"), 1)}
    lines = []
    for node in graph.of_kind("result"):
        value = f", value {node.attributes['value']}" if "value" in node.attributes else ""
        lines.append(f"{node.name}: {_shape(node.shape)} {node.dtype}{_on(node)}{value}")
    leaves = [n for n in graph.nodes if n.kind == "leaf" and n.connected]
    shown = [n for n in leaves if n.id in kept]
    rows = [[n.name, _shape(n.shape), f"{n.dtype}{_on(n)}", _gradient(n) or "no gradient yet"] for n in shown]
    lines += ["", "leaves, where gradients end", *_columns(rows)]
    if len(shown) < len(leaves):
        lines.append(f"  ... {len(leaves) - len(shown):,} more leaves")
    apart = [n for n in graph.nodes if not n.connected]
    if apart:
        rows = [[n.name, _shape(n.shape), n.dtype or "", _why_apart(n)] for n in apart]
        lines += ["", "parameters that get no gradient from this result", *_columns(rows)]
    ops = [n for n in graph.of_kind("op") if n.id in kept]
    if ops or numbers:
        lines += ["", "operations, in the order they ran (#n stands for the result of line n)"]
    if len(ops) < len(numbers):
        lines.append(f"  ... {len(numbers) - len(ops):,} more operations before these (max_nodes={max_nodes})")
    rows = []
    for n in ops:
        row = [f"#{numbers[n.id]}", n.name, _call(n, inputs[n.id], graph, numbers), f"-> {_shape(n.shape)}"]
        rows.append([*row, _gradient(n), n.module or "", n.where or ""])
    lines += _columns(rows)
    for n in graph.of_kind("result"):
        lines.append(f"  {n.name} = {_reference(inputs[n.id][0], graph, numbers)}")
    return "\n".join(lines)


def _columns(rows: list[list[str]]) -> list[str]:
    """Rows aligned in columns, indented; a long cell pushes only its own line."""
    if not rows:
        return []
    widths = [min(max(map(len, column)), 60) for column in zip(*rows, strict=True)]
    used = [i for i, width in enumerate(widths) if width]
    return [("  " + "  ".join(f"{row[i]:<{widths[i]}}" for i in used)).rstrip() for row in rows]


def _call(node: NodeRecord, inputs: list[EdgeRecord], graph: Graph, numbers: dict[int, int]) -> str:
    """The arguments of an operation, as one would write the call."""
    given = {edge.argument: _reference(edge, graph, numbers) for edge in inputs}
    given.update(node.constants)
    parts = [given[argument] for argument in node.arguments if argument in given]
    parts += [f"{name}={value}" for name, value in node.attributes.items() if name != "name"]
    name = f"   # {node.attributes['name']}" if "name" in node.attributes else ""
    return ", ".join(parts) + name


def _reference(edge: EdgeRecord, graph: Graph, numbers: dict[int, int]) -> str:
    source = graph.nodes[edge.source]
    if source.kind == "leaf":
        return source.name
    return f"#{numbers[source.id]}" + (f"[{edge.output_index}]" if _is_one_of_several(edge, source) else "")


def _is_one_of_several(edge: EdgeRecord, source: NodeRecord) -> bool:
    return source.outputs_used > 1 or edge.output_index > 0


def _shape(shape: Shape | None) -> str:
    return "?" if shape is None else str(tuple(shape)) if shape else "scalar"


def _on(node: NodeRecord) -> str:
    return "" if node.device in (None, "cpu") else f" on {node.device}"


def _gradient(node: NodeRecord) -> str:
    return "" if node.gradient_norm is None else f"gradient norm {node.gradient_norm:.4g}"


def _why_apart(node: NodeRecord) -> str:
    return "does not lead to the result" if node.requires_grad else "frozen (requires_grad=False)"


# ---- Graphviz -------------------------------------------------------------------------------------------------------


def to_dot(graph: Graph, *, max_nodes: int = 400, direction: str = "TB") -> graphviz.Digraph:
    """What :func:`draw` returns, from records.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.autograd.graph import record_graph
        >>> "exp" in to_dot(record_graph(cr.ones(1, requires_grad=True).exp())).source
        True
    """
    kept = _kept(graph, max_nodes)
    text = functools.partial(to_text, graph, max_nodes=max_nodes)
    dot = _drawing_type()("chainrule", text=text)
    dot.attr("graph", rankdir=direction, bgcolor="transparent", nodesep="0.3", ranksep="0.38")
    dot.attr("node", fontname=_FONT, fontsize="11", fontcolor=_INK, margin="0.12,0.06", height="0.3")
    dot.attr("edge", fontname=_FONT, fontsize="9", color=_LINE, fontcolor=_LINE, arrowsize="0.7")
    left_out = sum(1 for n in graph.nodes if n.id not in kept)
    if left_out:
        dot.node("more", f"... {left_out:,} more nodes\\n(max_nodes={max_nodes})", **_STYLES["more"])
    _place(graph, kept, dot)
    from_more: set[int] = set()
    for edge in graph.edges:
        if edge.target not in kept:
            continue
        if edge.source in kept:
            dot.edge(f"n{edge.source}", f"n{edge.target}", **_edge_label(edge, graph))
        elif edge.target not in from_more:
            from_more.add(edge.target)
            dot.edge("more", f"n{edge.target}", style="dashed")
    return dot


def _place(graph: Graph, kept: set[int], frame: Any) -> None:
    """Add the nodes, those of a module inside a frame of that module, frames inside frames."""
    home = {node.id: node.module for node in graph.nodes}
    for edge in reversed(graph.edges):  # a leaf stands in the frame of the operation that first uses it
        if graph.nodes[edge.source].kind == "leaf":
            home[edge.source] = graph.nodes[edge.target].module
    tree: dict[str, Any] = {}
    for node in graph.nodes:
        if node.id in kept:
            branch = tree
            for part in (home[node.id] or "").split("."):
                branch = branch.setdefault(part, {}) if part else branch
            branch.setdefault("", []).append(node)
    _place_branch(frame, tree, "")


def _place_branch(frame: Any, branch: dict[str, Any], path: str) -> None:
    for node in branch.get("", ()):
        frame.node(f"n{node.id}", _label(node, framed=path == (node.module or "")), **_STYLES[_style(node)])
    for part, inner in branch.items():
        if part:  # as deep as modules nest: a handful of levels
            name = f"{path}.{part}" if path else part
            if set(inner) == {""} and len(inner[""]) == 1:  # a frame around one operation says no more than its name
                _place_branch(frame, inner, path)
                continue
            with frame.subgraph(name=f"cluster_{name}") as framed:
                framed.attr(label=name, color=_LINE, fontcolor=_LINE, style="rounded", fontsize="10", labeljust="l")
                framed.attr(fontname=_FONT)
                _place_branch(framed, inner, name)


def _style(node: NodeRecord) -> str:
    if node.connected:
        return node.kind
    return "unused" if node.requires_grad else "frozen"


def _label(node: NodeRecord, framed: bool) -> str:
    """A name in bold and a few small lines below it, as Graphviz's HTML."""
    small: list[str] = []
    if node.kind == "op":
        small += [f"{name}={value}" for name, value in node.attributes.items() if name != "name"]
        small += [f"{argument}: {what}" for argument, what in node.constants.items()]
    else:
        small.append(f"{_shape(node.shape)} {node.dtype}{_on(node)}")
        small += [f"value {v}" for v in [node.attributes.get("value")] if v is not None]
    if not node.connected:
        small.append(_why_apart(node))
    elif node.gradient_norm is not None:
        small.append(_gradient(node))
    elif node.kind == "leaf":
        small.append("no gradient yet")
    name = f"{node.name}  ({node.attributes['name']})" if "name" in node.attributes else node.name
    lines = [f"<b>{html.escape(name)}</b>"]
    lines += [f'<font point-size="9" color="{_FAINT}">{html.escape(line)}</font>' for line in small]
    origin = [node.module if not framed else None, node.where]
    if any(origin):
        text = "  ".join(html.escape(part) for part in origin if part)
        lines.append(f'<font point-size="8" color="{_FAINT}"><i>{text}</i></font>')
    return f"<{'<br/>'.join(lines)}>"


def _edge_label(edge: EdgeRecord, graph: Graph) -> dict[str, str]:
    """The shape that travels along an edge; leaves and results show their own."""
    source, target = graph.nodes[edge.source], graph.nodes[edge.target]
    text = "" if source.kind == "leaf" or target.kind == "result" or edge.shape is None else _shape(edge.shape)
    if _is_one_of_several(edge, source):
        text = f"[{edge.output_index}] {text}".strip()
    return {"label": f" {text} "} if text else {}


@functools.cache
def _drawing_type() -> Any:
    try:
        import graphviz
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "draw: the Python package 'graphviz' is not installed (pip install graphviz); draw_text() shows the same "
            "graph without it"
        ) from error

    class Drawing(graphviz.Digraph):  # type: ignore[misc]
        """A Digraph that shows the graph as text in a notebook where the program ``dot`` is missing."""

        def __init__(self, name: str | None = None, *, text: Any = None, **options: Any) -> None:
            super().__init__(name, **options)
            self._text = text

        def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **options: Any) -> dict[str, str]:
            try:
                bundle: dict[str, str] = super()._repr_mimebundle_(include, exclude, **options)
            except graphviz.ExecutableNotFound:
                hint = "(Graphviz's program 'dot' is not installed, so here is the graph as text.)"
                text = self.source if self._text is None else self._text()
                return {"text/plain": f"{hint}\n\n{text}"}
            return bundle

    return Drawing
