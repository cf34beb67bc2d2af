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
NO_DERIVATIVE = {("igamma", "x"), ("igammac", "x"), ("zeta", "x")}


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
