"""One call in both libraries, from the same numbers: values, dtypes, shapes, first and second gradients compared.

The arguments of a case are NumPy arrays (tensors on both sides) and plain values. Cases on which PyTorch raises must
raise here as well.
"""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")

RTOL = {"float64": 1e-9, "float32": 2e-5, "float16": 4e-3, "bfloat16": 2e-2}
BOOL, I8, U8, I32, I64, F16, BF16, F32, F64 = (
    "bool uint8 int8 int32 int64 float16 bfloat16 float32 float64".replace("uint8 int8", "int8 uint8").split()
)
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-30, 1e30, 88.0, -88.0, 1000.0, -1000.0, 0.5])


class Pieces:
    """Arguments made in both libraries from the same numbers."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def array(self, *shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
        count = math.prod(shape)
        values = low + (high - low) * (np.arange(count) + self.rng.uniform(0.2, 0.8, count)) / max(count, 1)
        return self.rng.permutation(values).reshape(shape)

    def ints(self, *shape, low=-3, high=4):
        return self.rng.integers(low, high, shape)

    def bools(self, *shape):
        return self.rng.random(shape) > 0.5


def dtype_of(library, name):
    """The dtype of that name; ``chainrule.bool`` and Python's own are told apart."""
    return getattr(torch, name) if library is torch else cr.autograd.dtypes.as_dtype(name)


def to_cr(value, dtype=None, grad=False):
    if isinstance(value, np.ndarray):
        t = cr.tensor(value)
        if dtype is not None and value.dtype == np.float64:
            t = t.to(dtype_of(cr, dtype))
        return t.requires_grad_() if grad and t.is_floating_point() else t
    if isinstance(value, (list, tuple)):
        return type(value)(to_cr(v, dtype, grad) for v in value)
    return value


def to_torch(value, dtype=None, grad=False):
    if isinstance(value, np.ndarray):
        t = torch.tensor(value)
        if dtype is not None and value.dtype == np.float64:
            t = t.to(getattr(torch, dtype))
        return t.requires_grad_() if grad and t.is_floating_point() else t
    if isinstance(value, (list, tuple)):
        return type(value)(to_torch(v, dtype, grad) for v in value)
    return value


def leaves(args):
    found = []
    for a in args:
        if isinstance(a, (list, tuple)):
            found += leaves(a)
        elif isinstance(a, (cr.Tensor, torch.Tensor)):
            found.append(a)
    return found


def dtype_name(t):
    return str(t.dtype).split(".")[-1]


def host(t):
    if isinstance(t, torch.Tensor):
        t = t.detach()
        return (t.double() if t.dtype in (torch.bfloat16, torch.float16, torch.float32) else t).numpy(force=True)
    a = t.numpy(force=True)
    return a.astype(np.float64) if t.is_floating_point() else a


def same(got, want, what="value", nan_is_fine=False):
    """The tensor ``got`` equals PyTorch's ``want`` in dtype, shape and elements.

    With ``nan_is_fine`` only where PyTorch has a number (second derivatives at zero).
    """
    if not isinstance(want, torch.Tensor):
        assert got == want, f"{what}: {got!r} instead of {want!r}"
        return
    assert isinstance(got, cr.Tensor), f"{what}: {type(got)}"
    assert dtype_name(got) == dtype_name(want), f"{what}: {got.dtype} instead of {want.dtype}"
    assert tuple(got.shape) == tuple(want.shape), f"{what}: shape {tuple(got.shape)} instead of {tuple(want.shape)}"
    tol = RTOL.get(dtype_name(want), 0)
    a, b = host(got), host(want)
    if nan_is_fine and b.dtype.kind == "f":
        a = np.where(np.isnan(b), b, a)
    np.testing.assert_allclose(a, b, rtol=tol, atol=tol, err_msg=what)


def flat(result):
    if isinstance(result, (list, tuple)):
        return list(itertools.chain.from_iterable(flat(r) for r in result))
    return [result]


def resolve(library, name):
    if name.startswith("."):
        return lambda x, *args, **kwargs: getattr(x, name[1:])(*args, **kwargs)
    if hasattr(library, name):
        return getattr(library, name)
    return getattr(torch.nn.functional, name)


def weights(number, like):
    """The weights of output or gradient ``number`` in a sum of all."""
    rng = np.random.default_rng(number)
    return rng.uniform(0.5, 1.5, tuple(like.shape)) * rng.choice([-1.0, 1.0], tuple(like.shape))


def gradients(library, outputs, inputs, make):
    """First gradients of the weighted sum of all outputs, and second ones of the weighted sum of those."""
    grad = torch.autograd.grad if library is torch else cr.autograd.grad
    tracked = [o for o in outputs if isinstance(o, (torch.Tensor, cr.Tensor)) and o.requires_grad]
    if not tracked:
        return None, None
    seeds = [make(weights(i, o)).to(o.dtype) for i, o in enumerate(tracked)]
    first = grad(tracked, inputs, seeds, create_graph=True, allow_unused=True)
    again = [(i, f) for i, f in enumerate(first) if f is not None and f.requires_grad]
    if not again:
        return first, [None] * len(first)
    seeds = [make(weights(i, f)).to(f.dtype) for i, f in again]
    again = [f for _, f in again]
    return first, grad(again, inputs, seeds, allow_unused=True)


def zero_if_none(gradient, like, make):
    return make(np.zeros(tuple(like.shape))).to(like.dtype) if gradient is None else gradient


def quiet(function, *args, **kwargs):
    """NumPy's warnings about infinities and NaN are no part of the comparison; nor are PyTorch's deprecations."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def run(function, args, kwargs):
    try:
        return quiet(function, *args, **kwargs), None
    except (RuntimeError, ValueError, TypeError, IndexError, OverflowError, NotImplementedError) as error:
        return None, error


def compare(name, args, kwargs=None, dtype=F64, second=True):
    """One call on both sides; both raise, or values and gradients agree."""
    kwargs = kwargs or {}
    theirs_in, ours_in = to_torch(args, dtype, True), to_cr(args, dtype, True)
    theirs, theirs_error = run(resolve(torch, name), theirs_in, {k: to_torch(v, dtype) for k, v in kwargs.items()})
    ours, ours_error = run(resolve(cr, name), ours_in, {k: to_cr(v, dtype) for k, v in kwargs.items()})
    assert (ours_error is None) == (theirs_error is None), f"chainrule: {ours_error!r}\ntorch: {theirs_error!r}"
    if ours_error is not None:
        assert len(str(ours_error)) > 20, f"the error says too little: {ours_error!r}"
        return
    theirs, ours = flat(theirs), flat(ours)
    assert len(theirs) == len(ours)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        same(a, b, f"output {i}")
        if isinstance(b, torch.Tensor):
            assert a.requires_grad == b.requires_grad, f"output {i}: requires_grad {a.requires_grad}"
    x_theirs = [t for t in leaves(theirs_in) if t.requires_grad]
    x_ours = [t for t in leaves(ours_in) if t.requires_grad]
    if not x_ours:
        return
    try:
        want1, want2 = quiet(gradients, torch, theirs, x_theirs, torch.tensor)
    except (NotImplementedError, RuntimeError) as error:  # PyTorch's own limits
        if "not implemented" in str(error) or "invalid gradient" in str(error):
            return
        raise
    got1, got2 = quiet(gradients, cr, ours, x_ours, cr.tensor)
    assert (got1 is None) == (want1 is None)
    for order, got, want in ((1, got1, want1), (2, got2, want2)):
        if order == 2 and not second:
            continue
        for i, (x, y) in enumerate(zip(x_ours, x_theirs, strict=True)):
            g = zero_if_none(None if got is None else got[i], x, cr.tensor)
            w = zero_if_none(None if want is None else want[i], y, torch.tensor)
            same(g, w, f"gradient {order} of input {i}", nan_is_fine=True)


def name_of(case):
    return "-".join(
        str(part) if not isinstance(part, np.ndarray) else f"{part.dtype}{list(part.shape)}".replace(" ", "")
        for part in (case[0], *flat(list(case[1])),
            *[f"{k}={v}" for k, v in (case[2] if len(case) > 2 else {}).items()])
    )[:110]


def cases(table):
    """Cases with readable, unique ids."""
    seen = {}
    params = []
    for case in table:
        ident = name_of(case)
        seen[ident] = seen.get(ident, 0) + 1
        params.append(pytest.param(*case[:2], case[2] if len(case) > 2 else {}, id=f"{ident}#{seen[ident]}"))
    return params


def agree(f, ours, theirs, what):
    want, want_error = run(f, theirs, {})
    if "not implemented for 'Bool'" in str(want_error) or "with a bool tensor" in str(want_error):
        return  # PyTorch has no arithmetic on bools
    got, got_error = run(f, ours, {})
    said = f"{what}: chainrule {got_error!r}, torch {want_error!r}"
    assert (got_error is None) == (want_error is None), said
    if want_error is None:
        same(got, want, what)
