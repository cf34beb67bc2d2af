"""Every operation that PyTorch's database knows and we have: values and gradients of two orders on its samples.

Each entry is compared on 8 to 12 argument sets, 2 of them in non-contiguous memory: in float64 and complex128 within
1e-9 (relative and absolute; gradients within 1e-8), in float32 within 1e-4, in int64 exactly (1e-5 where the result is
floating). ``opinfo_exceptions.py`` lists what is compared otherwise, with the reasons.
"""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's operation database needs expecttest (extra `oracle`)")
import opinfo  # noqa: E402
import opinfo_exceptions as exceptions  # noqa: E402

pytestmark = pytest.mark.oracle

INFOS = {opinfo.title(info): info for info in opinfo.load()}
OURS = {name: opinfo.VARIANTS.get(name) or opinfo.resolve(cr, info.name) for name, info in INFOS.items()}
FOUND = sorted(name for name in INFOS if OURS[name] is not None and INFOS[name].dtypes)


def quiet(function, *args, **kwargs):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def widest(info):
    return next(d for d in (torch.float64, torch.complex128, torch.int64, torch.float32) if d in info.dtypes)


def call_both(info, sample):
    """The results of both, and the leaves."""
    theirs_in = [sample.input, list(sample.args), dict(sample.kwargs)]
    ours_in = opinfo.to_ours(theirs_in)
    results = []
    for function, inputs in ((OURS[opinfo.title(info)], ours_in), (info.op, theirs_in)):
        results.append(opinfo.comparable(info, sample, quiet(opinfo.call, info, function, inputs)))
    return *results, ours_in, theirs_in


def only_shapes(title, sample):
    if title in exceptions.ONLY_SHAPES:
        return True
    where = exceptions.ONLY_SHAPES_WHERE.get(title)
    return where is not None and where[0](sample)


def compare_shapes(ours, theirs, what):
    assert opinfo.dtype_name(ours) == opinfo.dtype_name(theirs), what
    assert tuple(ours.shape) == tuple(theirs.shape), what
    assert ours.requires_grad == theirs.requires_grad, what


def check_sample(info, sample, what, rtol, order, only_first):
    gradient = order > 0 and info.supports_autograd
    try:
        ours, theirs, ours_in, theirs_in = call_both(info, sample)
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    a, b = opinfo.tensors_of(ours), opinfo.tensors_of(theirs)
    assert len(a) == len(b), f"{what}: {len(a)} results instead of {len(b)}"
    if only_shapes(opinfo.title(info), sample):
        for x, y in zip(a, b, strict=True):
            compare_shapes(x, y, what)
        return
    if not a:
        assert ours == theirs or (ours != ours and theirs != theirs), f"{what}: {ours!r} instead of {theirs!r}"
    for i, (x, y) in enumerate(zip(a, b, strict=True)):
        if i and only_first:
            compare_shapes(x, y, what)
        else:
            opinfo.compare_tensors(x, y, rtol, rtol, f"{what}, result {i}")
    if not gradient:
        return
    x_ours = [t for t in opinfo.tensors_of(ours_in) if t.requires_grad]
    x_theirs = [t for t in opinfo.tensors_of(theirs_in) if t.requires_grad]
    g_theirs = quiet(opinfo.gradients, torch, b, x_theirs, order)
    g_ours = quiet(opinfo.gradients, cr, a, x_ours, order)
    none = [None] * len(x_ours)
    for level, (ours_level, theirs_level) in enumerate(itertools.zip_longest(g_ours, g_theirs, fillvalue=none)):
        for i, (g, w) in enumerate(zip(ours_level, theirs_level, strict=True)):
            g, w = opinfo.zeros_for_none(g, x_ours[i]), opinfo.zeros_for_none(w, x_theirs[i])
            opinfo.compare_tensors(g, w, 10 * rtol, 10 * rtol, f"{what}, gradient {level + 1} of input {i}")


def check(title, dtype, rtol, order, most):
    info, name = INFOS[title], str(dtype).removeprefix("torch.")
    for key in ((title, name), (title, "*")):
        if key in exceptions.SKIPPED:
            pytest.skip(exceptions.SKIPPED[key])
    rtol = exceptions.TOLERANCES.get((title, name), (rtol,))[0]
    if not info.supports_gradgrad or title in exceptions.ONLY_FIRST_ORDER:
        order = min(order, 1)
    if title in exceptions.NO_GRADIENTS:
        order = 0
    gradient = order > 0 and info.supports_autograd
    sets = opinfo.argument_sets(info, dtype, gradient, most, 8 if dtype is widest(info) or gradient else 6)
    if dtype is widest(info):
        check_number(title, sets)
    for number, sample in enumerate(sets):
        what = f"set {number} of {len(sets)}: {sample.summary()}"
        check_sample(info, sample, what, rtol, order, (title, name) in exceptions.ONLY_FIRST)


def check_number(title, sets):
    """At least eight argument sets, two of them with non-contiguous tensors on our side too."""
    assert len(sets) <= 12
    if title in exceptions.FEWER:
        assert not any(map(opinfo.inputs_of, sets)), "no exception any more"
        return
    assert len(sets) >= 8
    if title not in exceptions.NEVER_STRIDED:
        given = [opinfo.to_ours([s.input, list(s.args), s.kwargs]) for s in sets if opinfo.is_strided(s)]
        arrays = [[t._data for t in opinfo.tensors_of(g)] for g in given]
        assert sum(any(not a.flags.c_contiguous for a in found) for found in arrays) >= 2


def with_dtype(dtype):
    return pytest.mark.parametrize("title", [t for t in FOUND if dtype in INFOS[t].dtypes])


@with_dtype(torch.float64)
def test_float64(title):
    check(title, torch.float64, 1e-9, 2, 12)


@with_dtype(torch.complex128)
def test_complex128(title):
    check(title, torch.complex128, 1e-9, 2, 12)


@with_dtype(torch.float32)
def test_float32(title):
    check(title, torch.float32, 1e-4, 1, 8)


@with_dtype(torch.int64)
def test_int64(title):
    check(title, torch.int64, 1e-5, 0, 12 if widest(INFOS[title]) is torch.int64 else 6)


# ---- methods, aliases, and both in place -----------------------------------------------------------------------------


def call_named(library, module, name, inputs):
    """The function or method of that name; in place on a clone."""
    x, args, kwargs = inputs
    if name.endswith("_"):
        x = x.clone()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        result = opinfo.at(library, module, name)(x, *args, **kwargs)
    if name.endswith("_"):
        assert result is x
    return result


@pytest.mark.parametrize("title", [t for t in FOUND if opinfo.other_names(INFOS[t])])
def test_methods_and_aliases(title):
    info = INFOS[title]
    dtype = widest(info)
    samples = opinfo.samples_of(info, dtype, False, 2)
    rtol = exceptions.TOLERANCES.get((title, str(dtype).removeprefix("torch.")), (1e-9,))[0]
    for (module, name), sample in itertools.product(opinfo.other_names(info), samples):
        if f"{module}.{name}" in exceptions.OTHER_NAMES or (title, "*") in exceptions.SKIPPED:
            continue
        what = f"{module}.{name}, {sample.summary()}"
        theirs_in = [sample.input, list(sample.args), dict(sample.kwargs)]
        ours_in = opinfo.to_ours(theirs_in)
        try:
            theirs = call_named(torch, module, name, theirs_in)
        except Exception:  # another signature, or no such thing in place
            continue
        try:
            ours = call_named(cr, module, name, ours_in)
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
        a, b = opinfo.tensors_of(ours), opinfo.tensors_of(theirs)
        assert len(a) == len(b), what
        shapes = only_shapes(title, sample) or title in exceptions.RANDOM_NAMES or info.name in opinfo.UP_TO_PHASES
        for x, y in zip(a, b, strict=True):
            compare_shapes(x, y, what)
            if not shapes:
                opinfo.compare_tensors(x, y, rtol, rtol, what)


def test_no_exception_is_stale():
    tables = (exceptions.ONLY_SHAPES, exceptions.ONLY_SHAPES_WHERE, exceptions.ONLY_FIRST_ORDER, exceptions.FEWER,
              exceptions.NEVER_STRIDED, exceptions.NO_GRADIENTS, exceptions.RANDOM_NAMES)  # fmt: skip
    titles = set(itertools.chain(*tables))
    for table in (exceptions.SKIPPED, exceptions.TOLERANCES, exceptions.ONLY_FIRST):
        titles |= {title for title, _ in table}
    assert titles - set(FOUND) == set()
    assert {*exceptions.DROPPED, *exceptions.CHANGED} <= {INFOS[title].name for title in FOUND}
