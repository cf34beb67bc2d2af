"""Transforms of functions beside torch.func and torch.autograd.functional: values, structures, errors."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3,))
Y = RNG.normal(size=(3,))
M = RNG.normal(size=(2, 3))


def same(ours, theirs):
    """The same nest of the same numbers."""
    if isinstance(theirs, (tuple, list)):
        assert isinstance(ours, type(theirs)) and len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for k in theirs:
            same(ours[k], theirs[k])
    else:
        assert tuple(ours.shape) == tuple(theirs.shape)
        assert str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]
        assert ours.requires_grad == theirs.requires_grad
        np.testing.assert_allclose(ours.numpy(force=True), theirs.numpy(force=True), rtol=1e-9, atol=1e-11)


def both(run, *arrays):
    """``run(library, *tensors)`` with each."""
    same(run(cr, *[cr.tensor(a) for a in arrays]), run(torch, *[torch.tensor(a) for a in arrays]))


def scalar(lib):
    return lambda x: (x.sin() * x**2).sum() + x.prod()


def vector(lib):
    return lambda x: lib.stack([x[0] * x[1], x[2].exp(), (x**2).sum(), x[0] * 0 + 1])


TRANSFORMS = {
    "grad": lambda lib, x, y, m: lib.func.grad(scalar(lib))(x),
    "grad of grad": lambda lib, x, y, m: lib.func.grad(lambda t: lib.func.grad(scalar(lib))(t).pow(2).sum())(x),
    "three times": lambda lib, x, y, m: lib.func.grad(lib.func.grad(lib.func.grad(lambda t: t**4)))(x[0]),
    "argnums": lambda lib, x, y, m: lib.func.grad(lambda a, b: (a * b**2).sum(), argnums=(1, 0))(x, y),
    "argnums -1": lambda lib, x, y, m: lib.func.grad(lambda a, b: (a * b**2).sum(), argnums=-1)(x, y),
    "nests": lambda lib, x, y, m: lib.func.grad(lambda p: (p["w"] @ p["b"][0]).sum() * p["b"][1].sum())(
        {"w": m, "b": [x, y]}
    ),
    "has_aux": lambda lib, x, y, m: lib.func.grad(lambda a: ((a**2).sum(), {"twice": a * 2}), has_aux=True)(x),
    "grad_and_value": lambda lib, x, y, m: lib.func.grad_and_value(lambda a: (a**2).sum())(x),
    "grad_and_value aux": lambda lib, x, y, m: lib.func.grad_and_value(lambda a: ((a**2).sum(), a), has_aux=True)(x),
    "keywords": lambda lib, x, y, m: lib.func.grad(lambda a, *, b: (a * b).sum())(x, b=y),
    "unused": lambda lib, x, y, m: lib.func.grad(lambda a, b: a.sum(), argnums=(0, 1))(x, y),
    "constant": lambda lib, x, y, m: lib.func.grad(lambda a: y.sum())(x),
    "vjp": lambda lib, x, y, m: lib.func.vjp(lambda a: m @ a, x)[1](lib.ones_like(m[:, 0])),
    "vjp of two": lambda lib, x, y, m: lib.func.vjp(lambda a, b: (a * b, a.sum()), x, y)[1]((x, y[0])),
    "vjp value": lambda lib, x, y, m: lib.func.vjp(lambda a: (a * 2, {"k": a.sum()}), x)[0],
    "jvp": lambda lib, x, y, m: lib.func.jvp(vector(lib), (x,), (y,)),
    "jvp of two": lambda lib, x, y, m: lib.func.jvp(lambda a, b: (a * b, b.exp()), (x, y), (y, x)),
    "jvp aux": lambda lib, x, y, m: lib.func.jvp(lambda a: (a**3, a * 2), (x,), (y,), has_aux=True),
    "linearize": lambda lib, x, y, m: lib.func.linearize(vector(lib), x)[1](y),
    "jacrev": lambda lib, x, y, m: lib.func.jacrev(vector(lib))(x),
    "jacrev matrix": lambda lib, x, y, m: lib.func.jacrev(lambda a: a.T @ a)(m),
    "jacrev argnums": lambda lib, x, y, m: lib.func.jacrev(lambda a, b: a @ b, argnums=(0, 1))(m, x),
    "jacrev nest": lambda lib, x, y, m: lib.func.jacrev(lambda p: {"u": p["a"] * 2, "v": p["b"].sum()})(
        {"a": x, "b": y}
    ),
    "jacrev chunks": lambda lib, x, y, m: lib.func.jacrev(vector(lib), chunk_size=2)(x),
    "jacrev aux": lambda lib, x, y, m: lib.func.jacrev(lambda a: (a * a, a.sum()), has_aux=True)(x),
    "jacfwd": lambda lib, x, y, m: lib.func.jacfwd(vector(lib))(x),
    "jacfwd matrix": lambda lib, x, y, m: lib.func.jacfwd(lambda a: a.T @ a)(m),
    "jacfwd argnums": lambda lib, x, y, m: lib.func.jacfwd(lambda a, b: a @ b, argnums=(0, 1))(m, x),
    "hessian": lambda lib, x, y, m: lib.func.hessian(scalar(lib))(x),
    "hessian of two": lambda lib, x, y, m: lib.func.hessian(lambda a, b: (a**2 * b).sum(), argnums=(0, 1))(x, y),
    "jacfwd of jacrev": lambda lib, x, y, m: lib.func.jacfwd(lib.func.jacrev(scalar(lib)))(x),
    "jacrev of jacfwd": lambda lib, x, y, m: lib.func.jacrev(lib.func.jacfwd(scalar(lib)))(x),
    "per-sample gradients": lambda lib, x, y, m: lib.func.vmap(
        lib.func.grad(lambda w, t: (w * t).tanh().sum()), in_dims=(None, 0)
    )(x, m),
    "grad of vmap": lambda lib, x, y, m: lib.func.grad(
        lambda w: lib.func.vmap(lambda t: (w * t).sin().sum())(m).sum()
    )(x),
    "hessian of vmap": lambda lib, x, y, m: lib.func.hessian(
        lambda w: lib.func.vmap(lambda t: (w * t).sin().sum())(m).sum()
    )(x),
    "vmap of hessian": lambda lib, x, y, m: lib.func.vmap(lib.func.hessian(scalar(lib)))(m),
    "vmap of jacrev": lambda lib, x, y, m: lib.func.vmap(lib.func.jacrev(vector(lib)))(m),
    "vmap of jacfwd": lambda lib, x, y, m: lib.func.vmap(lib.func.jacfwd(vector(lib)))(m),
    "vmap of jvp": lambda lib, x, y, m: lib.func.vmap(lambda t: lib.func.jvp(vector(lib), (t,), (y,))[1])(m),
    "nested vmap": lambda lib, x, y, m: lib.func.vmap(lambda a: lib.func.vmap(lambda b: a * b)(y))(x),
    "nested vmap, matrices": lambda lib, x, y, m: lib.func.vmap(
        lambda r: lib.func.vmap(lambda c: (r * c).sum())(m), out_dims=1
    )(m),
    "grad through nested vmap": lambda lib, x, y, m: lib.func.grad(
        lambda w: lib.func.vmap(lambda a: lib.func.vmap(lambda b: (a * b * w).sin())(y))(x).sum()
    )(x[0]),
    "dims": lambda lib, x, y, m: lib.func.vmap(lambda a, b: a * b, in_dims=(1, 0), out_dims=-1)(m, x),
    "out_dims of two": lambda lib, x, y, m: lib.func.vmap(lambda a: (a, a.sum()), in_dims=1, out_dims=(1, 0))(m),
    "in_dims nest": lambda lib, x, y, m: lib.func.vmap(lambda p: p["a"] * p["b"][0], in_dims=({"a": -1, "b": [0]},))(
        {"a": m, "b": [x]}
    ),
    "vmap chunks": lambda lib, x, y, m: lib.func.vmap(lambda a: a.sin(), chunk_size=2)(x),
    "captured": lambda lib, x, y, m: lib.func.grad(lambda a: lib.func.grad(lambda b: (a * b * b).sum())(y).sum())(x),
    "no confusion": lambda lib, x, y, m: lib.func.grad(
        lambda a: a * lib.func.grad(lambda b: a + b)(x[1])
    )(x[0]),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:vmap. there is no batching rule", "ignore:Attempted to insert a get_attr Node")
@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms(name):
    both(TRANSFORMS[name], X, Y, M)


def functional(lib):
    return lib.autograd.functional


FUNCTIONAL = {
    "jacobian": lambda lib, f, x, y, m: f.jacobian(vector(lib), x),
    "jacobian vectorized": lambda lib, f, x, y, m: f.jacobian(vector(lib), x, vectorize=True),
    "jacobian forward": lambda lib, f, x, y, m: f.jacobian(vector(lib), x, strategy="forward-mode", vectorize=True),
    "jacobian of two": lambda lib, f, x, y, m: f.jacobian(lambda a, b: (a @ b, b.sum()), (m, x)),
    "jacobian create_graph": lambda lib, f, x, y, m: f.jacobian(vector(lib), x.requires_grad_(), create_graph=True),
    "hessian": lambda lib, f, x, y, m: f.hessian(scalar(lib), x),
    "hessian of two": lambda lib, f, x, y, m: f.hessian(lambda a, b: (a**2 * b).sum(), (x, y)),
    "hessian vectorized": lambda lib, f, x, y, m: f.hessian(scalar(lib), x, vectorize=True),
    "hessian forward": lambda lib, f, x, y, m: f.hessian(  # PyTorch's still requires grad
        scalar(lib), x, vectorize=True, outer_jacobian_strategy="forward-mode"
    ).detach(),
    "vjp": lambda lib, f, x, y, m: f.vjp(lambda a: m @ a, x, m[:, 0]),
    "vjp of two": lambda lib, f, x, y, m: f.vjp(lambda a, b: a * b, (x, y), y),
    "vjp of a number": lambda lib, f, x, y, m: f.vjp(lambda a: a.sum(), x),
    "jvp": lambda lib, f, x, y, m: f.jvp(vector(lib), x, y),
    "jvp of two": lambda lib, f, x, y, m: f.jvp(lambda a, b: (a * b, a), (x, y), (y, x)),
    "hvp": lambda lib, f, x, y, m: f.hvp(scalar(lib), x, y),
    "vhp": lambda lib, f, x, y, m: f.vhp(scalar(lib), x, y),
    "vhp of two": lambda lib, f, x, y, m: f.vhp(lambda a, b: (a**2 * b).sum(), (x, y), (y, x)),
    "hvp create_graph": lambda lib, f, x, y, m: f.hvp(scalar(lib), x.requires_grad_(), y, create_graph=True),
    "is_grads_batched": lambda lib, f, x, y, m: lib.autograd.grad(
        (m @ x.requires_grad_()), x, lib.eye(2, dtype=lib.float64), is_grads_batched=True
    ),
}


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_functional(name):
    both(lambda lib, *given: FUNCTIONAL[name](lib, functional(lib), *given), X, Y, M)


REFUSED = {
    "grad of a vector": lambda lib, x, y, m: lib.func.grad(lambda a: a * 2)(x),
    "grad of an integer": lambda lib, x, y, m: lib.func.grad(lambda a: a.sum())(lib.arange(3)),
    "argnums out of range": lambda lib, x, y, m: lib.func.grad(lambda a: a.sum(), argnums=1)(x),
    "no aux": lambda lib, x, y, m: lib.func.grad(lambda a: a.sum(), has_aux=True)(x),
    "vmap without tensors": lambda lib, x, y, m: lib.func.vmap(lambda a: a)(3),
    "vmap of two lengths": lambda lib, x, y, m: lib.func.vmap(lambda a, b: a * b)(x, m),
    "vmap of nothing": lambda lib, x, y, m: lib.func.vmap(lambda a: a, in_dims=None)(x),
    "in_dims out of range": lambda lib, x, y, m: lib.func.vmap(lambda a: a, in_dims=1)(x),
    "in_dims too many": lambda lib, x, y, m: lib.func.vmap(lambda a: a, in_dims=(0, 0))(x),
    "a branch": lambda lib, x, y, m: lib.func.vmap(lambda a: a if a > 0 else -a)(x),
    "item": lambda lib, x, y, m: lib.func.vmap(lambda a: a * a.item())(x),
    "no tensor out": lambda lib, x, y, m: lib.func.vmap(lambda a: 3)(x),
    "random": lambda lib, x, y, m: lib.func.vmap(lambda a: a * lib.rand(2))(x),
    "shape of tangents": lambda lib, x, y, m: lib.func.jvp(lambda a: a, (x,), (m,)),
    "functional vjp without v": lambda lib, x, y, m: lib.autograd.functional.vjp(lambda a: a, x),
    "functional strict": lambda lib, x, y, m: lib.autograd.functional.jacobian(lambda a: y * 1, x, strict=True),
    "functional hessian of a vector": lambda lib, x, y, m: lib.autograd.functional.hessian(lambda a: a, x),
}


@pytest.mark.parametrize("name", REFUSED)
def test_both_refuse(name):
    for lib in (torch, cr):
        with pytest.raises((RuntimeError, ValueError, TypeError, IndexError)):
            REFUSED[name](lib, lib.tensor(X), lib.tensor(Y), lib.tensor(M))


def test_ensembles_of_modules():
    models = {}
    for lib in (cr, torch):
        models[lib] = [
            lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.Tanh(), lib.nn.Linear(4, 2)).double() for _ in range(3)
        ]
    for ours, theirs in zip(models[cr], models[torch], strict=True):
        ours.load_state_dict({k: cr.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    found = {}
    for lib in (cr, torch):
        parameters, buffers = lib.func.stack_module_state(models[lib])
        base = models[lib][0]

        def run(p, b, x, lib=lib, base=base):
            return lib.func.functional_call(base, (p, b), (x,))

        x = lib.tensor(M)
        found[lib] = lib.func.vmap(run, in_dims=(0, 0, None))(parameters, buffers, x)
    same(found[cr], found[torch])


def test_per_sample_gradients_of_a_module():
    nets = {
        lib: lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.ReLU(), lib.nn.Linear(4, 2)).double() for lib in (cr, torch)
    }
    nets[cr].load_state_dict({k: cr.tensor(v.numpy()) for k, v in nets[torch].state_dict().items()})
    found = {}
    for lib, net in nets.items():
        parameters = {k: v.detach() for k, v in net.named_parameters()}

        def loss(p, x, y, lib=lib, net=net):
            out = lib.func.functional_call(net, p, (x[None],))
            return lib.nn.functional.cross_entropy(out, y[None])

        gradients = lib.func.vmap(lib.func.grad(loss), in_dims=(None, 0, 0))
        found[lib] = gradients(parameters, lib.tensor(np.tile(M, (2, 1))), lib.tensor([0, 1, 1, 0]))
    same(found[cr], found[torch])
