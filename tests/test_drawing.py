"""The graph as a picture and as text."""

from __future__ import annotations

import io
import subprocess
import sys

import graphviz
import pytest

import chainrule as cr
from chainrule.autograd import drawing
from chainrule.autograd.drawing import draw, draw_text, to_text
from chainrule.autograd.graph import EdgeRecord, Graph, NodeRecord
from chainrule.autograd.location import record_locations

pytestmark = pytest.mark.filterwarnings("error")


def net():
    w = cr.tensor([[1.0, -2.0, 3.0]], requires_grad=True, device="cpu")
    b = cr.tensor([0.5], requires_grad=True, device="cpu")
    x = cr.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], device="cpu")
    h = x @ w.T + b
    return (h.tanh() * h).mean(), {"w": w, "b": b}


def text_of(tensor, params=None, **options):
    out = io.StringIO()
    draw_text(tensor, params, file=out, **options)
    return out.getvalue()


BEFORE = """\
result: scalar float32, value 9.49998

leaves, where gradients end
  w  (1, 3)  float32  no gradient yet
  b  (1,)    float32  no gradient yet

operations, in the order they ran (#n stands for the result of line n)
  #1  permute  w, dims=(1, 0)       -> (3, 1)
  #2  matmul   constant (2, 3), #1  -> (2, 1)
  #3  add      #2, b                -> (2, 1)
  #4  tanh     #3                   -> (2, 1)
  #5  mul      #4, #3               -> (2, 1)
  #6  mean     #5                   -> scalar
  result = #6
"""


def test_text():
    loss, params = net()
    assert text_of(loss, params) == BEFORE


def test_text_after_backward():
    loss, params = net()
    loss.backward()
    lines = text_of(loss, params).splitlines()
    assert lines[3].startswith("  w  (1, 3)  float32  gradient norm ")
    assert "-> (2, 1)" in next(line for line in lines if "tanh" in line)


def test_text_goes_to_standard_output(capsys):
    loss, params = net()
    assert draw_text(loss, params) is None
    assert capsys.readouterr().out == text_of(loss, params)


def test_text_shows_lines_names_and_outputs():
    x = cr.ones(4, requires_grad=True)
    with record_locations():
        a, b = x.split(2)
        y = a * b
    text = text_of(y, {"product": y})
    assert "#1[0], #1[1]" in text
    assert "# product" in text
    assert "test_drawing.py:" in text


def test_text_of_parameters_apart():
    graph = Graph(
        (
            NodeRecord(0, "leaf", "w", (2,), "float32", "cuda:0"),
            NodeRecord(1, "result", "result", (2,), "float32", "cuda:0"),
            NodeRecord(2, "leaf", "lost", (3,), "float32", connected=False),
            NodeRecord(3, "leaf", "cold", (3,), "float32", connected=False, requires_grad=False),
        ),
        (EdgeRecord(0, 1),),
    )
    text = to_text(graph)
    assert "w  (2,)  float32 on cuda:0" in text
    assert "lost  (3,)  float32  does not lead to the result" in text
    assert "cold  (3,)  float32  frozen (requires_grad=False)" in text
    source = drawing.to_dot(graph).source
    assert "frozen" in source and "does not lead" in source
    assert "dashed" in source


def test_source_holds_names_shapes_and_gradients():
    loss, params = net()
    source = draw(loss, params).source
    for piece in ("<b>w</b>", "<b>tanh</b>", "(1, 3) float32", "no gradient yet", "constant (2, 3)", '" (2, 1) "'):
        assert piece in source
    assert "value 9.49998" in source
    loss.backward()
    assert "gradient norm" in draw(loss, params).source
    assert "no gradient yet" not in draw(loss, params).source


def test_source_is_deterministic():
    assert draw(*net()).source == draw(*net()).source


def test_names_are_escaped():
    w = cr.ones(2, requires_grad=True)
    source = draw(w.exp(), {'a<b> & "c"': w}).source
    assert "a&lt;b&gt; &amp; &quot;c&quot;" in source


def test_modules_are_frames_inside_frames():
    nodes = [
        NodeRecord(0, "leaf", "w", (2,), "float32"),
        NodeRecord(1, "op", "linear", module="encoder.0"),
        NodeRecord(2, "op", "tanh", module="encoder"),
        NodeRecord(3, "op", "exp", module="head"),
        NodeRecord(4, "result", "result", (2,), "float32"),
    ]
    edges = tuple(EdgeRecord(i, i + 1) for i in range(4))
    source = drawing.to_dot(Graph(tuple(nodes), edges)).source
    assert "cluster_head" not in source  # one operation needs no frame
    assert "<i>head</i>" in source
    outer, inner = source.index("cluster_encoder"), source.index("cluster_encoder.0")
    assert outer < inner < source.index("n0 [label") < source.index("n1 [label")
    assert not source.index("subgraph") < source.index("n4 [label") < source.index("}")


def test_large_graphs_are_cut_with_a_note():
    w = cr.ones(1, requires_grad=True)
    y = w
    for _ in range(50):
        y = y * w
    source = draw(y, {"w": w}, max_nodes=10).source
    assert "... 41 more nodes\\n(max_nodes=10)" in source
    assert source.count("<b>mul</b>") == 9
    assert "<b>w</b>" in source
    assert "more -> " in source
    text = text_of(y, {"w": w}, max_nodes=10)
    assert "... 41 more operations before these (max_nodes=10)" in text
    assert text.splitlines()[-1] == "  result = #50"


def test_a_graph_of_10_000_operations_is_cut_by_default():
    y = w = cr.ones(1, requires_grad=True)
    for _ in range(10_000):
        y = y * w
    assert "... 9,601 more nodes" in draw(y).source
    assert len(text_of(y).splitlines()) < 420


def test_it_is_a_digraph_and_needs_dot_only_to_render(monkeypatch, tmp_path):
    picture = draw(*net())
    assert isinstance(picture, graphviz.Digraph)

    def missing(*args, **options):
        raise graphviz.ExecutableNotFound(["dot"])

    monkeypatch.setattr(graphviz.Digraph, "_repr_mimebundle_", missing)
    shown = picture._repr_mimebundle_()["text/plain"]
    assert "'dot' is not installed" in shown
    assert "operations, in the order they ran" in shown
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(graphviz.ExecutableNotFound):
        picture.render(tmp_path / "graph")


def test_without_the_python_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "graphviz", None)
    drawing._drawing_type.cache_clear()
    try:
        with pytest.raises(ModuleNotFoundError, match="pip install graphviz"):
            draw(*net())
        assert "tanh" in text_of(*net())
    finally:
        drawing._drawing_type.cache_clear()


def test_graphviz_is_imported_on_first_use():
    code = "import sys, chainrule, chainrule.autograd.drawing; sys.exit('graphviz' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bad_arguments():
    loss, _ = net()
    with pytest.raises(ValueError, match="direction must be"):
        draw(loss, direction="up")
    for bad in (0, 2.5):
        with pytest.raises(ValueError, match="draw: max_nodes must be a positive int"):
            draw(loss, max_nodes=bad)
    with pytest.raises(ValueError, match="draw_text: max_nodes"):
        draw_text(loss, max_nodes=-1)
    with pytest.raises(RuntimeError, match="has no graph"):
        draw(cr.ones(2))
