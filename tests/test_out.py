"""``out=``: results written into a tensor of the caller's."""

from __future__ import annotations

import pytest

import chainrule as cr


@pytest.mark.parametrize(
    "call",
    [
        lambda out: cr.exp(cr.zeros(2), out=out),
        lambda out: cr.add(cr.zeros(2), 1, out=out),
        lambda out: cr.mul(cr.ones(2), cr.ones(2), out=out),
        lambda out: cr.sum(cr.tensor([[0.5, 1.0], [0.5, 0.0]]), 0, out=out),
        lambda out: cr.sum(cr.tensor([[0.5, 0.5], [1.0, 0.0]]), axis=1, out=out),
        lambda out: cr.cat([cr.ones(1), cr.ones(1)], out=out),
        lambda out: cr.ones(2, out=out),
        lambda out: cr.matmul(cr.eye(2), cr.ones(2), out=out),
        lambda out: cr.index_select(cr.ones(3), 0, cr.tensor([0, 2]), out=out),
        lambda out: cr.where(cr.tensor([True, False]), 1.0, cr.ones(2), out=out),
    ],
)
def test_the_result_is_written_into_out(call):
    out = cr.tensor([7.0, 7.0])
    part, version = out[1:], out._version
    assert call(out) is out
    assert out.tolist() == [1.0, 1.0]
    assert part.tolist() == [1.0]  # into its memory
    assert out._version > version
    empty = cr.empty(0)
    assert call(empty) is empty
    assert empty.tolist() == [1.0, 1.0]


def test_out_may_be_one_of_the_arguments():
    x = cr.tensor([1.0, 2.0])
    cr.add(x, x, out=x)
    assert x.tolist() == [2.0, 4.0]
    cr.flip(x, (0,), out=x)
    assert x.tolist() == [4.0, 2.0]


def test_a_view_takes_the_result():
    x = cr.zeros(2, 3)
    cr.exp(cr.zeros(2), out=x[:, 1])
    assert x.tolist() == [[0.0, 1.0, 0.0]] * 2


def test_several_results():
    values, indices = cr.empty(0), cr.empty(0, dtype=cr.int64)
    result = cr.sort(cr.tensor([3.0, 1.0]), out=(values, indices))
    assert result.values is values
    assert result.indices is indices
    assert (values.tolist(), indices.tolist()) == ([1.0, 3.0], [1, 0])


def test_the_dtype_of_out_stays():
    out = cr.empty(2, dtype=cr.float64)
    cr.add(cr.ones(2, dtype=cr.int64), 1, out=out)
    assert (out.dtype, out.tolist()) == (cr.float64, [2.0, 2.0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: cr.exp(cr.ones(2), out=cr.ones(3)), RuntimeError, r"exp: out has shape \(3,\), the result \(2,\)"),
        (lambda: cr.exp(cr.ones(2), out=cr.ones(2, dtype=cr.int64)), RuntimeError, "exp: .*can't be cast"),
        (lambda: cr.exp(cr.ones(2), out=[1.0]), TypeError, "exp: out must be a Tensor .*, got float 1.0"),
        (lambda: cr.exp(cr.ones(2), out=(cr.ones(2),)), TypeError, "exp: out must be a Tensor"),
        (lambda: cr.sort(cr.ones(2), out=cr.ones(2)), TypeError, "sort: out must be 2 Tensors"),
        (lambda: cr.exp(cr.ones(2), out=cr.ones(1).expand(2)), RuntimeError, "exp: more than one element"),
        (lambda: cr.exp(cr.ones(2), cr.ones(2)), TypeError, r"exp\(\) takes 1 positional argument"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_nothing_is_recorded():
    x, out = cr.ones(2, requires_grad=True), cr.zeros(2)
    for call in (
        lambda: cr.exp(x, out=out),
        lambda: cr.exp(out, out=x),
        lambda: cr.cat([x, x], out=cr.empty(0)),
        lambda: cr.sum(x, 0, out=out),
        lambda: cr.where(cr.tensor([True, False]), out, x, out=out),
    ):
        with pytest.raises(
            RuntimeError, match=r"functions with out=\.\.\. arguments don't support automatic differentiation"
        ):
            call()
    assert out.tolist() == [0.0, 0.0]
    with cr.no_grad():
        cr.exp(x, out=out)
    assert not out.requires_grad
    assert x.requires_grad
