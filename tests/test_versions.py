"""The version counters that turn a wrong gradient into an error."""

from __future__ import annotations

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import grad


def value(t):
    return t.numpy(force=True)


def leaf(data):
    return cr.tensor(data, dtype=cr.float64, requires_grad=True)


CHANGES = {
    "x.add_": lambda t: t.add_(1),
    "setitem": lambda t: t.__setitem__(0, 9.0),
    "setitem by integers": lambda t: t.__setitem__([0], 9.0),
    "setitem by mask": lambda t: t.__setitem__(t > 0, 9.0),
    "view write": lambda t: t[:1].mul_(2),
    "write through reshape": lambda t: t.reshape(-1).zero_(),
    "detach() write": lambda t: t.detach().add_(1),
    ".data write": lambda t: t.data.add_(1),
    "write through a view of detach()": lambda t: t.detach()[:1].add_(1),
    "copy_": lambda t: t.copy_(cr.zeros(3, dtype=cr.float64)),
    "uniform_": lambda t: t.detach().uniform_(),
    "augmented": lambda t: t.__iadd__(1),
}


def under_no_grad(change):
    def run(t):
        with cr.no_grad():
            change(t)

    return run


EVERY_CHANGE = {**CHANGES, **{f"no_grad {k}": under_no_grad(v) for k, v in CHANGES.items()}}
# name: the operation, which of (x, w, result) it saves when x and w require grad
SAVERS = {
    "mul": (lambda x, w: x * w, "x w"),
    "div": (lambda x, w: x / w, "x w"),
    "pow": (lambda x, w: x**w, "x w out"),
    "maximum": (lambda x, w: cr.maximum(x, w), "x w"),
    "matmul": (lambda x, w: x @ w, "x w"),
    "exp": (lambda x, w: x.exp(), "out"),
    "tanh": (lambda x, w: x.tanh(), "out"),
    "sigmoid": (lambda x, w: x.sigmoid(), "out"),
    "sqrt": (lambda x, w: x.sqrt(), "out"),
    "relu": (lambda x, w: x.relu(), "out"),
    "softmax": (lambda x, w: x.softmax(0), "out"),
    "log_softmax": (lambda x, w: x.log_softmax(0), "out"),
    "log": (lambda x, w: x.log(), "x"),
    "sin": (lambda x, w: x.sin(), "x"),
    "abs": (lambda x, w: x.abs(), "x"),
    "square": (lambda x, w: x.square(), "x"),
    "clamp": (lambda x, w: x.clamp(0, 1), "x"),
    "pow 3": (lambda x, w: x**3, "x"),
    "prod": (lambda x, w: x.prod(), "x out"),
    "amax": (lambda x, w: x.amax(), "x out"),
    "var": (lambda x, w: x.var(), "x"),
    "std": (lambda x, w: x.std(), "x out"),
    "norm": (lambda x, w: x.norm(), "x out"),
    "logsumexp": (lambda x, w: x.logsumexp(0), "x out"),
    "einsum": (lambda x, w: cr.einsum("i,j->ij", x, w), "x w"),
    "add": (lambda x, w: x + w, ""),
    "sub": (lambda x, w: x - w, ""),
    "neg": (lambda x, w: -x, ""),
    "sum": (lambda x, w: x.sum(), ""),
    "mean": (lambda x, w: x.mean(), ""),
    "clone": (lambda x, w: x.clone(), ""),
    "cat": (lambda x, w: cr.cat([x, w]), ""),
    "stack": (lambda x, w: cr.stack([x, w]), ""),
    "cumsum": (lambda x, w: x.cumsum(0), ""),
    "flip": (lambda x, w: x.flip(0), ""),
    "mul by a number": (lambda x, w: x * 2, ""),
    "div by a number": (lambda x, w: x / 2, ""),
    "gather": (lambda x, w: x[[0, 0, 1]], ""),
    "where": (lambda x, w: cr.where(cr.tensor([True, False, True]), x, w), ""),
    "float": (lambda x, w: x.float(), ""),
}


@pytest.mark.parametrize("what", ["x", "w", "out"])
@pytest.mark.parametrize("name", SAVERS)
def test_a_change_of_what_was_saved_is_noticed_and_of_nothing_else(name, what):
    f, saved = SAVERS[name]
    for how, change in EVERY_CHANGE.items():
        a, b = leaf([0.3, 0.7, 1.1]), leaf([0.9, 0.5, 1.3])
        tensors = {"x": a * 1, "w": b * 1}
        tensors["out"] = out = f(tensors["x"], tensors["w"])
        target = tensors[what]
        if target.ndim != 1:
            target = target.view(-1)
        if how.endswith("copy_") and target.shape != (3,):
            continue
        total = out.sum() if what != "out" else None
        change(target)
        total = out.sum() if total is None else total
        if what in saved.split():
            with pytest.raises(RuntimeError,
                match=r"modified by an inplace operation: it saved '[\w\[\]]+' at version 0, which is now at"):
                total.backward()
        else:
            total.backward()


def test_the_message_names_operation_variable_and_versions():
    x = leaf([1.0, 2.0])
    a = x * 1
    y = a.sin()
    a.add_(1).mul_(2)
    with pytest.raises(RuntimeError) as caught:
        y.sum().backward()
    text = str(caught.value)
    assert text.startswith("sin")
    assert re.search(r"saved 'input' at version 0, which is now at version 2", text)
    assert "clone()" in text


def test_an_optimizer_style_update_before_backward_is_noticed():
    w, x = leaf([1.0, 2.0]), cr.ones(2, dtype=cr.float64)
    loss = (w * w * x).sum()
    with cr.no_grad():
        w -= 0.1 * x
    with pytest.raises(RuntimeError, match=r"mul: .*at version 0, which is now at version 1"):
        loss.backward()


def test_an_update_after_backward_is_fine():
    w = leaf([1.0, 2.0])
    for _ in range(3):
        w.grad = None
        (w * w).sum().backward()
        with cr.no_grad():
            w -= 0.1 * w.grad
    np.testing.assert_allclose(value(w), 0.8**3 * np.array([1.0, 2.0]))


def test_a_saved_result_of_an_in_place_operation_is_guarded():
    y = leaf([0.5, 1.0]) * 1
    y.exp_()
    y.sum().backward(retain_graph=True)
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"exp.*'out' at version 1, which is now at version 2"):
        y.sum().backward()


def test_changes_before_the_operation_do_not_matter():
    x = leaf([1.0, 2.0])
    y = x * 1
    y.add_(1).mul_(2)
    y.sin().sum().backward()
    np.testing.assert_allclose(value(x.grad), 2 * np.cos([4.0, 6.0]))


def test_a_change_of_the_saved_index_is_noticed():
    x, index = leaf([1.0, 2.0, 3.0]), cr.tensor([0, 2])
    y = x.gather(0, index)
    index.add_(0)
    with pytest.raises(RuntimeError, match="gather: .*'index'"):
        y.sum().backward()


def test_a_change_of_the_condition_of_where_is_noticed():
    x, c = leaf([1.0, 2.0]), cr.tensor([True, False])
    y = cr.where(c, x, 0.0)
    c[0] = False
    with pytest.raises(RuntimeError, match="where: .*'condition'"):
        y.sum().backward()


def test_a_change_of_a_list_member_is_noticed():
    a, b = leaf([1.0, 2.0]) * 1, leaf([3.0, 4.0]) * 1
    y = cr.einsum("i,i->", a, b)
    b.add_(1)
    with pytest.raises(RuntimeError, match="einsum.*'(other|y)' at version 0, which is now at version 1"):
        y.backward()


def test_a_change_of_what_only_the_second_derivative_needs_is_noticed():
    x = leaf([1.0, 2.0])
    a = x * 1
    (g,) = grad((a**3).sum(), x, create_graph=True)
    a.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        grad(g.sum(), x)


def test_numbers_kept_for_reuse_are_never_written_to():
    """Constants are cached: an in-place operation on a result must not reach them."""
    x = leaf([1.0, 2.0])
    for _ in range(3):
        y = cr.where(cr.tensor([True, False]), 0.5, x)
        y.add_(1)
        z = cr.maximum(x, cr.tensor(0.5, dtype=cr.float64)).clone()
        z.mul_(0)
        assert y.tolist() == [1.5, 3.0]
        assert (x * 0.5).tolist() == [0.5, 1.0]


def test_the_result_of_a_pooling_can_be_changed_in_place():
    """conv, pool, ReLU(inplace=True) is a common order."""
    x = cr.arange(16.0, requires_grad=True)
    pooled = cr.nn.functional.max_pool2d((x * 1).reshape(1, 1, 4, 4), 2)
    pooled.relu_().sum().backward()
    assert x.grad.nonzero().flatten().tolist() == [5, 7, 13, 15]
