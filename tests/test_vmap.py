"""vmap: every op on a batch against a loop, gradients inside and around it, nesting, dimensions, errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import func
from chainrule.autograd.op import OPS

B = 3


def tensors(sample, index):
    """The arguments of a sample as tensors; floating-point ones differ with the index."""
    made = []
    for a in sample.args:
        if a is None:
            made.append(None)
            continue
        a = np.asarray(a)
        if a.dtype.kind == "f":
            a = a * (1 + 0.03 * index)
        elif a.dtype.kind in "iu" and a.ndim and a.size and index:
            a = np.roll(a, index, axis=0)
        made.append(cr.tensor(a))
    return made


def which(n):
    """Which arguments have the batch: all of them, and each alone."""
    yield (True,) * n
    if n > 1:
        for i in range(n):
            yield tuple(j == i for j in range(n))


def close(a, b):
    assert a.shape == b.shape and a.dtype == b.dtype
    np.testing.assert_allclose(a.numpy(force=True), b.numpy(force=True), rtol=1e-9, atol=1e-11, equal_nan=True)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="vmap: there is no batching rule")
        yield


def flat(result):
    return list(result) if isinstance(result, (tuple, list)) else [result]


#: not functions of tensors alone: stand-ins in the graph
NOT_CALLED = {"to_device", "view_scatter"}


#: arguments with respect to which no derivative is known
NO_DERIVATIVE = {("zeta", "x")}


def caller(op, sample, template, used):
    """The op as a function of the arguments that are tensors, with a list of results."""

    def call(*given):
        full = list(template)
        for j, t in zip(used, given):
            full[j] = t
        return flat(op.apply(*full, **sample.kwargs))

    return call


@pytest.mark.parametrize("name", sorted(set(OPS) - NOT_CALLED))
def test_every_op_gives_on_a_batch_what_it_gives_in_a_loop(name):
    op = OPS[name]
    for sample in op.check.samples()[:6]:
        each = [tensors(sample, i) for i in range(B)]
        used = [i for i, a in enumerate(each[0]) if a is not None]
        call = caller(op, sample, each[0], used)
        for batched in which(len(used)):
            rows = [[each[i if b else 0][j] for j, b in zip(used, batched)] for i in range(B)]
            expected = [call(*row) for row in rows]
            given = [cr.stack([row[k] for row in rows]) if b else rows[0][k] for k, b in enumerate(batched)]
            got = cr.vmap(call, in_dims=tuple(0 if b else None for b in batched))(*given)
            for k, out in enumerate(got):
                close(out, cr.stack([e[k] for e in expected]))


def weighted(op, sample):
    """A number that depends on every element of every floating-point result of the op."""

    def total(*given):
        parts = flat(op.apply(*given, **sample.kwargs))
        parts = [cr.view_as_real(p) if p.is_complex() else p for p in parts if p.is_complex() or p.is_floating_point()]
        weights = [cr.tensor(np.cos(1.0 + np.arange(p.numel())).reshape(p.shape)) for p in parts]
        return sum((p * w * p).sum() for p, w in zip(parts, weights))

    return total


def differentiable_arguments(op, args):
    names = [*op.parameters, *([op.variadic] * (len(args) - len(op.parameters)) if op.variadic else [])]
    rules = op.rules.keys() - set(op.check.constant)
    return tuple(
        j
        for j, a in enumerate(args)
        if a.is_floating_point() and names[j] in rules and (op.name, names[j]) not in NO_DERIVATIVE
    )


def summed(total, dims=0):
    return lambda *given: cr.vmap(total, in_dims=dims)(*given).sum()


@pytest.mark.parametrize("name", sorted(n for n, op in OPS.items() if op.rules and n not in NOT_CALLED))
def test_every_gradient_inside_and_around_vmap_is_that_of_a_loop(name):
    op = OPS[name]
    for sample in op.check.samples()[:4]:
        each = [tensors(sample, i) for i in range(B)]
        argnums = () if any(a is None for a in each[0]) else differentiable_arguments(op, each[0])
        if not argnums:
            continue
        total = weighted(op, sample)
        gradient = func.grad(total, argnums=argnums)
        expected = [gradient(*row) for row in each]
        stacked = [cr.stack([row[k] for row in each]) for k in range(len(each[0]))]
        for k, got in enumerate(cr.vmap(gradient)(*stacked)):
            close(got, cr.stack([e[k] for e in expected]))
        for k, got in enumerate(func.grad(summed(total), argnums=argnums)(*stacked)):
            close(got, cr.stack([e[k] for e in expected]))
        if len(argnums) > 1:  # only the first argument has the batch: the gradients of the others are sums
            dims = (0,) + (None,) * (len(stacked) - 1)
            around = func.grad(summed(total, dims), argnums=argnums)
            alone = [gradient(row[0], *each[0][1:]) for row in each]
            for k, got in enumerate(around(stacked[0], *each[0][1:])):
                want = [e[k] for e in alone]
                close(got, cr.stack(want) if argnums[k] == 0 else sum(want[1:], want[0]))


# ---- dimensions, nests, randomness, errors --------------------------------------------------------------------------


def test_it_runs_once_and_not_in_a_loop():
    calls = []

    def f(x):
        calls.append(x.shape)
        return (x.sin() + x.sum()).softmax(0)

    x = cr.randn(5, 3)
    got = cr.vmap(f)(x)
    assert calls == [(3,)]
    close(got, cr.stack([f(row) for row in x]))


def test_inside_a_tensor_looks_like_one_element():
    def f(x):
        assert x.shape == (2, 3) and x.ndim == 2 and x.dim() == 2 and len(x) == 2 and x.numel() == 6
        assert x.device == cr.get_default_device() and x.dtype == cr.float32
        assert repr(x) == "Tensor(one of 4 elements, shape=(2, 3), dtype=chainrule.float32)"
        return x.reshape(-1).cpu() if x.device.type == "cpu" else x.reshape(-1)

    assert cr.vmap(f)(cr.zeros(4, 2, 3)).shape == (4, 6)


def test_a_loop_warns_once_and_names_the_operation():
    from chainrule.autograd.batching import namespace

    namespace._warned.discard("put_at")
    x = cr.randn(3, 4)

    def f(t):
        t = t.clone()
        t[cr.tensor([0, 2])] = t[:2] * 2
        return t

    with pytest.warns(UserWarning, match="there is no batching rule for 'index_put'; it runs once for each of the 4"):
        got = cr.vmap(func.jacrev(f))(x)
    close(got, cr.stack([func.jacrev(f)(row) for row in x]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cr.vmap(func.jacrev(f))(x)


def test_captured_tensors_and_new_ones():
    w, x = cr.randn(3), cr.randn(4, 3)
    close(cr.vmap(lambda t: t * w + cr.ones(3))(x), x * w + 1)
    close(cr.vmap(lambda t: cr.zeros_like(t) + t.new_ones(3) * t.mean())(x), x.mean(1, keepdim=True).expand(4, 3))
    close(cr.vmap(lambda t: w)(x), w.expand(4, 3))
    assert cr.equal(cr.vmap(lambda t: w, out_dims=None)(x), w)
    close(cr.vmap(lambda t: cr.cat([t, w, t.sum()[None]]))(x), cr.stack([cr.cat([t, w, t.sum()[None]]) for t in x]))


def test_indices_that_differ_over_the_batch():
    x, i = cr.randn(4, 5), cr.tensor([0, 4, -1, 2])
    close(cr.vmap(lambda t, k: t[k[None]][0])(x, i), cr.stack([t[k] for t, k in zip(x, [0, 4, -1, 2])]))
    close(cr.vmap(lambda t, k: t.gather(0, k[None]))(x, i % 5), x.gather(1, (i % 5)[:, None]))
    close(cr.vmap(lambda k: x[:, k[None]])(i), cr.stack([x[:, k][:, None] for k in [0, 4, -1, 2]]))
    with pytest.raises(IndexError):
        cr.vmap(lambda t, k: t[k[None]])(x, i + 3)


def test_writing_in_place():
    x = cr.randn(4, 3)

    def f(t):
        out = cr.zeros_like(t)
        out[0] = t.sum()
        out[1:] += t[1:]
        return out.mul_(2)

    close(cr.vmap(f)(x), cr.stack([f(t) for t in x]))
    gradient = func.grad(lambda t: (f(t) ** 2).sum())
    close(cr.vmap(gradient)(x), cr.stack([gradient(t) for t in x]))


def test_writing_what_differs_into_what_does_not_is_refused():
    w = cr.zeros(3)
    with pytest.raises(RuntimeError, match="another one for each element of the batch"):
        cr.vmap(lambda t: w.add_(t))(cr.ones(4, 3))
    assert w.tolist() == [0, 0, 0]


def test_random_numbers():
    x = cr.zeros(5, 3)
    with pytest.raises(RuntimeError, match="randomness='different'"):
        cr.vmap(lambda t: t + cr.rand(3))(x)
    for function in (
        lambda t: t + cr.rand(3),
        lambda t: cr.randn_like(t),
        lambda t: nn_dropout(t + 1),
        lambda t: cr.bernoulli(t + 0.5),
        lambda t: t.clone().normal_(),
    ):
        same = cr.vmap(function, randomness="same")(x)
        assert cr.equal(same, same[:1].expand(5, 3))
        different = cr.vmap(lambda t, f=function: cr.cat([f(t) for _ in range(6)]), randomness="different")(x)
        assert len({tuple(row) for row in different.tolist()}) == 5
    nested = cr.vmap(lambda t: cr.vmap(lambda u: u + cr.rand(()), randomness="different")(t), randomness="same")(x)
    assert cr.equal(nested, nested[:1].expand(5, 3)) and len(set(nested[0].tolist())) == 3
    nested = cr.vmap(lambda t: cr.vmap(lambda u: u + cr.rand(()), randomness="same")(t), randomness="different")(x)
    assert len(set(nested[:, 0].tolist())) == 5 and len(set(nested[0].tolist())) == 1


def nn_dropout(t):
    return cr.nn.functional.dropout(t, 0.5, True)


def test_branches_and_python_numbers():
    x = cr.tensor([1.0, -1.0])
    with pytest.raises(RuntimeError, match=r"use where\(condition, a, b\)"):
        cr.vmap(lambda t: t if t > 0 else -t)(x)
    with pytest.raises(RuntimeError, match="another one for each element"):
        cr.vmap(lambda t: t * t.item())(x)
    with pytest.raises(RuntimeError, match="another one for each element"):
        cr.vmap(lambda t: cr.tensor(t.numpy(force=True)))(x)
    close(cr.vmap(lambda t: t if t < 5 else -t)(x), x)  # all take the same branch


def test_backward_inside_to_a_shared_tensor_is_refused():
    w = cr.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="shared by all elements of the batch"):
        cr.vmap(lambda t: cr.autograd.grad((w * t).sum(), w)[0])(cr.randn(4, 3))
    cr.vmap(lambda t: (w * t).sum())(cr.ones(4, 3)).sum().backward()
    assert w.grad.tolist() == [4, 4, 4]


def test_nothing_is_left_behind():
    from chainrule.autograd.batching import active

    with pytest.raises(ZeroDivisionError):
        cr.vmap(lambda t: t / (1 // 0))(cr.ones(3))
    assert active.levels == []


def test_an_empty_batch():
    assert cr.vmap(lambda t: t.sin().sum())(cr.zeros(0, 3)).shape == (0,)


@pytest.mark.parametrize(
    ("kwargs", "args", "message"),
    [
        ({}, (3,), "nothing to map over"),
        ({}, (cr.ones(2), cr.ones(3)), r"one length, got \[2, 3\]"),
        ({"in_dims": 1}, (cr.ones(2),), "no such dimension"),
        ({"in_dims": (0, 0)}, (cr.ones(2),), "2 entries for 1 arguments"),
        ({"in_dims": (0,)}, (3,), "no Tensor"),
        ({"in_dims": "x"}, (cr.ones(2),), "must be an int or a tuple"),
        ({"in_dims": ({"b": 0},)}, ({"a": cr.ones(2)},), "keys"),
        ({"out_dims": 3}, (cr.ones(2),), "out_dims is 3"),
    ],
)
def test_wrong_arguments(kwargs, args, message):
    with pytest.raises(ValueError, match=message):
        cr.vmap(lambda *a: a[0], **kwargs)(*args)
    for wrong in ({"randomness": "often"}, {"chunk_size": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            cr.vmap(lambda a: a, **wrong)
