"""Every op, checked from its own declaration: value, gradients to second order, dtypes, memory, special values."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import gradcheck, gradgradcheck
from chainrule.autograd.op import OPS
from chainrule.autograd.samples import Sample

DIFFERENTIABLE = sorted(name for name, op in OPS.items() if op.rules)
#: recorded by hand in one place each, which has tests of its own
NO_SAMPLES = {
    "to_device": "tests/test_tensor.py",
    "restride_view": "tests/test_views.py",
    "view_scatter": "tests/test_inplace.py",
}


def place(array):
    """A sample's array as a tensor of the default device; None as it is."""
    return None if array is None else cr.tensor(array)


def call(op, sample, tensors=None):
    tensors = [place(a) for a in sample.args] if tensors is None else tensors
    return op.apply(*tensors, **sample.kwargs)


def arrays(result):
    results = result if isinstance(result, (tuple, list)) else [result]
    return [r.numpy(force=True) for r in results]


def cases(names):
    return [
        pytest.param(name, i, id=f"{name}-{i}") for name in names for i in range(len(OPS[name].check.samples()))
    ]


def test_every_op_has_samples():
    missing = [name for name, op in OPS.items() if not op.check.samples() and name not in NO_SAMPLES]
    assert not missing


@pytest.mark.parametrize(("name", "i"), cases(sorted(OPS)))
def test_value(name, i):
    op = OPS[name]
    sample = op.check.samples()[i]
    got = arrays(call(op, sample))
    if op.check.reference is None:
        assert all(np.isfinite(g).all() for g in got if g.dtype.kind == "f")
        return
    expected = op.check.reference(*sample.args, **sample.kwargs)
    expected = expected if isinstance(expected, (tuple, list)) else [expected]
    assert len(got) == len(expected)
    for g, e in zip(got, expected, strict=True):
        assert g.shape == np.shape(e)
        np.testing.assert_allclose(g, e, rtol=1e-10, atol=1e-12)


def differentiable_inputs(op, sample):
    """Tensors with grad where the op has a rule, plain ones elsewhere; and the function of all of them."""
    tensors = []
    for position, array in enumerate(sample.args):
        name = op.parameters[position] if position < len(op.parameters) else op.variadic
        t = place(array)
        tracked = t is not None and name in op.rules and name not in op.check.constant
        tensors.append(t.requires_grad_() if tracked else t)
    return tensors


@pytest.mark.parametrize(("name", "i"), cases(DIFFERENTIABLE))
def test_first_and_second_order(name, i):
    op = OPS[name]
    sample = op.check.samples()[i]
    inputs = differentiable_inputs(op, sample)
    gradcheck(lambda *ts: op.apply(*ts, **sample.kwargs), inputs, atol=op.check.atol)
    gradgradcheck(lambda *ts: op.apply(*ts, **sample.kwargs), inputs, atol=10 * op.check.atol)


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_dtype_is_kept(name, dtype):
    """The result and each rule's own result have the dtype of the arguments."""
    op = OPS[name]
    if name in ("astype", "to_device", "view_as_complex"):
        pytest.skip("changes the dtype or device by definition")
    for sample in op.check.samples():
        if any(a is not None and a.dtype.kind == "c" for a in sample.args):
            continue  # tests/test_complex.py has complex64
        inputs = []
        for position, array in enumerate(sample.args):
            parameter = op.parameters[position] if position < len(op.parameters) else op.variadic
            t = place(array)
            if t is not None and t.is_floating_point():
                t = t.to(getattr(cr, dtype))
            tracked = t is not None and parameter in op.rules and parameter not in op.check.constant
            inputs.append(t.requires_grad_() if tracked else t)
        with np.errstate(all="ignore"):
            result = op.apply(*inputs, **sample.kwargs)
            results = result if isinstance(result, tuple) else (result,)
            for r in results:
                if r.is_floating_point():
                    assert r.dtype == getattr(cr, dtype)
            tracked = [r for r in results if r.requires_grad]
            if not tracked:
                continue
            wanted = [t for t in inputs if t is not None and t.requires_grad]
            for t, g in zip(wanted, cr.autograd.grad(tracked, wanted, [cr.ones_like(r) for r in tracked]), strict=True):
                assert g.dtype == t.dtype
            if dtype == "float32":  # the engine would cast at the end: look at what the rules themselves give
                node = op.apply(*inputs, **sample.kwargs)
                node = (node[0] if isinstance(node, tuple) else node).grad_fn
                ones = [r._device.xp.ones(r.shape, dtype=r._data.dtype) for r in tracked]
                for gradient in node.run(ones if op.outputs else ones[0], None):
                    assert gradient is None or gradient.dtype == np.float32, sample


@pytest.mark.parametrize("name", sorted(OPS))
def test_non_contiguous_arguments_give_the_same(name):
    op = OPS[name]
    for sample in op.check.samples():
        plain = arrays(call(op, sample))
        strided = []
        for array in sample.args:
            if array is None or not array.ndim:
                strided.append(place(array))
                continue
            wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), dtype=array.dtype)
            wide[..., ::2] = array
            strided.append(cr.tensor(np.ascontiguousarray(wide.T)).permute(*reversed(range(array.ndim)))[..., ::2])
        for a, b in zip(plain, arrays(call(op, sample, strided)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", sorted(name for name, op in OPS.items() if not op.view))
def test_result_shares_no_memory(name):
    op = OPS[name]
    for sample in op.check.samples():
        tensors = [place(a) for a in sample.args]
        result = call(op, sample, tensors)
        for r in result if isinstance(result, tuple) else (result,):
            for t in tensors:
                assert t is None or not r._device.backend.shares_memory(r._data, t._data)


@pytest.mark.parametrize("name", sorted(name for name, op in OPS.items() if op.view and op.check.samples()))
def test_views_share_memory_and_counter(name):
    op = OPS[name]
    for sample in op.check.samples():
        t = place(sample.args[0])
        result = call(op, sample, [t])
        for r in result if isinstance(result, tuple) else (result,):
            assert r._counter is t._counter
            if r.numel() and t.numel():
                assert r._device.backend.shares_memory(r._data, t._data)


@pytest.mark.parametrize("name", sorted(name for name, op in OPS.items() if op.check.special))
def test_special_values(name):
    op = OPS[name]
    for point in op.check.special:
        tensors = [cr.tensor(float(v), dtype=cr.float64, requires_grad=True) for v in point]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = op.apply(*tensors)
            result.backward()
        if op.check.reference is not None:
            np.testing.assert_allclose(result.numpy(force=True), op.check.reference(*point), rtol=1e-12)
        assert all(np.isfinite(t.grad.numpy(force=True)) for t in tensors)


def test_samples_are_reproducible():
    for op in OPS.values():
        for a, b in zip(op.check.samples(3), op.check.samples(3), strict=True):
            assert isinstance(a, Sample)
            for x, y in zip(a.args, b.args, strict=True):
                np.testing.assert_array_equal(x, y)
