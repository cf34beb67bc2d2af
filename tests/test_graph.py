"""The graph as plain records, and where its nodes were made."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd.calls import format_attribute
from chainrule.autograd.function import Function
from chainrule.autograd.graph import Graph, named_tensors, record_graph
from chainrule.autograd.location import Location, record_locations
from chainrule.autograd.modes import mode
from chainrule.autograd.op import OPS
from chainrule.autograd.runtime import tracer


def leaf(*shape: int) -> cr.Tensor:
    return cr.ones(*shape, requires_grad=True)


def edges(graph: Graph) -> list[tuple[int, int, int]]:
    return [(e.source, e.target, e.output_index) for e in graph.edges]


class Pair:
    """Stands for an nn.Module."""

    def __init__(self, **tensors: cr.Tensor) -> None:
        self.tensors = tensors

    def named_parameters(self):
        return iter(self.tensors.items())


class Parameter(cr.Tensor):
    __slots__ = ()


def parameter(*shape: int, requires_grad: bool = True) -> cr.Tensor:
    t = cr.ones(*shape)
    t.__class__ = Parameter
    return t.requires_grad_(requires_grad)


def test_records_of_a_diamond():
    x = leaf(2, 3)
    h = x.exp()
    y = (h.sin() + h).sum()
    graph = record_graph(y, {"x": x})
    assert [(n.id, n.kind, n.name, n.shape) for n in graph.nodes] == [
        (0, "leaf", "x", (2, 3)),
        (1, "op", "exp", (2, 3)),
        (2, "op", "sin", (2, 3)),
        (3, "op", "add", (2, 3)),
        (4, "op", "sum", ()),
        (5, "result", "result", ()),
    ]
    assert edges(graph) == [(0, 1, 0), (1, 2, 0), (2, 3, 0), (1, 3, 0), (3, 4, 0), (4, 5, 0)]
    assert [e.argument for e in graph.edges] == ["input", "input", "input", "other", "input", ""]
    assert graph.nodes[0].function == "AccumulateGrad"
    assert graph.nodes[1].function == "ExpBackward0"
    assert graph.nodes[5].dtype == "float32"
    assert graph == record_graph(y, {"x": x})


def test_attributes_and_constants():
    w = leaf(4, 3)
    y = (cr.ones(2, 4) @ w * 0.5).sum(1, keepdim=True)
    matmul, mul, total = record_graph(y).of_kind("op")
    assert matmul.constants == {"input": "constant (2, 4)"}
    assert matmul.arguments == ("input", "other")
    assert mul.constants in ({"other": "0.5"}, {"other": "constant ()"})  # read without a transfer on the CPU only
    assert total.attributes == {"dim": "1", "keepdim": "True"}
    assert total.shape == (2, 1)


def test_several_outputs_and_several_results():
    x = leaf(6, 2)
    a, b, c = x.split(2)
    graph = record_graph([a * c, b])
    split = graph.of_kind("op")[0]
    assert split.outputs_used == 3
    assert edges(graph) == [(0, 1, 0), (1, 2, 0), (1, 2, 2), (2, 3, 0), (1, 4, 1)]
    assert [n.name for n in graph.of_kind("result")] == ["result 0", "result 1"]
    assert all(e.shape == (2, 2) for e in graph.edges if e.source == 1)


def test_the_same_tensor_twice_is_two_edges():
    x = leaf(2)
    assert edges(record_graph(x * x)) == [(0, 1, 0), (0, 1, 0), (1, 2, 0)]


def test_a_leaf_alone():
    graph = record_graph(leaf(2))
    assert [n.kind for n in graph.nodes] == ["leaf", "result"]
    assert edges(graph) == [(0, 1, 0)]


def test_views_and_in_place_changes():
    x = leaf(3, 2)
    y = x * 1
    y[0].mul_(3.0)
    graph = record_graph(y.sum())
    assert "mul" in [n.name for n in graph.of_kind("op")]
    assert graph.of_kind("leaf")[0].shape == (3, 2)


def test_names():
    w, b = leaf(2), leaf(2)
    h = w * b
    graph = record_graph(h.sum(), {"w": w, "h": h, "tied": w, "epochs": 3, "model": Pair(bias=b)})
    assert [n.name for n in graph.of_kind("leaf")] == ["w = tied", "model.bias"]
    assert graph.of_kind("op")[0].attributes == {"name": "h"}
    assert [n.name for n in record_graph(h).of_kind("leaf")] == ["leaf 1", "leaf 2"]
    assert [n.name for n in record_graph(h, Pair(weight=w)).of_kind("leaf")] == ["weight", "leaf 1"]
    assert named_tensors(None) == []


def test_parameters_that_do_not_lead_to_the_result():
    w, lost, frozen = parameter(2), parameter(3), parameter(4, requires_grad=False)
    graph = record_graph((w * 2).sum(), Pair(w=w, lost=lost, frozen=frozen))
    apart = [(n.name, n.requires_grad) for n in graph.nodes if not n.connected]
    assert apart == [("lost", True), ("frozen", False)]


def test_gradient_norms_and_drawing_after_backward():
    w = leaf(2, 2)
    x = cr.ones(3, 2)
    h = (x @ w).relu()
    h.retain_grad()
    loss = (h**2).mean()
    before = record_graph(loss, {"w": w})
    assert before.nodes[0].gradient_norm is None
    loss.backward()
    after = record_graph(loss, {"w": w})
    assert [n.shape for n in after.nodes] == [n.shape for n in before.nodes]
    assert edges(after) == edges(before)
    assert after.nodes[0].gradient_norm == pytest.approx(float(w.grad.square().sum()) ** 0.5)
    relu = next(n for n in after.nodes if n.name == "relu")
    assert relu.gradient_norm == pytest.approx(float(h.grad.square().sum()) ** 0.5)


def test_a_graph_of_a_graph():
    x = leaf(3)
    (dx,) = cr.autograd.grad((x**3).sum(), x, create_graph=True)
    graph = record_graph(dx.sum(), {"x": x})
    assert "x" in [n.name for n in graph.of_kind("leaf")]
    assert graph.of_kind("result")[0].shape == ()


def test_custom_function():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    graph = record_graph(Double.apply(leaf(3)))
    assert [(n.name, n.shape) for n in graph.of_kind("op")] == [("Double", (3,))]


def test_a_chain_of_100_000_operations():
    y = x = leaf(1)
    for _ in range(100_000):
        y = y + x
    graph = record_graph(y)
    assert len(graph.nodes) == 100_002
    assert len(graph.edges) == 200_001
    assert graph.nodes[50_000].shape == (1,)


def test_records_keep_nothing_alive():
    x = leaf(3)
    y = x.exp()
    graph = record_graph(y)
    alive = weakref.ref(y.grad_fn)
    gc.disable()
    try:
        del y
        assert alive() is None
    finally:
        gc.enable()
    assert len(graph.nodes) == 3


def test_nothing_recorded_is_an_error():
    with pytest.raises(RuntimeError, match=r"shape \(2,\), .*float32.* has no graph"):
        record_graph(cr.ones(2) * 2)
    with pytest.raises(TypeError, match="expected a Tensor or a sequence of Tensors, got int"):
        record_graph([3])
    with pytest.raises(TypeError, match="params must be a Module or a dict"):
        record_graph(leaf(2), [leaf(2)])


def _sample_results(name):
    op = OPS[name]
    for sample in op.check.samples():
        tensors = []
        for position, array in enumerate(sample.args):
            parameter_name = op.parameters[position] if position < len(op.parameters) else op.variadic
            t = None if array is None else cr.tensor(array)
            tensors.append(t.requires_grad_() if t is not None and parameter_name in op.rules else t)
        yield op.apply(*tensors, **sample.kwargs)


@pytest.mark.parametrize("name", sorted(name for name, op in OPS.items() if op.rules))
def test_every_op_can_be_recorded(name):
    """With the shape of its result, before its saved arrays are freed and after."""
    for result in _sample_results(name):
        results = result if isinstance(result, tuple) else (result,)
        tracked = [t for t in results if t.requires_grad]
        before = record_graph(tracked)
        results[0].grad_fn.release()
        after = record_graph(tracked)
        assert [e.shape for e in after.edges] == [e.shape for e in before.edges]
        edges_out = [e.shape for e in before.edges if before.nodes[e.target].kind == "result"]
        assert edges_out == [tuple(t.shape) for t in tracked]
        assert before.of_kind("op")[-1].shape == tuple(results[0].shape)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"),
        ((1, 2), "(1, 2)"),
        (slice(2, None, 3), "[2::3]"),
        ((Ellipsis, slice(None), 4), "[..., :, 4]"),
        (np.dtype(np.float32), "float32"),
        (np.zeros((2, 3), np.int64), "int64 (2, 3)"),
        ("same", "'same'"),
        (tuple(range(100)), None),
        (object(), None),
    ],
)
def test_format_attribute(value, text):
    assert format_attribute(value) == text


# ---- locations ------------------------------------------------------------------------------------------------------


def test_locations_name_the_users_line():
    x = leaf(2)
    with record_locations():
        y = (x * 2).sum(0)
    assert isinstance(y.grad_fn.where, Location)
    assert str(y.grad_fn.where) == f"test_graph.py:{y.grad_fn.where.line}"
    assert y.grad_fn.where.filename == __file__
    nodes = record_graph(y + 1).of_kind("op")
    assert nodes[0].where == nodes[1].where == str(y.grad_fn.where)
    assert nodes[2].where is None


def test_locations_nest_and_end():
    outer = tracer.locate
    with record_locations():
        with record_locations():
            assert tracer.locate is not None
        assert tracer.locate is not outer
    assert tracer.locate is outer
    with pytest.raises(KeyError), record_locations():
        raise KeyError
    assert tracer.locate is outer


def test_locations_in_two_threads():
    entered, leave = threading.Event(), threading.Event()

    def other():
        with record_locations():
            entered.set()
            leave.wait(5)

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait(5)
    with record_locations():
        assert tracer.locate is not None
    assert tracer.locate is not None
    leave.set()
    thread.join()
    assert tracer.locate is None


def test_locations_keep_the_module_path(monkeypatch):
    monkeypatch.setattr(mode, "modules", ["encoder", "0"], raising=False)
    with record_locations():
        y = leaf(2).exp()
    assert y.grad_fn.where.module == "encoder.0"
    assert record_graph(y).of_kind("op")[0].module == "encoder.0"
    assert repr(y.grad_fn.where).endswith("in encoder.0>")


def test_locations_keep_no_frame_alive():
    class Big:
        pass

    def run():
        big = Big()
        with record_locations():
            return leaf(2).exp(), weakref.ref(big)

    y, alive = run()
    assert alive() is None
    assert y.grad_fn.where.line
