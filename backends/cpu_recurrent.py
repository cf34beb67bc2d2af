"""Layers of LSTM and GRU over a whole sequence on the CPU.

A step is one product and some ten calls in place on memory that fits the cache; all that does not depend on the step
before (the products with the inputs, the slopes of all gates, the gradients of the weights) is done for many steps in
a few large calls, on the threads that the steps leave free. The weights of sigmoid gates are negated beforehand, as
``sigmoid(x) = 1 / (1 + exp(-x))``: an exponential takes half the time of a tanh.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import Any

import numpy as np

from chainrule.backends.base import Backend, kernel
from chainrule.backends.cpu_matmul import matmul
from chainrule.backends.namespace import FORWARDS
from chainrule.backends.pool import parallel, ranges

Array = np.ndarray

#: Elements (T * N * H) from which on the large calls are shared between threads.
_WORTH = 1 << 16

#: Pieces of a sequence whose gradients are handed on as soon as the steps are through, and the most numbers that
#: the sums of all pieces may take.
_PIECES = 5
_MOST = 1 << 22

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


def _by_gate(weight: Array, bias: Array | None, gates: int, order: tuple[int, ...], negated: int) -> Array:
    """(gates * H, F) as (gates, F, H), a bias as one row more; the first ``negated`` of ``order`` change their sign."""
    rows, features = weight.shape
    out = np.empty((gates, features + (bias is not None), rows // gates), dtype=weight.dtype)
    for k, source in enumerate(order):
        part = slice(source * out.shape[2], (source + 1) * out.shape[2])
        out[k, :features] = weight[part].T
        if bias is not None:
            out[k, features] = bias[part]
    np.negative(out[:negated], out=out[:negated])
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


def _sigmoid_of_negated(x: Array, out: Array) -> None:
    """``1 / (1 + exp(x))``, which uses up x; where the exponential is infinite the result is 0."""
    np.exp(x, out=x)
    np.add(x, 1, out=x)
    np.divide(1, x, out=out)


def _rows(x: Array) -> Array:
    """(T, N, F) as (T * N, F)."""
    return x.reshape(-1, x.shape[-1])


class _Sums:
    """``slope.T @ values`` and the sums of the slopes, over all steps: one part for each piece of the sequence."""

    def __init__(self, pieces: int, slope: Array, values: Array) -> None:
        self.slope, self.values = slope, values
        self.product = matmul if pieces == 1 else np.matmul  # on all threads, or inside one of them
        rows, columns = slope.shape[-1], values.shape[-1]
        self.products = np.empty((pieces, rows, columns), dtype=slope.dtype)
        self.sums = np.empty((pieces, rows), dtype=slope.dtype)

    def add(self, piece: int, a: int, b: int) -> None:
        slope, values = _rows(self.slope[a:b]), _rows(self.values[a:b])
        self.products[piece] = self.product(slope.T, values)
        np.matmul(np.ones(len(slope), dtype=slope.dtype), slope, out=self.sums[piece])

    def total(self) -> tuple[Array, Array]:
        return np.add.reduce(self.products, 0), np.add.reduce(self.sums, 0)


def _pieces(steps: int, size: int, weights: int, reverse: bool) -> list[tuple[int, int]]:
    """Ranges of the steps in the order in which the gradient goes through them."""
    pieces = ranges(steps, max(1, min(_PIECES, _MOST // weights)) if size >= _WORTH else 1)
    return pieces if reverse else pieces[::-1]


def _backward(
    prepare: Callable[[int, int], None],
    go: Callable[[int, int], None],
    finish: Callable[[int, int, int], None],
    pieces: list[tuple[int, int]],
    size: int,
) -> None:
    """``prepare`` all steps, ``go`` through the pieces in their order, and ``finish`` each piece that is through.

    The steps take one thread, the others finish meanwhile; what waits, waits for items that a thread has taken before.
    """
    parts = ranges(max(b for _, b in pieces), 2 if size >= _WORTH else 1)
    prepared, through = ([Event() for _ in some] for some in (parts, pieces))

    def run(i: int) -> None:
        if i < len(parts):
            try:
                prepare(*parts[i])
            finally:
                prepared[i].set()
        elif i == len(parts):
            try:
                for event in prepared:
                    event.wait()
                for piece, event in zip(pieces, through, strict=True):
                    go(*piece)
                    event.set()
            finally:  # nobody waits for what will not come
                for event in through:
                    event.set()
        else:
            k = i - len(parts) - 1
            through[k].wait()
            finish(k, *pieces[k])

    if len(pieces) == 1:  # its products are split for the threads
        parallel(run, len(parts) + 1)
        finish(0, *pieces[0])
    else:
        parallel(run, len(parts) + 1 + len(pieces))


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
    with np.errstate(over="ignore"):
        for t in range(steps - 1, -1, -1) if reverse else range(steps):
            now, cell = gates[t], cells[t]
            i, f, o, z = now
            np.matmul(h, weight, out=product)
            np.add(now, product, out=product)
            _sigmoid_of_negated(product[:3], now[:3])
            np.tanh(product[3], out=z)
            np.multiply(f, c, out=cell)
            np.multiply(i, z, out=spare)
            np.add(cell, spare, out=cell)
            np.tanh(cell, out=spare)
            h, c = out[t], cell
            np.multiply(o, spare, out=h)
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
    (steps, rows, hidden), dtype = cells.shape, x.dtype
    slope = np.empty((steps, rows, 4, hidden), dtype=dtype)  # of the gates, in PyTorch's order
    before = np.empty(cells.shape, dtype=dtype)  # the outputs, one step late
    of_cell = np.empty_like(before)  # how the cell state moves with the output
    start, late = (steps - 1, -1) if reverse else (0, 1)
    before[start] = h

    def prepare(a: int, b: int) -> None:
        """All that does not depend on the gradients: how each gate moves what it gates."""
        i, f, o, z = [gates[a:b, k] for k in range(4)]
        part, (spare, output) = slope[a:b], np.empty((2, b - a, rows, hidden), dtype=dtype)
        np.subtract(1, i, out=spare)
        np.multiply(spare, i, out=spare)
        np.multiply(spare, z, out=part[:, :, 0])
        np.subtract(1, f, out=spare)
        np.multiply(spare, f, out=spare)
        first, end = max(a, late), min(b, steps + late)  # the steps that have one before them
        np.multiply(spare[first - a : end - a], cells[first - late : end - late], out=slope[first:end, :, 1])
        if a <= start < b:
            np.multiply(spare[start - a], c, out=slope[start, :, 1])
        np.multiply(z, z, out=spare)
        np.subtract(1, spare, out=spare)
        np.multiply(spare, i, out=part[:, :, 2])
        np.tanh(cells[a:b], out=spare)
        np.multiply(o, spare, out=output)
        np.multiply(output, spare, out=spare)
        np.subtract(o, spare, out=of_cell[a:b])
        np.subtract(1, o, out=spare)
        np.multiply(spare, output, out=part[:, :, 3])
        first, end = max(a + late, 0), min(b + late, steps)
        before[first:end] = output[first - late - a : end - late - a]

    gh, gc = (np.zeros((rows, hidden), dtype=dtype) for _ in range(2))
    spare = np.empty((rows, hidden), dtype=dtype)

    def go(a: int, b: int) -> None:
        for t in range(a, b) if reverse else range(b - 1, a - 1, -1):
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

    pieces = _pieces(steps, cells.size, w_ih.size + w_hh.size, reverse)
    flat = slope.reshape(steps, rows, 4 * hidden)
    of_x = np.empty(x.shape, dtype=dtype)
    of_w_ih, of_w_hh = (_Sums(len(pieces), flat, values) for values in (x, before))

    def finish(k: int, a: int, b: int) -> None:
        _rows(of_x[a:b])[...] = of_w_ih.product(_rows(flat[a:b]), w_ih)
        of_w_ih.add(k, a, b)
        of_w_hh.add(k, a, b)

    _backward(prepare, go, finish, pieces, cells.size)
    of_weight, of_bias = of_w_ih.total()
    return of_x, gh, gc, of_weight, of_w_hh.total()[0], of_bias


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
    with np.errstate(over="ignore"):
        for t in range(steps - 1, -1, -1) if reverse else range(steps):
            now = gates[t]
            r, z, new, multiplied = now
            np.matmul(h, weight, out=product)
            np.add(now[:2], product[:2], out=product[:2])
            _sigmoid_of_negated(product[:2], now[:2])
            if own_bias is None:
                multiplied[...] = product[2]
            else:
                np.add(product[2], own_bias, out=multiplied)
            np.multiply(r, multiplied, out=spare)
            np.add(new, spare, out=new)
            np.tanh(new, out=new)
            np.subtract(h, new, out=spare)
            np.multiply(spare, z, out=spare)
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
    (steps, rows, hidden), dtype = befores.shape, x.dtype
    slope = np.empty((steps, rows, 3, hidden), dtype=dtype)  # of r, z and what r multiplies
    of_new = np.empty((steps, rows, hidden), dtype=dtype)
    gradient = np.empty_like(of_new)  # of the output of each step

    def prepare(a: int, b: int) -> None:
        r, z, n, u = [gates[a:b, k] for k in range(4)]
        part, new = slope[a:b], of_new[a:b]
        spare, other = np.empty((2, b - a, rows, hidden), dtype=dtype)
        np.multiply(n, n, out=spare)
        np.subtract(1, spare, out=spare)
        np.subtract(1, z, out=other)
        np.multiply(spare, other, out=new)
        np.multiply(new, r, out=part[:, :, 2])
        np.multiply(other, z, out=other)
        np.subtract(befores[a:b], n, out=spare)
        np.multiply(spare, other, out=part[:, :, 1])
        np.subtract(1, r, out=spare)
        np.multiply(spare, r, out=spare)
        np.multiply(spare, u, out=spare)
        np.multiply(spare, new, out=part[:, :, 0])

    gh = np.zeros((rows, hidden), dtype=dtype)
    spare = np.empty((rows, hidden), dtype=dtype)

    def go(a: int, b: int) -> None:
        for t in range(a, b) if reverse else range(b - 1, a - 1, -1):
            now, part = gradient[t], slope[t].transpose(1, 0, 2)
            np.add(gh, g_out[t], out=now)
            np.multiply(part, now, out=part)
            np.multiply(now, gates[t, 1], out=spare)
            np.matmul(slope[t].reshape(rows, 3 * hidden), w_hh, out=gh)
            np.add(gh, spare, out=gh)

    pieces = _pieces(steps, befores.size, w_ih.size + w_hh.size, reverse)
    inputs = np.empty_like(slope)  # the same, but the slope of the new gate itself
    of_h, of_inputs = [s.reshape(steps, rows, 3 * hidden) for s in (slope, inputs)]
    of_x = np.empty(x.shape, dtype=dtype)
    of_w_ih, of_w_hh = _Sums(len(pieces), of_inputs, x), _Sums(len(pieces), of_h, befores)

    def finish(k: int, a: int, b: int) -> None:
        inputs[a:b, :, :2] = slope[a:b, :, :2]
        np.multiply(of_new[a:b], gradient[a:b], out=inputs[a:b, :, 2])
        _rows(of_x[a:b])[...] = of_w_ih.product(_rows(of_inputs[a:b]), w_ih)
        of_w_ih.add(k, a, b)
        of_w_hh.add(k, a, b)

    _backward(prepare, go, finish, pieces, befores.size)
    (of_w_ih_total, of_b_ih), (of_w_hh_total, of_b_hh) = of_w_ih.total(), of_w_hh.total()
    return of_x, gh, of_w_ih_total, of_w_hh_total, of_b_ih, of_b_hh


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
