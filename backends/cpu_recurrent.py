"""Layers of LSTM and GRU over a whole sequence on the CPU.

A step is one product and some ten calls in place on memory that fits the cache; all that does not depend on the step
before (the products with the inputs, the slopes of all gates, the gradients of the weights) is done for all steps in
a few large calls, which are shared between the threads. The weights of sigmoid gates are halved beforehand, as
``sigmoid(x) = tanh(x / 2) / 2 + 1 / 2``: one tanh then serves all gates of a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.base import Backend, kernel
from chainrule.backends.cpu_matmul import matmul
from chainrule.backends.namespace import FORWARDS
from chainrule.backends.pool import parallel, ranges

Array = np.ndarray

#: Elements (T * N * H) from which on the large calls are shared between threads.
_WORTH = 1 << 16

#: where the LSTM keeps PyTorch's gates i, f, z, o: the sigmoid gates lie together
_LSTM_ORDER = (0, 1, 3, 2)


def _suits(*arrays: Array | None) -> bool:
    """Whether all arrays (or None) are float32, or all float64, and none is empty."""
    given = [a for a in arrays if a is not None]
    return given[0].dtype.char in "fd" and all(a.dtype == given[0].dtype and a.size for a in given)


def _in_parts(function: Callable[[int, int], None], steps: int, size: int) -> None:
    """``function(a, b)`` for consecutive ranges of the steps; the pieces depend on the sizes alone."""
    parts = ranges(steps, 2 if size >= _WORTH else 1)
    parallel(lambda i: function(*parts[i]), len(parts))


def _by_gate(weight: Array, bias: Array | None, gates: int, order: tuple[int, ...], halved: int) -> Array:
    """(gates * H, F) as (gates, F, H), a bias as one row more; the first ``halved`` of ``order`` are halved."""
    rows, features = weight.shape
    out = np.empty((gates, features + (bias is not None), rows // gates), dtype=weight.dtype)
    for k, source in enumerate(order):
        part = slice(source * out.shape[2], (source + 1) * out.shape[2])
        out[k, :features] = weight[part].T
        if bias is not None:
            out[k, features] = bias[part]
    out[:halved] *= 0.5
    return out


def _project(x: Array, weight: Array, out: Array) -> None:
    """``out[t, k] = [x[t], 1] @ weight[k]``, without the 1 where the weight has no row for a bias."""
    steps, rows, features = x.shape
    if weight.shape[1] > features:
        wide = np.empty((steps, rows, features + 1), dtype=x.dtype)
        wide[..., :features] = x
        wide[..., features] = 1
        x = wide

    def run(a: int, b: int) -> None:
        np.matmul(x[a:b, None], weight, out=out[a:b])

    _in_parts(run, steps, out.size)


def _sigmoid_from_tanh(x: Array) -> None:
    np.multiply(x, 0.5, out=x)
    np.add(x, 0.5, out=x)


def _weights_back(slope: Array, values: Array) -> tuple[Array, Array]:
    """The gradients of weight and bias of ``values @ weight.T + bias``; slope and values have two dimensions."""
    ones = np.ones((1, len(slope)), dtype=slope.dtype)
    return matmul(slope.T, values), matmul(ones, slope)[0]


def _input_back(slope: Array, w_ih: Array, shape: tuple[int, ...]) -> Array:
    return matmul(slope, w_ih).reshape(shape)


# ---- LSTM -----------------------------------------------------------------------------------------------------------


def lstm_forward(
    x: Array, h: Array, c: Array, w_ih: Array, w_hh: Array, bias: Array | None, reverse: bool
) -> tuple[Array, Array, Array]:
    """Outputs, cell states (T, N, H) and gates i, f, o, z (T, 4, N, H)."""
    steps, (rows, hidden), dtype = len(x), h.shape, x.dtype
    gates = np.empty((steps, 4, rows, hidden), dtype=dtype)
    out = np.empty((steps, rows, hidden), dtype=dtype)
    cells = np.empty_like(out)
    _project(x, _by_gate(w_ih, bias, 4, _LSTM_ORDER, 3), gates)
    weight = _by_gate(w_hh, None, 4, _LSTM_ORDER, 3)
    product = np.empty((4, rows, hidden), dtype=dtype)
    spare = np.empty((rows, hidden), dtype=dtype)
    for t in range(steps - 1, -1, -1) if reverse else range(steps):
        now, cell = gates[t], cells[t]
        np.matmul(h, weight, out=product)
        np.add(now, product, out=now)
        np.tanh(now, out=now)
        _sigmoid_from_tanh(now[:3])
        np.multiply(now[1], c, out=cell)
        np.multiply(now[0], now[3], out=spare)
        np.add(cell, spare, out=cell)
        np.tanh(cell, out=spare)
        h, c = out[t], cell
        np.multiply(now[2], spare, out=h)
    return out, cells, gates


def lstm_back(
    x: Array,
    h: Array,
    c: Array,
    w_ih: Array,
    w_hh: Array,
    cells: Array,
    gates: Array,
    g_out: Array | None,
    g_cells: Array | None,
    reverse: bool,
) -> tuple[Array, ...]:
    """The gradients of x, h, c, w_ih, w_hh and the bias."""
    steps, rows, hidden = cells.shape
    slope = np.empty((steps, rows, 4, hidden), dtype=x.dtype)  # of the gates, in PyTorch's order
    before = np.empty_like(cells, order="C")  # the outputs, one step late
    of_cell = np.empty_like(before)  # how the cell state moves with the output
    start = steps - 1 if reverse else 0

    def local(a: int, b: int) -> None:
        """All that does not depend on the gradients: how each gate moves what it gates."""
        i, f, o, z = [gates[a:b, k] for k in range(4)]
        part, spare = slope[a:b], np.empty((b - a, rows, hidden), dtype=x.dtype)
        squashed = np.tanh(cells[a:b])
        for k, gate, partner in ((0, i, z), (3, o, squashed)):
            np.multiply(gate, gate, out=spare)
            np.subtract(gate, spare, out=spare)
            np.multiply(spare, partner, out=part[:, :, k])
        np.multiply(f, f, out=spare)
        np.subtract(f, spare, out=part[:, :, 1])  # times the cell state before, below
        np.multiply(z, z, out=spare)
        np.subtract(1, spare, out=spare)
        np.multiply(spare, i, out=part[:, :, 2])
        np.multiply(o, squashed, out=spare)
        if reverse:  # spare[k] is the output of step a + k, which comes before step a + k - 1
            first = 1 if a == 0 else 0
            before[a - 1 + first : b - 1] = spare[first:]
        else:
            before[a + 1 : b + 1] = spare[: min(b + 1, steps) - (a + 1)]
        np.multiply(squashed, squashed, out=spare)
        np.subtract(1, spare, out=spare)
        np.multiply(spare, o, out=of_cell[a:b])

    def forget(a: int, b: int) -> None:
        """The slope of the forget gate, which needs the cell state before each step."""
        earlier = cells[a + 1 : b + 1] if reverse else cells[max(a - 1, 0) : b - 1]
        later = slope[a : a + len(earlier), :, 1] if reverse else slope[b - len(earlier) : b, :, 1]
        np.multiply(later, earlier, out=later)

    _in_parts(local, steps, cells.size)
    _in_parts(forget, steps, cells.size)
    before[start] = h
    slope[start, :, 1] *= c

    gh, gc = (np.zeros((rows, hidden), dtype=x.dtype) for _ in range(2))
    spare = np.empty((rows, hidden), dtype=x.dtype)
    for t in range(steps) if reverse else range(steps - 1, -1, -1):
        part = slope[t].transpose(1, 0, 2)
        if g_out is not None:
            np.add(gh, g_out[t], out=gh)
        if g_cells is not None:
            np.add(gc, g_cells[t], out=gc)
        np.multiply(gh, of_cell[t], out=spare)
        np.add(gc, spare, out=gc)
        np.multiply(part[:3], gc, out=part[:3])
        np.multiply(part[3], gh, out=part[3])
        np.multiply(gc, gates[t, 1], out=gc)
        np.matmul(slope[t].reshape(rows, 4 * hidden), w_hh, out=gh)

    flat = slope.reshape(steps * rows, 4 * hidden)
    of_w_ih, of_bias = _weights_back(flat, x.reshape(steps * rows, -1))
    of_w_hh = matmul(flat.T, before.reshape(steps * rows, hidden))
    return _input_back(flat, w_ih, x.shape), gh, gc, of_w_ih, of_w_hh, of_bias


# ---- GRU ------------------------------------------------------------------------------------------------------------


def gru_forward(
    x: Array, h: Array, w_ih: Array, w_hh: Array, b_ih: Array | None, b_hh: Array | None, reverse: bool
) -> tuple[Array, Array, Array]:
    """Outputs, states before each step (T, N, H), and r, z, n and what r multiplies (T, 4, N, H)."""
    steps, (rows, hidden), dtype = len(x), h.shape, x.dtype
    gates = np.empty((steps, 4, rows, hidden), dtype=dtype)
    out = np.empty((steps, rows, hidden), dtype=dtype)
    both = None
    if b_ih is not None and b_hh is not None:
        both = b_ih.copy()
        both[: 2 * hidden] += b_hh[: 2 * hidden]
    _project(x, _by_gate(w_ih, both, 3, (0, 1, 2), 2), gates[:, :3])
    weight = _by_gate(w_hh, None, 3, (0, 1, 2), 2)
    own_bias = None if b_hh is None else np.repeat(b_hh[None, 2 * hidden :], rows, 0)
    product = np.empty((3, rows, hidden), dtype=dtype)
    spare = np.empty((rows, hidden), dtype=dtype)
    first = h
    for t in range(steps - 1, -1, -1) if reverse else range(steps):
        now = gates[t]
        first_two, new, multiplied = now[:2], now[2], now[3]
        np.matmul(h, weight, out=product)
        np.add(first_two, product[:2], out=first_two)
        np.tanh(first_two, out=first_two)
        _sigmoid_from_tanh(first_two)
        if own_bias is None:
            multiplied[...] = product[2]
        else:
            np.add(product[2], own_bias, out=multiplied)
        np.multiply(now[0], multiplied, out=spare)
        np.add(new, spare, out=new)
        np.tanh(new, out=new)
        np.subtract(h, new, out=spare)
        np.multiply(spare, now[1], out=spare)
        h = out[t]
        np.add(spare, new, out=h)
    befores = np.empty_like(out)
    if reverse:
        befores[-1], befores[:-1] = first, out[1:]
    else:
        befores[0], befores[1:] = first, out[:-1]
    return out, befores, gates


def gru_back(
    x: Array, w_ih: Array, w_hh: Array, befores: Array, gates: Array, g_out: Array, reverse: bool
) -> tuple[Array, ...]:
    """The gradients of x, h, both weights and both biases."""
    steps, rows, hidden = befores.shape
    slope = np.empty((steps, rows, 3, hidden), dtype=x.dtype)  # of r, z and what r multiplies
    of_new = np.empty((steps, rows, hidden), dtype=x.dtype)
    gradient = np.empty_like(of_new)  # of the output of each step

    def local(a: int, b: int) -> None:
        r, z, n, u = [gates[a:b, k] for k in range(4)]
        part, new = slope[a:b], of_new[a:b]
        spare, other = np.empty((2, b - a, rows, hidden), dtype=x.dtype)
        np.multiply(n, n, out=spare)
        np.subtract(1, spare, out=spare)
        np.subtract(1, z, out=other)
        np.multiply(spare, other, out=new)
        np.multiply(new, r, out=part[:, :, 2])
        np.multiply(r, r, out=spare)
        np.subtract(r, spare, out=spare)
        np.multiply(spare, u, out=spare)
        np.multiply(spare, new, out=part[:, :, 0])
        np.multiply(z, z, out=spare)
        np.subtract(z, spare, out=spare)
        np.subtract(befores[a:b], n, out=other)
        np.multiply(spare, other, out=part[:, :, 1])

    _in_parts(local, steps, befores.size)
    gh = np.zeros((rows, hidden), dtype=x.dtype)
    spare = np.empty((rows, hidden), dtype=x.dtype)
    for t in range(steps) if reverse else range(steps - 1, -1, -1):
        now, part = gradient[t], slope[t].transpose(1, 0, 2)
        np.add(gh, g_out[t], out=now)
        np.multiply(part, now, out=part)
        np.multiply(now, gates[t, 1], out=spare)
        np.matmul(slope[t].reshape(rows, 3 * hidden), w_hh, out=gh)
        np.add(gh, spare, out=gh)

    flat = slope.reshape(steps * rows, 3 * hidden)
    of_w_hh, of_b_hh = _weights_back(flat, befores.reshape(steps * rows, hidden))
    inputs = np.empty_like(slope)  # the same, but the slope of the new gate itself

    def finish(a: int, b: int) -> None:
        inputs[a:b, :, :2] = slope[a:b, :, :2]
        np.multiply(of_new[a:b], gradient[a:b], out=inputs[a:b, :, 2])

    _in_parts(finish, steps, befores.size)
    flat = inputs.reshape(flat.shape)
    of_w_ih, of_b_ih = _weights_back(flat, x.reshape(steps * rows, -1))
    return _input_back(flat, w_ih, x.shape), gh, of_w_ih, of_w_hh, of_b_ih, of_b_hh


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""
    xp = backend.xp

    @kernel("lstm_sequence", backend)
    def lstm(*tensors: Array, reverse: bool) -> Any:
        if len(tensors[0].shape) == 3 and _suits(*tensors):
            x, h, c, w_ih, w_hh, *bias = tensors
            return lstm_forward(x, h, c, w_ih, w_hh, bias[0] if bias else None, reverse)
        return FORWARDS["lstm_sequence"](xp, *tensors, reverse=reverse)

    @kernel("lstm_sequence_back", backend)
    def lstm_gradients(
        x: Array,
        h: Array,
        c: Array,
        w_ih: Array,
        w_hh: Array,
        cells: Array,
        gates: Array,
        g_out: Array | None = None,
        g_cells: Array | None = None,
        g_gates: Array | None = None,
        *,
        reverse: bool = False,
    ) -> Any:
        if g_gates is None and _suits(x, h, c, w_ih, w_hh, cells, gates, g_out, g_cells):
            return lstm_back(x, h, c, w_ih, w_hh, cells, gates, g_out, g_cells, reverse)
        return FORWARDS["lstm_sequence_back"](
            xp, x, h, c, w_ih, w_hh, cells, gates, g_out, g_cells, g_gates, reverse=reverse
        )

    @kernel("gru_sequence", backend)
    def gru(*tensors: Array, reverse: bool) -> Any:
        if len(tensors[0].shape) == 3 and _suits(*tensors):
            x, h, w_ih, w_hh, *biases = tensors
            b_ih, b_hh = biases or (None, None)
            return gru_forward(x, h, w_ih, w_hh, b_ih, b_hh, reverse)
        return FORWARDS["gru_sequence"](xp, *tensors, reverse=reverse)

    @kernel("gru_sequence_back", backend)
    def gru_gradients(
        x: Array,
        w_ih: Array,
        w_hh: Array,
        befores: Array,
        gates: Array,
        g_out: Array | None = None,
        g_befores: Array | None = None,
        g_gates: Array | None = None,
        *,
        reverse: bool = False,
    ) -> Any:
        only_out = g_out is not None and g_befores is None and g_gates is None
        if only_out and g_out is not None and _suits(x, w_ih, w_hh, befores, gates, g_out):
            return gru_back(x, w_ih, w_hh, befores, gates, g_out, reverse)
        return FORWARDS["gru_sequence_back"](
            xp, x, w_ih, w_hh, befores, gates, g_out, g_befores, g_gates, reverse=reverse
        )
