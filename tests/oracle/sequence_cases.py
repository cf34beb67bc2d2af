"""One layer in both libraries, from PyTorch's state dict: its outputs and gradients compared, on given arrays."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")

#: PyTorch tells of its fast path, and of masks of two kinds
QUIET = [
    pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning"),
    pytest.mark.filterwarnings("ignore:Support for mismatched:UserWarning"),
]


def close(ours, theirs, rtol=1e-9, atol=1e-11):
    assert tuple(ours.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(force=True), theirs.detach().numpy(), rtol=rtol, atol=atol)


def both(make, double=True):
    """The module of ``make(nn)`` in both libraries, with PyTorch's values, loaded from its state dict."""
    torch.manual_seed(0)
    theirs, ours = make(torch.nn), make(cr.nn)
    if double:
        theirs, ours = theirs.double(), ours.double()
    state = theirs.state_dict()
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == {k: tuple(v.shape) for k, v in state.items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict({k: v.numpy() for k, v in state.items()})
    assert repr(ours) == repr(theirs)
    return ours, theirs


def tensors(lib, arrays):
    """Floats require grad; integers and bools do not."""
    return [lib.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]


def leaves(tree):
    """The tensors of nested tuples, in order."""
    if tree is None:
        return []
    if isinstance(tree, (tuple, list)):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree]


def scalar(lib, outputs, seed=1):
    """A sum of all floating outputs, each element with its own weight."""
    rng = np.random.default_rng(seed)
    weights = [lib.tensor(rng.normal(size=tuple(t.shape))) for t in outputs]
    return sum(((t * w).sum() for t, w in zip(outputs, weights, strict=True)), start=lib.zeros(()).double())


def compare(make, run, arrays, mode="train", second=False):
    # PyTorch's fused attention has no second derivative
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        found = [values_and_gradients(*pair, run, arrays, mode, second) for pair in zip((cr, torch), both(make))]
    (a, da), (b, db) = found
    assert len(a) == len(b) > 0
    for x, y in zip(a, b, strict=True):
        close(x, y)
    assert len(da) == len(db)
    for x, y in zip(da, db, strict=True):
        if x is not None and y is not None:
            close(x, y, 1e-8, 1e-10)
        elif x is not y:  # not used: the one side says None, the other may say 0
            assert not np.any((y if x is None else x).detach().numpy())


def values_and_gradients(lib, module, run, arrays, mode, second):
    """Values and gradients of ``run(lib, module, *tensors)``; with ``second`` also the gradients of gradients."""
    getattr(module, mode)()
    given = tensors(lib, arrays)
    outputs = [t for t in leaves(run(lib, module, *given)) if t.is_floating_point()]
    inputs = [t for t in given if t.requires_grad] + [p for p in module.parameters() if p.requires_grad]
    grads = lib.autograd.grad(scalar(lib, outputs), inputs, create_graph=second, allow_unused=True)
    if second:
        used = [g for g in grads if g is not None and g.requires_grad]
        grads = [*grads, *lib.autograd.grad(scalar(lib, used, 2), inputs, allow_unused=True)]
    return outputs, grads


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(*shape, seed=0):
    return rng(seed).normal(size=shape)


def plain(lib, m, x):
    return m(x)
