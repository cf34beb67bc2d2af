"""Every in-place method that both libraries have, on PyTorch's samples: values, gradients of two orders, refusals."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's operation database needs expecttest (extra `oracle`)")
import opinfo  # noqa: E402

pytestmark = pytest.mark.oracle

UNSOUND = {
    # values that are random or uninitialised
    "bernoulli", "cauchy", "exponential", "geometric", "log_normal", "normal", "uniform", "resize", "resize_as",
    "nextafter",  # PyTorch records nothing, and passes on the gradient as if nothing was written
    "addbmm",  # PyTorch gives the tensor another shape
}  # fmt: skip


def twins():
    """(title, entry, name of the in-place method), for entries and for their aliases."""
    for info in opinfo.load():
        for variant in (info, *info.aliases):
            name = variant.name
            known = variant.inplace_variant is not None and "." not in name and name not in UNSOUND
            if known and hasattr(cr.Tensor, f"{name}_") and hasattr(torch.Tensor, f"{name}_"):
                title = f"{name}_" + (f":{info.variant_test_name}" if info.variant_test_name else "")
                yield title, info, f"{name}_"


TWINS = {title: (info, name) for title, info, name in twins()}


def in_place(library, name, arguments, tracked):
    """The method called on a clone of its tensor, which it must return."""
    x, args, kwargs = arguments
    y = x.clone()
    with np.errstate(all="ignore"), warnings.catch_warnings(), library.set_grad_enabled(tracked):
        warnings.simplefilter("ignore")
        result = getattr(y, name)(*args, **kwargs)
    assert result is y
    return y


def check(title, dtype, order):
    info, name = TWINS[title]
    gradient = order > 0 and info.supports_autograd and info.supports_inplace_autograd
    for number, sample in enumerate(opinfo.samples_of(info, dtype, gradient, 6)):
        what = f"{name}, sample {number}: {sample.summary()}"
        theirs_in = [sample.input, list(sample.args), dict(sample.kwargs)]
        ours_in = opinfo.to_ours(theirs_in)
        if not isinstance(ours_in[0], cr.Tensor):
            continue
        try:
            theirs = in_place(torch, name, theirs_in, gradient)
        except (RuntimeError, TypeError, IndexError, ValueError, NotImplementedError):
            with pytest.raises((RuntimeError, TypeError, IndexError, ValueError)):
                in_place(cr, name, ours_in, gradient)
            continue
        ours = in_place(cr, name, ours_in, gradient)
        opinfo.compare_tensors(ours, theirs, 1e-9, 1e-9, what)
        if not gradient:
            continue
        leaves = [[t for t in opinfo.tensors_of(given) if t.requires_grad] for given in (ours_in, theirs_in)]
        wanted = min(order, 2 if info.supports_gradgrad else 1)
        found = opinfo.gradients(cr, [ours], leaves[0], wanted)
        expected = opinfo.gradients(torch, [theirs], leaves[1], wanted)
        for level in range(max(len(found), len(expected))):
            none = [None] * len(leaves[0])
            a, b = (g[level] if level < len(g) else none for g in (found, expected))
            for i, (g, w) in enumerate(zip(a, b, strict=True)):
                opinfo.compare_tensors(
                    opinfo.zeros_for_none(g, leaves[0][i]),
                    opinfo.zeros_for_none(w, leaves[1][i]).clone(),  # PyTorch has zeros without memory
                    1e-8,
                    1e-8,
                    f"{what}, gradient {level + 1} of input {i}",
                )


def test_there_are_many():
    assert len(TWINS) > 60


@pytest.mark.parametrize("title", sorted(t for t, (info, _) in TWINS.items() if torch.float64 in info.dtypes))
def test_float64(title):
    check(title, torch.float64, 2)


@pytest.mark.parametrize("title", sorted(t for t, (info, _) in TWINS.items() if torch.int64 in info.dtypes))
def test_int64(title):
    check(title, torch.int64, 0)
