"""A layer of an LSTM or GRU over a whole sequence as one op: one node where the single steps have hundreds.

The rules are written against ``xp``. On arrays they call the ``_back`` op, for which a backend may have a kernel; on
Tensors (where the gradient is differentiated again) the same formulas are recorded step by step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op, traced
from chainrule.autograd.ops.shape import matrix_transpose
from chainrule.autograd.samples import Sample, Samples, normal
from chainrule.nn.recurrent_ops import _gru_reference, _lstm_reference, _parts, _plus


def _order(steps: int, reverse: bool) -> list[int]:
    return list(range(steps - 1, -1, -1) if reverse else range(steps))


def _rows(xp: Any, x: Any) -> Any:
    """(T, N, F) as (T * N, F)."""
    return xp.reshape(x, shape=(x.shape[0] * x.shape[1], x.shape[2]))


def _stacked(xp: Any, found: list[Any]) -> Any:
    return xp.stack_tensors(*found, axis=0)


def _weights_back(xp: Any, gradient: Any, values: Any) -> Any:
    """The gradient of ``weight`` in ``values @ weight.mT``."""
    return xp.matmul(matrix_transpose(xp, _rows(xp, gradient)), _rows(xp, values))


def _projected(xp: Any, x: Any, weight: Any, bias: Any) -> Any:
    z = xp.matmul(x, matrix_transpose(xp, weight))
    return z if bias is None else z + bias


# ---- LSTM -----------------------------------------------------------------------------------------------------------


def _lstm_samples(rng: Any) -> Any:
    for steps, rows, features, reverse, bias in ((3, 2, 3, False, True), (2, 1, 2, True, False), (1, 2, 1, True, True)):
        w = [normal(rng, 8, features), normal(rng, 8, 2), *([normal(rng, 8)] if bias else [])]
        x, h, c = normal(rng, steps, rows, features), normal(rng, rows, 2), normal(rng, rows, 2)
        yield Sample((x, h, c, *w), {"reverse": reverse})


def _sequence_by_steps(x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, bias: Any = 0.0, *, reverse: bool) -> Any:
    found: list[Any] = [None] * len(x)
    for t in _order(len(x), reverse):
        h, c, gates = _lstm_reference(x[t] @ w_ih.T + bias + h @ w_hh.T, c)
        i, f, z, o = _parts(gates, 4)
        found[t] = h, c, np.stack([i, f, o, z])
    return [np.stack(part) for part in zip(*found, strict=True)]


def _lstm_back(
    xp: Any,
    x: Any,
    h: Any,
    c: Any,
    w_ih: Any,
    w_hh: Any,
    cells: Any,
    gates: Any,
    g_out: Any,
    g_cells: Any,
    g_gates: Any,
    reverse: bool,
) -> tuple[Any, ...]:
    """The gradients of x, h, c, both weights and the bias."""
    order = _order(x.shape[0], reverse)
    squashed = xp.tanh(cells)
    befores: list[Any] = [None] * len(order)
    slopes: list[Any] = [None] * len(order)
    gh = gc = None
    for k in range(len(order) - 1, -1, -1):
        t, last = order[k], order[k - 1]
        i, f, o, z = [gates[t, j] for j in range(4)]
        befores[t], c_before = (h, c) if k == 0 else (gates[last, 2] * squashed[last], cells[last])
        if g_out is not None:
            gh = _plus(gh, g_out[t])
        if g_cells is not None:
            gc = _plus(gc, g_cells[t])
        if gh is not None:
            gc = _plus(gc, gh * o * (1 - squashed[t] * squashed[t]))
        gc = xp.zeros_like(c_before) if gc is None else gc
        gi, gf, go, gz = [None] * 4 if g_gates is None else [g_gates[t, j] for j in range(4)]
        gi, gf, gz = _plus(gc * z, gi), _plus(gc * c_before, gf), _plus(gc * i, gz)
        go = _plus(None if gh is None else gh * squashed[t], go)
        go = xp.zeros_like(c_before) if go is None else go
        slopes[t] = xp.concatenate(gi * i * (1 - i), gf * f * (1 - f), gz * (1 - z * z), go * o * (1 - o), axis=1)
        gh, gc = xp.matmul(slopes[t], w_hh), gc * f
    slope, before = _stacked(xp, slopes), _stacked(xp, befores)
    of_bias = xp.sum(_rows(xp, slope), axis=0, keepdims=False)
    of_weights = _weights_back(xp, slope, x), _weights_back(xp, slope, before)
    return xp.matmul(slope, w_ih), gh, gc, *of_weights, of_bias


def _lstm_rule(xp: Any, g: Any, tensors: Any, cells: Any, gates: Any, reverse: bool) -> tuple[Any, ...]:
    if xp is traced:
        found = _lstm_back(xp, *tensors[:5], cells, gates, *g, reverse)
    else:
        found = xp.lstm_sequence_back(*tensors[:5], cells, gates, *g, reverse=reverse)
    return found[: len(tensors)]


@op(
    vjp={"tensors": _lstm_rule},
    check=Samples(_lstm_samples, reference=_sequence_by_steps),
    outputs=("out", "cells", "gates"),
    missing="none",
    label="lstm",
)
def lstm_sequence(xp: Any, *tensors: Any, reverse: bool) -> Any:
    """A layer of an LSTM: x (T, N, F), h and c (N, H), w_ih (4H, F), w_hh (4H, H) and, if there is one, bias (4H).

    Gives the outputs and the cell states after each step (T, N, H), and the gates i, f, o, z after their functions
    (T, 4, N, H), from which the gradient is computed. ``reverse`` runs from the last step to the first.
    """
    x, h, c, w_ih, w_hh, *bias = tensors
    z = _projected(xp, x, w_ih, bias[0] if bias else None)
    turned = matrix_transpose(xp, w_hh)
    found: list[Any] = [None] * x.shape[0]
    for t in _order(x.shape[0], reverse):
        h, c, gates = xp.lstm_gates(z[t] + xp.matmul(h, turned), c)
        i, f, y, o = _parts(gates, 4)
        found[t] = h, c, xp.stack_tensors(i, f, o, y, axis=0)
    return tuple([_stacked(xp, list(part)) for part in zip(*found, strict=True)])


def _lstm_back_samples(rng: Any) -> Any:
    for sample in _lstm_samples(rng):
        out, cells, gates = _sequence_by_steps(*sample.args, **sample.kwargs)
        gradients = [normal(rng, *y.shape) for y in (out, cells, gates)]
        for given in (gradients, [gradients[0], None, None], [None, gradients[1], None]):
            yield Sample((*sample.args[:5], cells, gates, *given), sample.kwargs)


@op(
    # the rule of the op itself is recorded step by step where its gradient is differentiated
    vjp=None,
    check=Samples(_lstm_back_samples),
    outputs=("of_x", "of_h", "of_c", "of_w_ih", "of_w_hh", "of_bias"),
    label="lstm",
)
def lstm_sequence_back(xp, x, h, c, w_ih, w_hh, cells, gates, g_out=None, g_cells=None, g_gates=None, *, reverse=False):
    """The gradients of :func:`lstm_sequence` for those of its results (None where nothing used one)."""
    return _lstm_back(xp, x, h, c, w_ih, w_hh, cells, gates, g_out, g_cells, g_gates, reverse)


# ---- GRU ------------------------------------------------------------------------------------------------------------


def _gru_samples(rng: Any) -> Any:
    for steps, rows, features, reverse, bias in ((3, 2, 3, False, True), (2, 1, 2, True, False), (1, 2, 1, True, True)):
        w = [normal(rng, 6, features), normal(rng, 6, 2), *([normal(rng, 6), normal(rng, 6)] if bias else [])]
        yield Sample((normal(rng, steps, rows, features), normal(rng, rows, 2), *w), {"reverse": reverse})


def _gru_by_steps(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any = 0.0, b_hh: Any = 0.0, *, reverse: bool) -> Any:
    found: list[Any] = [None] * len(x)
    for t in _order(len(x), reverse):
        before, u = h, h @ w_hh.T + b_hh
        h, gates = _gru_reference(x[t] @ w_ih.T + b_ih, u, h)
        found[t] = h, before, np.stack([*_parts(gates, 3), _parts(u, 3)[2]])
    return [np.stack(part) for part in zip(*found, strict=True)]


def _gru_back(
    xp: Any,
    x: Any,
    w_ih: Any,
    w_hh: Any,
    befores: Any,
    gates: Any,
    g_out: Any,
    g_befores: Any,
    g_gates: Any,
    reverse: bool,
) -> tuple[Any, ...]:
    """The gradients of x, h, both weights and both biases."""
    order = _order(x.shape[0], reverse)
    of_inputs: list[Any] = [None] * len(order)
    of_states: list[Any] = [None] * len(order)
    gh = None
    for t in reversed(order):
        r, z, n, u = [gates[t, j] for j in range(4)]
        gr, gz, gn, gu = [None] * 4 if g_gates is None else [g_gates[t, j] for j in range(4)]
        if g_out is not None:
            gh = _plus(gh, g_out[t])
        gh = xp.zeros_like(n) if gh is None else gh
        gz = _plus(gh * (befores[t] - n), gz) * (z * (1 - z))
        gn = _plus(gh * (1 - z), gn) * (1 - n * n)
        gr = _plus(gn * u, gr) * (r * (1 - r))
        gu = _plus(gn * r, gu)
        of_inputs[t] = xp.concatenate(gr, gz, gn, axis=1)
        of_states[t] = xp.concatenate(gr, gz, gu, axis=1)
        gh = gh * z + xp.matmul(of_states[t], w_hh)
        if g_befores is not None:
            gh = gh + g_befores[t]
    inputs, states = _stacked(xp, of_inputs), _stacked(xp, of_states)
    of_biases = [xp.sum(_rows(xp, s), axis=0, keepdims=False) for s in (inputs, states)]
    of_weights = _weights_back(xp, inputs, x), _weights_back(xp, states, befores)
    return xp.matmul(inputs, w_ih), gh, *of_weights, *of_biases


def _gru_rule(xp: Any, g: Any, tensors: Any, befores: Any, gates: Any, reverse: bool) -> tuple[Any, ...]:
    x, _, w_ih, w_hh = tensors[:4]
    if xp is traced:
        found = _gru_back(xp, x, w_ih, w_hh, befores, gates, *g, reverse)
    else:
        found = xp.gru_sequence_back(x, w_ih, w_hh, befores, gates, *g, reverse=reverse)
    return found[: len(tensors)]


@op(
    vjp={"tensors": _gru_rule},
    check=Samples(_gru_samples, reference=_gru_by_steps),
    outputs=("out", "befores", "gates"),
    missing="none",
    label="gru",
)
def gru_sequence(xp: Any, *tensors: Any, reverse: bool) -> Any:
    """A layer of a GRU: x (T, N, F), h (N, H), w_ih (3H, F), w_hh (3H, H) and, if there are any, two biases (3H).

    Gives the outputs after and the states before each step (T, N, H), and the gates r, z, n after their functions with
    what r multiplies (T, 4, N, H), from which the gradient is computed. ``reverse`` runs from the last step.
    """
    x, h, w_ih, w_hh, *biases = tensors
    b_ih, b_hh = biases or (None, None)
    projected = _projected(xp, x, w_ih, b_ih)
    found: list[Any] = [None] * x.shape[0]
    for t in _order(x.shape[0], reverse):
        before, u = h, _projected(xp, h, w_hh, b_hh)
        h, gates = xp.gru_gates(projected[t], u, h)
        found[t] = h, before, xp.stack_tensors(*_parts(gates, 3), _parts(u, 3)[2], axis=0)
    return tuple([_stacked(xp, list(part)) for part in zip(*found, strict=True)])


def _gru_back_samples(rng: Any) -> Any:
    for sample in _gru_samples(rng):
        results = _gru_by_steps(*sample.args, **sample.kwargs)
        gradients = [normal(rng, *y.shape) for y in results]
        x, _, w_ih, w_hh = sample.args[:4]
        for given in (gradients, [gradients[0], None, None]):
            yield Sample((x, w_ih, w_hh, *results[1:], *given), sample.kwargs)


@op(
    # as for the LSTM
    vjp=None,
    check=Samples(_gru_back_samples),
    outputs=("of_x", "of_h", "of_w_ih", "of_w_hh", "of_b_ih", "of_b_hh"),
    label="gru",
)
def gru_sequence_back(xp, x, w_ih, w_hh, befores, gates, g_out=None, g_befores=None, g_gates=None, *, reverse=False):
    """The gradients of :func:`gru_sequence` for those of its results (None where nothing used one)."""
    return _gru_back(xp, x, w_ih, w_hh, befores, gates, g_out, g_befores, g_gates, reverse)
