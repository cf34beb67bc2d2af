"""cr.summary: numbers computed by hand, models of all kinds, and that nothing of the model is changed."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.model_summary import PRODUCTS
from chainrule.nn import functional as F

B = 4  # bytes of a float32


class Attention(nn.Module):
    def forward(self, q, k, v):
        return cr.einsum("bqk,bkd->bqd", cr.matmul(q, k.mT).softmax(-1), v)


class Two(nn.Module):
    """Uses one layer three times and gives a dict."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Linear(4, 4)
        self.unused = nn.Linear(4, 9)
        self.calls = 0

    def forward(self, x, scale=1.0):
        self.calls += 1
        for _ in range(3):
            x = self.shared(x)
        return {"a": x * scale, "b": (x.sum(1), [x, None])}


#: model, input, multiply-adds, parameters
COUNTS = {
    "Linear": (lambda: nn.Linear(5, 7), (3, 5), 3 * 5 * 7, 5 * 7 + 7),
    "Linear on many dimensions": (lambda: nn.Linear(5, 7, bias=False), (2, 3, 5), 6 * 5 * 7, 35),
    "Conv1d": (lambda: nn.Conv1d(2, 6, 3), (4, 2, 10), 4 * 6 * 8 * 2 * 3, 42),
    "Conv2d": (lambda: nn.Conv2d(3, 8, 3, padding=1), (2, 3, 10, 12), 2 * 8 * 10 * 12 * 3 * 9, 3 * 8 * 9 + 8),
    "Conv2d with stride and groups": (
        lambda: nn.Conv2d(4, 8, 3, stride=2, groups=2, bias=False), (1, 4, 9, 9), 8 * 4 * 4 * 2 * 9, 8 * 2 * 9
    ),
    "Conv2d depthwise, dilated": (
        lambda: nn.Conv2d(6, 6, 3, dilation=2, groups=6), (1, 6, 9, 9), 6 * 5 * 5 * 9, 6 * 9 + 6
    ),
    "Conv3d": (lambda: nn.Conv3d(2, 3, 2), (1, 2, 4, 4, 4), 3 * 27 * 2 * 8, 3 * 2 * 8 + 3),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(3, 5, 2, stride=2), (2, 3, 4, 4), 2 * 3 * 16 * 5 * 4, 3 * 5 * 4 + 5),
    "attention by hand": (Attention, [(2, 3, 4), (2, 5, 4), (2, 5, 6)], 2 * 3 * 5 * 4 + 2 * 3 * 5 * 6, 0),
    "RNN": (lambda: nn.RNN(3, 4), (5, 2, 3), 10 * 4 * (3 + 4), 4 * 7 + 8),
    "LSTM, two layers": (lambda: nn.LSTM(4, 8, 2), (5, 3, 4), 15 * 32 * (4 + 8 + 8 + 8), 2 * 32 * 2 + 32 * 28),
    "GRU, both directions": (
        lambda: nn.GRU(3, 4, bidirectional=True), (5, 2, 3), 2 * 10 * 12 * (3 + 4), 2 * (12 * 7 + 24)
    ),
    "MultiheadAttention": (
        lambda: nn.MultiheadAttention(8, 2, batch_first=True), [(2, 3, 8)] * 3,
        6 * 24 * 8 + 2 * (2 * 2 * 3 * 3 * 4) + 6 * 8 * 8, 4 * 64 + 32,
    ),
    "reused": (Two, (2, 4), 3 * 2 * 16, 20 + 45),
    "nothing to multiply": (lambda: nn.Sequential(nn.ReLU(), nn.Flatten()), (2, 3, 4), 0, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_counts_by_hand(name):
    make, given, mult_adds, parameters = COUNTS[name]
    table = cr.summary(make(), given)
    assert table.mult_adds == mult_adds
    assert table.parameters == table.trainable_parameters == parameters


@pytest.mark.parametrize("dtype", [cr.float64, cr.bfloat16], ids=str)
def test_other_dtypes_count_the_same(dtype):
    table = cr.summary(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)).to(dtype), (2, 1, 4, 4))
    assert table.mult_adds == 2 * 2 * 4 * 9 + 2 * 8 * 3
    assert table.parameter_bytes == (20 + 27) * dtype.itemsize


def test_every_operation_that_sums_products_is_counted():
    """Functions of tensors count what they are made of."""
    x, y = cr.ones(3, 4), cr.ones(4, 5)
    calls = {
        "matmul": (lambda m: x @ y, 60), "mm": (lambda m: x.mm(y), 60), "mv": (lambda m: x.mv(cr.ones(4)), 12),
        "dot": (lambda m: cr.ones(4).dot(cr.ones(4)), 4),
        "bmm": (lambda m: cr.bmm(cr.ones(2, 3, 4), cr.ones(2, 4, 5)), 120),
        "tensordot": (lambda m: cr.tensordot(x, y, 1), 60), "einsum": (lambda m: cr.einsum("ij,jk->ik", x, y), 60),
        "addmm": (lambda m: cr.addmm(cr.ones(5), x, y), 60), "linear": (lambda m: F.linear(x, y.mT), 60),
        "attention": (lambda m: F.scaled_dot_product_attention(*[cr.ones(1, 2, 3, 4)] * 3), 2 * 2 * 9 * 4),
    }  # fmt: skip
    for name, (function, expected) in calls.items():
        model = nn.Identity()
        model.forward = function
        assert cr.summary(model, cr.ones(1)).mult_adds == expected, name
    assert set(PRODUCTS) <= set(cr.autograd.op.OPS)


# ---- memory ---------------------------------------------------------------------------------------------------------


def test_memory_by_hand():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    table = cr.summary(model, (16, 4))
    assert [row.output_bytes for row in table.rows] == [0, 16 * 8 * B, 16 * 8 * B, 16 * 2 * B]
    # the input of the first layer, what tanh gives (which is the input of the last layer, too)
    assert [row.saved_bytes for row in table.rows] == [0, 16 * 4 * B, 16 * 8 * B, 0]
    assert table.saved_bytes == 16 * 4 * B + 16 * 8 * B
    assert table.input_bytes == 16 * 4 * B and table.parameter_bytes == (40 + 18) * B


def test_a_frozen_model_saves_nothing_and_counts_all_the_same():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    trainable = cr.summary(model, (16, 4))
    model[0].requires_grad_(False)
    half = cr.summary(model, (16, 4))
    assert [row.saved_bytes for row in half.rows] == [0, 0, 0, 16 * 8 * B]
    assert (half.parameters, half.trainable_parameters, half.frozen_parameters) == (58, 18, 40)
    assert half.rows[1].notes == ["frozen"]
    model.requires_grad_(False)
    frozen = cr.summary(model, (16, 4))
    assert frozen.saved_bytes == 0 and frozen.mult_adds == half.mult_adds == trainable.mult_adds
    model[0].bias.requires_grad_(True)
    assert cr.summary(model, (16, 4)).rows[1].notes == ["partly frozen"]


# ---- what there is in models ----------------------------------------------------------------------------------------


def test_reused_and_unused_layers():
    table = cr.summary(Two(), cr.ones(2, 4), scale=2.0)
    model, shared, unused = table.rows
    assert (shared.calls, shared.parameters, shared.output) == (3, 20, (2, 4))
    assert shared.notes == ["called 3 times"] and unused.notes == ["not called"] and unused.output is None
    assert model.output == {"a": (2, 4), "b": [(2,), [(2, 4)]]}
    assert "called 3 times" in repr(table) and "a: (2, 4), b: (2,), (2, 4)" in repr(table)


def test_a_module_under_two_names_and_tied_weights():
    layer = nn.Linear(3, 3)
    model = nn.Sequential(layer, nn.ReLU(), layer, nn.Linear(3, 3))
    model[3].weight = layer.weight
    table = cr.summary(model, (2, 3))
    assert [row.parameters for row in table.rows] == [0, 12, 0, 0, 3] and table.parameters == 15
    assert table.rows[3].notes == ["the same as '0'"] and table.rows[4].notes == ["weight is tied to 0"]
    assert table.rows[1].calls == 2 and table.mult_adds == 3 * 2 * 9


@pytest.mark.parametrize(
    "given",
    [(2, 4), [2, 4], cr.ones(2, 4), (cr.ones(2, 4),), [(2, 4)], {"x": cr.ones(2, 4)}, (cr.ones(2, 4), 2.0)],
    ids=["shape", "list of ints", "tensor", "tuple", "list of shapes", "dict", "tensor and number"],
)
def test_inputs(given):
    assert cr.summary(Two(), given).rows[1].output == (2, 4)


def test_lazy_layers_are_measured_and_stay_lazy():
    model = nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.LazyLinear(2))
    table = cr.summary(model, cr.ones(3, 7))
    assert table.parameters == 7 * 5 + 5 + 5 * 2 + 2 and table.mult_adds == 3 * (35 + 10)
    assert isinstance(model[0].weight, nn.UninitializedParameter) and type(model[0]) is nn.LazyLinear


def test_inside_vmap():
    class Mapped(nn.Sequential):
        def forward(self, x):
            return cr.vmap(super().forward)(x)

    mapped = cr.summary(Mapped(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)), (4, 3))
    plain = cr.summary(nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)), (4, 3))
    assert mapped.mult_adds == plain.mult_adds == 4 * 25 and mapped.saved_bytes == plain.saved_bytes


def test_a_checkpointed_part_saves_its_input_only():
    class Checkpointed(nn.Sequential):
        def forward(self, x):
            return cr.utils.checkpoint.checkpoint(super().forward, x, use_reentrant=False)

    layers = [nn.Linear(3, 50), nn.Tanh(), nn.Linear(50, 2)]
    assert cr.summary(Checkpointed(*layers), (4, 3)).saved_bytes <= 4 * 3 * B
    assert cr.summary(nn.Sequential(*layers), (4, 3)).saved_bytes == 4 * 3 * B + 4 * 50 * B


def test_parametrized_layers_and_packed_sequences():
    model = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
    table = cr.summary(model, (5, 3))
    assert table.mult_adds == 5 * 12 and table.parameters == 4 + 4 + 12
    packed = nn.utils.rnn.pack_sequence([cr.ones(4, 3), cr.ones(2, 3)])
    table = cr.summary(nn.GRU(3, 5), packed)
    assert table.mult_adds == 6 * 15 * (3 + 5) and table.rows[0].output[0] == [(6, 5), (4,)]


def test_a_list_of_layers_is_not_called_and_that_is_all_right():
    class Stack(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])

        def forward(self, x):
            return self.layers[0](x)

    table = cr.summary(Stack(), (1, 2))
    assert [row.notes for row in table.rows] == [[], [], [], ["not called"]]


def everything(model):
    state = {k: v.clone() for k, v in model.state_dict().items()}
    return repr([state, [m.training for m in model.modules()], [p.grad for p in model.parameters()],
                 cr.get_rng_state(), random.getstate(), np.random.get_state()])  # fmt: skip


@pytest.mark.parametrize("training", [True, False])
def test_nothing_of_the_model_is_changed(training):
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), Two())
    model.register_buffer("count", cr.zeros(1))
    seen = []
    model[0].register_forward_hook(lambda m, args, out: seen.append(m.training))
    model.train(training)
    model(cr.ones(3, 4))["a"].sum().backward()
    hooks = [copy.copy(m._forward_hooks) for m in model.modules()]
    device = cr.get_default_device()
    xp, calls, before = device.xp, model[3].calls, everything(model)
    with cr.no_grad():
        cr.summary(model, cr.ones(3, 4))
        assert not cr.is_grad_enabled()
    assert everything(model) == before
    assert model[3].calls == calls and device.xp is xp
    assert [m._forward_hooks for m in model.modules()] == hooks
    assert seen == [training] * 2  # the model's own hooks run in the stand-in, too


def test_an_error_of_the_model_leaves_everything_as_it_was():
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(5, 2))
    device = cr.get_default_device()
    xp, before = device.xp, everything(model)
    with pytest.raises((RuntimeError, ValueError), match="5"):
        cr.summary(model, (3, 4))
    assert everything(model) == before and device.xp is xp


def test_it_prints_as_a_table():
    table = cr.summary(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8)), (16, 4))
    lines = repr(table).splitlines()
    assert lines[0].split() == "layer output parameters mult-adds output bytes saved bytes".split()
    assert lines[3].startswith("  0 (Linear)") and lines[3].split()[2:6] == ["(16,", "8)", "40", "512"]
    assert "parameters: 56 (56 trainable, 0 frozen), 224 B; buffers: 72 B" in lines
    assert "multiply-adds: 512" in lines
    page = table._repr_html_()
    assert page.count("<tr>") == 4 and "0 (Linear)" in page and "multiply-adds: 512" in page
    class_of_tags = type("A<b>", (nn.ReLU,), {})
    assert "A&lt;b&gt;" in cr.summary(class_of_tags(), (1,))._repr_html_()


@pytest.mark.host
def test_refusals():
    with pytest.raises(TypeError, match="model must be a Module, got int"):
        cr.summary(3, (1,))
    with pytest.raises(TypeError, match="give an input"):
        cr.summary(nn.ReLU())
