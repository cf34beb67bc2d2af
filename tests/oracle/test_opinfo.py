"""Every operation that PyTorch's database knows and we have: values and gradients of two orders on its samples."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's operation database needs expecttest (extra `oracle`)")
import opinfo  # noqa: E402

pytestmark = pytest.mark.oracle

INFOS = {opinfo.title(info): info for info in opinfo.load()}
OURS = {name: opinfo.VARIANTS.get(name) or opinfo.resolve(cr, info.name) for name, info in INFOS.items()}
SAMPLES = 12


def quiet(function, *args, **kwargs):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def call_both(info, sample):
    """The results of both, and the leaves."""
    theirs_in = [sample.input, list(sample.args), dict(sample.kwargs)]
    ours_in = opinfo.to_ours(theirs_in)
    results = []
    for function, inputs in ((OURS[opinfo.title(info)], ours_in), (info.op, theirs_in)):
        results.append(opinfo.comparable(info, sample, quiet(opinfo.call, info, function, inputs)))
    return *results, ours_in, theirs_in


def check(info, dtype, rtol, order):
    gradient = order > 0 and info.supports_autograd
    for number, sample in enumerate(opinfo.samples_of(info, dtype, gradient, SAMPLES)):
        what = f"sample {number}: {sample.summary()}"
        try:
            ours, theirs, ours_in, theirs_in = call_both(info, sample)
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
        a, b = opinfo.tensors_of(ours), opinfo.tensors_of(theirs)
        assert len(a) == len(b), f"{what}: {len(a)} results instead of {len(b)}"
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            opinfo.compare_tensors(x, y, rtol, rtol, f"{what}, result {i}")
        if not gradient:
            continue
        x_ours = [t for t in opinfo.tensors_of(ours_in) if t.requires_grad]
        x_theirs = [t for t in opinfo.tensors_of(theirs_in) if t.requires_grad]
        wanted = min(order, 2 if info.supports_gradgrad else 1)
        g_theirs = quiet(opinfo.gradients, torch, b, x_theirs, wanted)
        g_ours = quiet(opinfo.gradients, cr, a, x_ours, wanted)
        for level in range(max(len(g_ours), len(g_theirs))):
            none = [None] * len(x_ours)
            for i, (g, w) in enumerate(
                zip(
                    g_ours[level] if level < len(g_ours) else none,
                    g_theirs[level] if level < len(g_theirs) else none,
                    strict=True,
                )
            ):
                opinfo.compare_tensors(
                    opinfo.zeros_for_none(g, x_ours[i]),
                    opinfo.zeros_for_none(w, x_theirs[i]),
                    10 * rtol,
                    10 * rtol,
                    f"{what}, gradient {level + 1} of input {i}",
                )


FOUND = sorted(name for name in INFOS if OURS[name] is not None)


@pytest.mark.parametrize("name", [n for n in FOUND if torch.float64 in INFOS[n].dtypes])
def test_float64(name):
    check(INFOS[name], torch.float64, 1e-9, 2)


@pytest.mark.parametrize("name", [n for n in FOUND if torch.complex128 in INFOS[n].dtypes])
def test_complex128(name):
    check(INFOS[name], torch.complex128, 1e-9, 2)


@pytest.mark.parametrize("name", [n for n in FOUND if torch.float32 in INFOS[n].dtypes])
def test_float32(name):
    check(INFOS[name], torch.float32, 1e-4, 1)


@pytest.mark.parametrize("name", [n for n in FOUND if torch.int64 in INFOS[n].dtypes])
def test_int64(name):
    check(INFOS[name], torch.int64, 1e-5, 0)
