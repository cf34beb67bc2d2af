"""Scatter, index_* and mask functions: refusals and corner cases. Values and gradients: tests/oracle/test_opinfo.py."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import gradcheck, gradgradcheck

X = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def matrix():
    return cr.tensor(X, dtype=cr.float64)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x.gather(0, cr.tensor([[2]])), IndexError, "gather: index 2 is out of bounds for dimension 0"),
        (lambda x: x.gather(0, cr.tensor([[-1]])), IndexError, "gather: index -1 is out of bounds"),
        (lambda x: x.gather(0, cr.tensor([0])), RuntimeError, "gather: index must have as many dimensions"),
        (lambda x: x.gather(0, cr.tensor([[0.0]])), TypeError, "gather: index must be an integer tensor"),
        (lambda x: x.scatter(0, cr.tensor([[0]]), cr.zeros(1, 1)), RuntimeError, "scatter: src must have the dtype"),
        (lambda x: x.scatter(0, cr.tensor([[0]])), TypeError, "scatter: missing argument 'src'"),
        (
            lambda x: x.scatter(0, cr.tensor([[0]]), 1.0, reduce="mean"),
            RuntimeError,
            "reduce must be 'add' or 'multiply'",
        ),
        (
            lambda x: x.scatter(0, cr.tensor([[0, 0]]), matrix()[:1, :1]),
            RuntimeError,
            "scatter: index must fit into src",
        ),
        (
            lambda x: x.scatter(1, cr.zeros(3, 1, dtype=cr.int64), 1.0),
            RuntimeError,
            "may exceed input only along dim 1",
        ),
        (lambda x: x.scatter_reduce(0, cr.tensor([[0]]), matrix(), "max"), RuntimeError, "reduce must be one of sum"),
        (lambda x: x.index_reduce(0, cr.tensor([0]), x[:1], "sum"), RuntimeError, "use index_add"),
        (lambda x: x.index_add(0, cr.tensor([2]), x[:1]), IndexError, "index_add: index 2 is out of bounds"),
        (lambda x: x.index_add(0, cr.tensor([0]), x), RuntimeError, r"index_add: source must have shape \(1, 3\)"),
        (lambda x: x.index_copy(0, cr.tensor([[0]]), x[:1]), RuntimeError, "index_copy: index must be 0-d or 1-d"),
        (lambda x: x.index_fill(0, cr.tensor([0]), cr.ones(2)), RuntimeError, "index_fill: value must be a number"),
        (
            lambda x: x.long().index_add(0, cr.tensor([0]), x[:1].long(), alpha=0.5),
            RuntimeError,
            "index_add: alpha 0.5",
        ),
        (lambda x: x.index_put((0,), x), TypeError, r"index_put: indices\[0\] must be a Tensor or None"),
        (lambda x: x.index_select(0, cr.tensor([[0]])), RuntimeError, "index_select: index must be 0-d or 1-d"),
        (lambda x: x.put(cr.tensor([0]), x), RuntimeError, "put: source must have .* as many elements as index"),
        (lambda x: x.take(cr.tensor([6])), IndexError, "6 is out of bounds"),
        (lambda x: x.masked_scatter(x > 1, cr.zeros(2, dtype=cr.float64)), RuntimeError, "mask selects 4 elements"),
        (lambda x: x.masked_fill(x, 1.0), TypeError, "masked_fill: mask must be a bool tensor"),
        (lambda x: x.masked_fill(x > 1, cr.ones(2)), RuntimeError, "masked_fill: value must be a number"),
        (lambda x: cr.unravel_index(cr.tensor([6]), (2, 3)), ValueError, "unravel_index: a position is out of bounds"),
        (lambda x: x.repeat(2), RuntimeError, "repeat: expected a number"),
        (lambda x: x.repeat_interleave(cr.tensor([1, 2, 3]), 0), RuntimeError, "expected 1 or 2 repeats, got 3"),
        (lambda x: x[::-1], ValueError, "the step of a slice must be positive, got -1"),
        (lambda x: x.unfold(1, 4, 1), RuntimeError, "unfold: size 4 and step 1 do not fit"),
        (lambda x: x.narrow(1, 2, 2), RuntimeError, "narrow: start 2 and length 2 exceed dimension 1 of length 3"),
        (lambda x: x.select(0, 2), IndexError, "select: index 2 is out of bounds"),
        (lambda x: x.tensor_split(0), RuntimeError, "number of sections must be positive"),
        (lambda x: x.hsplit(2), RuntimeError, "cannot be split into 2 equal parts"),
        (lambda x: x.rot90(1, (0, 0)), RuntimeError, "a dimension appears twice"),
        (lambda x: x.movedim((0, 1), 0), RuntimeError, "must be equally many"),
        (lambda x: x.roll((1, 2)), RuntimeError, "roll: without dims there must be one shift"),
        (lambda x: cr.meshgrid(x), RuntimeError, "meshgrid: expected 0-d or 1-d tensors"),
        (lambda x: cr.broadcast_shapes((2,), (3,)), RuntimeError, "no shape fits all of"),
        (lambda x: x.sum_to_size(2, 2), RuntimeError, "sum_to_size: size"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(matrix())


def test_failed_writes_change_nothing():
    x = matrix()
    with pytest.raises(IndexError):
        x.index_add_(0, cr.tensor([2]), x[:1])
    with pytest.raises(RuntimeError):
        x.scatter_(0, cr.tensor([[0]]), cr.zeros(1, 1))
    assert x.tolist() == X


def test_products_with_zeros_have_derivatives_of_every_order():
    """The product of all others is not the product divided by the element."""
    index = cr.tensor([0, 0, 0, 1, 1, 2])

    def product(x, src):
        return x.scatter_reduce(0, index, src, "prod")

    for values in ([2.0, 0.0, 3.0, 0.0, 0.0, 1.5], [2.0, 1.0, 3.0, 0.0, 4.0, 0.0], [0.0] * 6):
        x = cr.tensor([1.5, 0.0, 2.0, 5.0], dtype=cr.float64, requires_grad=True)
        src = cr.tensor(values, dtype=cr.float64, requires_grad=True)
        gradcheck(product, (x, src))
        gradgradcheck(product, (x, src))


def test_equal_extremes_share_the_gradient():
    x = cr.tensor([1.0, 5.0], requires_grad=True)
    src = cr.tensor([1.0, 1.0, 4.0], requires_grad=True)
    x.scatter_reduce(0, cr.tensor([0, 0, 1]), src, "amax").sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), [1 / 3, 1.0])
    np.testing.assert_allclose(src.grad.tolist(), [1 / 3, 1 / 3, 0.0])


@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "float32", "bfloat16"])
@pytest.mark.parametrize("include_self", [True, False])
def test_many_values_into_few_elements(reduce, dtype, include_self):
    rng = np.random.default_rng(0)
    index, values = rng.integers(0, 3, 50), rng.integers(1, 3, 50)
    start = np.array([2, 1, 2, 7])
    found = cr.tensor(start, dtype=getattr(cr, dtype)).scatter_reduce(
        0, cr.tensor(index), cr.tensor(values, dtype=getattr(cr, dtype)), reduce, include_self=include_self
    )
    assert found.dtype == getattr(cr, dtype)
    for i in range(4):
        group = [*values[index == i], *([start[i]] if include_self or i == 3 else [])]
        expected = {"sum": np.sum, "prod": np.prod, "mean": np.mean, "amax": np.max, "amin": np.min}[reduce](group)
        if dtype == "uint8":
            expected = (
                int(np.sum(group)) % 256 // (len(group) if reduce == "mean" else 1)
                if reduce in ("sum", "mean")
                else (int(np.prod(group, dtype=np.uint64)) % 256 if reduce == "prod" else expected)
            )
        tolerance = 1e-2 if dtype == "bfloat16" else 1e-6
        whole = dtype.startswith(("int", "uint"))
        assert float(found[i].item()) == pytest.approx(np.floor(expected) if whole else float(expected), rel=tolerance)


def test_a_slice_named_twice_takes_part_in_the_gradient_of_a_fill_once():
    v = cr.tensor(3.0, requires_grad=True)
    cr.zeros(3).index_fill(0, cr.tensor([0, 0, 2]), v).sum().backward()
    assert v.grad.item() == 2.0


def test_masks_and_positions_of_nothing():
    x = matrix()
    none = cr.zeros(2, 3, dtype=cr.bool)
    assert x.masked_select(none).shape == (0,)
    assert x.masked_scatter(none, cr.zeros(0, dtype=cr.float64)).tolist() == X
    assert cr.nonzero(none).shape == (0, 2)
    assert cr.nonzero(cr.tensor(1.0)).shape == (1, 0)
    assert cr.nonzero(cr.tensor(1.0), as_tuple=True)[0].tolist() == [0]
    assert x.index_add(0, cr.zeros(0, dtype=cr.int64), x[:0]).tolist() == X
    assert x.scatter_reduce(0, cr.zeros(0, 3, dtype=cr.int64), x[:0], "prod").tolist() == X
    assert cr.nonzero_static(none, size=1).tolist() == [[-1, -1]]


def test_positions_of_a_shape():
    flat = cr.arange(6)
    rows = cr.unravel_index(flat, (2, 3))
    np.testing.assert_array_equal(np.stack([r.numpy(force=True) for r in rows]), np.unravel_index(np.arange(6), (2, 3)))
    assert [r.item() for r in cr.unravel_index(cr.tensor(4), (2, 3))] == [1, 1]


def test_copies_do_not_share_memory():
    x = matrix()
    for copy in (
        x.rot90(0), x.roll(0), x.roll(1, 0), x.repeat(1, 1), x.tile(1), cr.view_copy(x, (6,)), cr.t_copy(x), x.flip(()),
        cr.squeeze_copy(x), cr.slice_copy(x), x.diag(), x.narrow_copy(0, 0, 1), *cr.unbind_copy(x), *x.unsafe_chunk(2),
        x.fliplr(), x.flipud(), cr.as_strided_copy(x, (2,), (1,)), cr.alias_copy(x),
        x.take_along_dim(cr.tensor([[0]]), 0),
    ):  # fmt: skip
        copy.fill_(99.0)
    assert x.tolist() == X
