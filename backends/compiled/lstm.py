"""The LSTM over a whole sequence: each thread takes its rows of the batch through all steps.

A step is one product with [x, h], whose weights stand above each other, then loops over one row of the gates at a time:
all that a step touches but its results is in the cache of the core. What is left for large products of all steps are
the gradients of the weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel
from chainrule.backends.compiled.elementary import tanh
from chainrule.backends.compiled.jit import loop
from chainrule.backends.compiled.recurrent import add, copy, flat, parts_of, sigmoids, suits, tanhs, weights_back
from chainrule.backends.compiled.tiles import multiply_add, pack, padded
from chainrule.backends.cpu_matmul import matmul
from chainrule.backends.pool import parallel

Array = np.ndarray
_one = np.float32(1)


@loop
def _lstm_rows(given: Any, found: Any, scratch: Any, sizes: Any, a: Any, b: Any) -> None:
    """All steps of rows a to b; the scratch is (b - a, wide), (b - a, F + H) and (b - a, H)."""
    x, h, c, weight, bias = given
    out, cells, gates = found
    z, state, cell = scratch
    steps, rows, features, hidden, wide, reverse = sizes
    deep, gate = features + hidden, rows * hidden
    for r in range(b - a):
        copy(h[(a + r) * hidden :], state[r * deep + features : (r + 1) * deep])
        copy(c[(a + r) * hidden :], cell[r * hidden : (r + 1) * hidden])
    for s in range(steps):
        t = steps - 1 - s if reverse else s
        for r in range(b - a):
            copy(x[(t * rows + a + r) * features :], state[r * deep : r * deep + features])
            copy(bias, z[r * wide : (r + 1) * wide])
        multiply_add(state, 0, deep, b - a, weight, 0, deep, wide, z, 0, wide)
        for r in range(b - a):
            row, first = (t * rows + a + r) * hidden, (4 * t * rows + a + r) * hidden
            i, f = gates[first:][:hidden], gates[first + gate :][:hidden]
            o, n = gates[first + 2 * gate :][:hidden], gates[first + 3 * gate :][:hidden]
            now, old = z[r * wide :], cell[r * hidden :][:hidden]
            new = state[r * deep + features :][:hidden]
            sigmoids(now, i)
            sigmoids(now[hidden:], f)
            tanhs(now[2 * hidden :], n)
            sigmoids(now[3 * hidden :], o)
            for j in range(hidden):
                old[j] = f[j] * old[j] + i[j] * n[j]
            for j in range(hidden):
                new[j] = o[j] * tanh(old[j])
            copy(old, cells[row : row + hidden])
            copy(new, out[row : row + hidden])


def lstm_forward(
    x: Array, h: Array, c: Array, w_ih: Array, w_hh: Array, bias: Array | None, reverse: bool
) -> tuple[Array, Array, Array]:
    """Outputs, cell states (T, N, H) and gates i, f, o, z (T, 4, N, H)."""
    (steps, rows, features), hidden = x.shape, h.shape[1]
    wide, deep = padded(4 * hidden), features + hidden
    weight = pack(np.concatenate([w_ih.T, w_hh.T]))
    wide_bias = np.zeros(wide, dtype=x.dtype)
    if bias is not None:
        wide_bias[: 4 * hidden] = bias
    out, cells = (np.empty((steps, rows, hidden), dtype=x.dtype) for _ in range(2))
    gates = np.empty((steps, 4, rows, hidden), dtype=x.dtype)
    given = flat(x), flat(h), flat(c), weight, wide_bias
    found = flat(out), flat(cells), flat(gates)
    parts = parts_of(rows, weight.size)

    def run(i: int) -> None:
        a, b = parts[i]
        scratch = tuple([np.empty((b - a) * n, dtype=x.dtype) for n in (wide, deep, hidden)])
        _lstm_rows(given, found, scratch, (steps, rows, features, hidden, wide, reverse), a, b)

    parallel(run, len(parts))
    return out, cells, gates


@loop
def _lstm_rows_back(given: Any, found: Any, scratch: Any, sizes: Any, a: Any, b: Any) -> None:
    """All steps of rows a to b; the scratch is (b - a, wide) and (H); g_out and g_cells may be empty."""
    h, c, weight, cells, gates, g_out, g_cells = given
    slope, before, of_x, of_h, of_c = found
    back, squashed = scratch
    steps, rows, features, hidden, wide, reverse = sizes
    gate = rows * hidden
    back[:] = 0
    of_c[a * hidden : b * hidden] = 0
    for s in range(steps - 1, -1, -1):
        t = steps - 1 - s if reverse else s
        earlier, later = (t + 1, t - 1) if reverse else (t - 1, t + 1)
        for r in range(a, b):
            row, first = (t * rows + r) * hidden, (4 * t * rows + r) * hidden
            i, f = gates[first:][:hidden], gates[first + gate :][:hidden]
            o, n = gates[first + 2 * gate :][:hidden], gates[first + 3 * gate :][:hidden]
            of_i, of_f = slope[4 * row :][:hidden], slope[4 * row + hidden :][:hidden]
            of_n, of_o = slope[4 * row + 2 * hidden :][:hidden], slope[4 * row + 3 * hidden :][:hidden]
            of_cell, of_state = of_c[r * hidden :][:hidden], back[(r - a) * wide :][:hidden]
            if g_out.size:
                add(g_out[row:], of_state)
            if g_cells.size:
                add(g_cells[row:], of_cell)
            old = c[r * hidden :][:hidden] if s == 0 else cells[(earlier * rows + r) * hidden :][:hidden]
            tanhs(cells[row:], squashed)
            for j in range(hidden):
                of_cell[j] += of_state[j] * o[j] * (_one - squashed[j] * squashed[j])
            for j in range(hidden):
                of_o[j] = of_state[j] * squashed[j] * (o[j] - o[j] * o[j])
            for j in range(hidden):
                of_i[j] = of_cell[j] * n[j] * (i[j] - i[j] * i[j])
            for j in range(hidden):
                of_n[j] = of_cell[j] * i[j] * (_one - n[j] * n[j])
            for j in range(hidden):
                of_f[j] = of_cell[j] * old[j] * (f[j] - f[j] * f[j])
            for j in range(hidden):
                of_cell[j] *= f[j]
            if s < steps - 1:
                state = before[(later * rows + r) * hidden :][:hidden]
                for j in range(hidden):
                    state[j] = o[j] * squashed[j]
            if s == 0:
                copy(h[r * hidden :], before[row : row + hidden])
        back[:] = 0
        multiply_add(slope, 4 * (t * rows + a) * hidden, 4 * hidden, b - a, weight, 0, 4 * hidden, wide, back, 0, wide)
        for r in range(a, b):
            copy(back[(r - a) * wide + hidden :], of_x[(t * rows + r) * features :][:features])
    for r in range(a, b):
        copy(back[(r - a) * wide :], of_h[r * hidden : (r + 1) * hidden])


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
    (steps, rows, features), hidden = x.shape, h.shape[1]
    wide = padded(hidden + features)
    weight = pack(w_hh, w_ih)
    slope, before = (np.empty((steps * rows, n), dtype=x.dtype) for n in (4 * hidden, hidden))
    of_x, of_h, of_c = (np.empty(shape, dtype=x.dtype) for shape in (x.shape, h.shape, h.shape))
    gradients = [np.empty(0, dtype=x.dtype) if g is None else flat(g) for g in (g_out, g_cells)]
    given = flat(h), flat(c), weight, flat(cells), flat(gates), *gradients
    found = flat(slope), flat(before), flat(of_x), flat(of_h), flat(of_c)
    parts = parts_of(rows, weight.size)

    def run(i: int) -> None:
        a, b = parts[i]
        scratch = np.empty((b - a) * wide, dtype=x.dtype), np.empty(hidden, dtype=x.dtype)
        _lstm_rows_back(given, found, scratch, (steps, rows, features, hidden, wide, reverse), a, b)

    parallel(run, len(parts))
    of_w_ih, of_bias = weights_back(slope, x.reshape(steps * rows, features))
    return of_x, of_h, of_c, of_w_ih, matmul(slope.T, before), of_bias


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""

    @compiled_kernel("lstm_sequence", backend)
    def lstm(
        x: Array, h: Array, c: Array, w_ih: Array, w_hh: Array, bias: Array | None = None, *, reverse: bool
    ) -> Any:
        rows, hidden = h.shape
        weights = (w_ih, (4 * hidden, x.shape[-1])), (w_hh, (4 * hidden, hidden)), (bias, (4 * hidden,))
        if not suits(x, rows, (h, (rows, hidden)), (c, (rows, hidden)), *weights):
            return NotImplemented
        return lstm_forward(x, h, c, w_ih, w_hh, bias, reverse)

    @compiled_kernel("lstm_sequence_back", backend)
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
        rows, hidden = h.shape
        weights = (w_ih, (4 * hidden, x.shape[-1])), (w_hh, (4 * hidden, hidden))
        each = len(x), rows, hidden
        saved = (cells, each), (gates, (len(x), 4, rows, hidden)), (g_out, each), (g_cells, each)
        if g_gates is not None or not suits(x, rows, (h, (rows, hidden)), (c, (rows, hidden)), *weights, *saved):
            return NotImplemented
        return lstm_back(x, h, c, w_ih, w_hh, cells, gates, g_out, g_cells, reverse)
