"""The GRU over a whole sequence, built like the LSTM: each thread takes its rows of the batch through all steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.backends.base import Backend
from chainrule.backends.compiled import compiled_kernel
from chainrule.backends.compiled.jit import loop
from chainrule.backends.compiled.recurrent import add, copy, flat, parts_of, sigmoids, suits, tanhs, weights_back
from chainrule.backends.compiled.tiles import multiply_add, pack, padded
from chainrule.backends.pool import parallel

Array = np.ndarray
_one = np.float32(1)


@loop
def _gru_rows(given: Any, found: Any, scratch: Any, sizes: Any, a: Any, b: Any) -> None:
    """All steps of rows a to b; the scratch is (b - a, all columns) and (b - a, F + H).

    The columns are those of r and z, which take x and h; those of n, which take x; those of u, which take h.
    """
    x, h, of_both, of_x, of_h, bias = given
    out, befores, gates = found
    y, state = scratch
    steps, rows, features, hidden, both, own, reverse = sizes
    deep, gate, wide = features + hidden, rows * hidden, both + 2 * own
    for r in range(b - a):
        copy(h[(a + r) * hidden :], state[r * deep + features : (r + 1) * deep])
    for s in range(steps):
        t = steps - 1 - s if reverse else s
        for r in range(b - a):
            copy(x[(t * rows + a + r) * features :], state[r * deep : r * deep + features])
            copy(bias, y[r * wide : (r + 1) * wide])
        multiply_add(state, 0, deep, b - a, of_both, 0, deep, both, y, 0, wide)
        multiply_add(state, 0, deep, b - a, of_x, 0, features, own, y, both, wide)
        multiply_add(state, features, deep, b - a, of_h, 0, hidden, own, y, both + own, wide)
        for r in range(b - a):
            row, first = (t * rows + a + r) * hidden, (4 * t * rows + a + r) * hidden
            reset, update = gates[first:][:hidden], gates[first + gate :][:hidden]
            new, u = gates[first + 2 * gate :][:hidden], gates[first + 3 * gate :][:hidden]
            now = state[r * deep + features :][:hidden]
            copy(now, befores[row : row + hidden])
            sigmoids(y[r * wide :], reset)
            sigmoids(y[r * wide + hidden :], update)
            copy(y[r * wide + both + own :], u)
            sums = y[r * wide + both :][:hidden]
            for j in range(hidden):
                sums[j] += reset[j] * u[j]
            tanhs(sums, new)
            for j in range(hidden):
                now[j] = new[j] + update[j] * (now[j] - new[j])
            copy(now, out[row : row + hidden])


def gru_forward(
    x: Array, h: Array, w_ih: Array, w_hh: Array, b_ih: Array | None, b_hh: Array | None, reverse: bool
) -> tuple[Array, Array, Array]:
    """Outputs, states before each step (T, N, H), and r, z, n and what r multiplies (T, 4, N, H)."""
    (steps, rows, features), hidden = x.shape, h.shape[1]
    two, both, own = 2 * hidden, padded(2 * hidden), padded(hidden)
    weights = pack(np.concatenate([w_ih[:two].T, w_hh[:two].T])), pack(w_ih[two:].T), pack(w_hh[two:].T)
    bias = np.zeros(both + 2 * own, dtype=x.dtype)
    if b_ih is not None:
        bias[:two] += b_ih[:two]
        bias[both : both + hidden] = b_ih[two:]
    if b_hh is not None:
        bias[:two] += b_hh[:two]
        bias[both + own : both + own + hidden] = b_hh[two:]
    out, befores = (np.empty((steps, rows, hidden), dtype=x.dtype) for _ in range(2))
    gates = np.empty((steps, 4, rows, hidden), dtype=x.dtype)
    given = flat(x), flat(h), *weights, bias
    found = flat(out), flat(befores), flat(gates)
    parts = parts_of(rows, sum(w.size for w in weights))

    def run(i: int) -> None:
        a, b = parts[i]
        scratch = tuple([np.empty((b - a) * n, dtype=x.dtype) for n in (bias.size, features + hidden)])
        _gru_rows(given, found, scratch, (steps, rows, features, hidden, both, own, reverse), a, b)

    parallel(run, len(parts))
    return out, befores, gates


@loop
def _gru_rows_back(given: Any, found: Any, scratch: Any, sizes: Any, a: Any, b: Any) -> None:
    """All steps of rows a to b; the scratch is (b - a, padded H) and (b - a, padded F)."""
    w_hh, w_ih, befores, gates, g_out = given
    of_states, of_inputs, of_x, of_h = found
    back, of_row = scratch
    steps, rows, features, hidden, wide, wide_x, reverse = sizes
    gate = rows * hidden
    back[:] = 0
    for s in range(steps):
        t = s if reverse else steps - 1 - s
        for r in range(a, b):
            row, first = (t * rows + r) * hidden, (4 * t * rows + r) * hidden
            reset, update = gates[first:][:hidden], gates[first + gate :][:hidden]
            new, u = gates[first + 2 * gate :][:hidden], gates[first + 3 * gate :][:hidden]
            before, of_state = befores[row:][:hidden], back[(r - a) * wide :][:hidden]
            of_reset, of_update = of_states[3 * row :][:hidden], of_states[3 * row + hidden :][:hidden]
            of_u, of_new = of_states[3 * row + 2 * hidden :][:hidden], of_inputs[3 * row + 2 * hidden :][:hidden]
            add(g_out[row:], of_state)
            for j in range(hidden):
                of_new[j] = of_state[j] * (_one - update[j]) * (_one - new[j] * new[j])
            for j in range(hidden):
                of_u[j] = of_new[j] * reset[j]
            for j in range(hidden):
                of_reset[j] = of_new[j] * u[j] * (reset[j] - reset[j] * reset[j])
            for j in range(hidden):
                of_update[j] = of_state[j] * (before[j] - new[j]) * (update[j] - update[j] * update[j])
            for j in range(hidden):
                of_state[j] *= update[j]
            copy(of_states[3 * row :], of_inputs[3 * row :][: 2 * hidden])
        of_row[:] = 0
        at = 3 * (t * rows + a) * hidden
        multiply_add(of_states, at, 3 * hidden, b - a, w_hh, 0, 3 * hidden, wide, back, 0, wide)
        multiply_add(of_inputs, at, 3 * hidden, b - a, w_ih, 0, 3 * hidden, wide_x, of_row, 0, wide_x)
        for r in range(a, b):
            copy(of_row[(r - a) * wide_x :], of_x[(t * rows + r) * features :][:features])
    for r in range(a, b):
        copy(back[(r - a) * wide :], of_h[r * hidden : (r + 1) * hidden])


def gru_back(
    x: Array, w_ih: Array, w_hh: Array, befores: Array, gates: Array, g_out: Array, reverse: bool
) -> tuple[Array, ...]:
    """The gradients of x, h, both weights and both biases."""
    (steps, rows, features), hidden = x.shape, befores.shape[2]
    wide, wide_x = padded(hidden), padded(features)
    of_states, of_inputs = (np.empty((steps * rows, 3 * hidden), dtype=x.dtype) for _ in range(2))
    of_x, of_h = np.empty(x.shape, dtype=x.dtype), np.empty(befores.shape[1:], dtype=x.dtype)
    given = pack(w_hh), pack(w_ih), flat(befores), flat(gates), flat(g_out)
    found = flat(of_states), flat(of_inputs), flat(of_x), flat(of_h)
    parts = parts_of(rows, w_hh.size + w_ih.size)

    def run(i: int) -> None:
        a, b = parts[i]
        scratch = np.empty((b - a) * wide, dtype=x.dtype), np.empty((b - a) * wide_x, dtype=x.dtype)
        _gru_rows_back(given, found, scratch, (steps, rows, features, hidden, wide, wide_x, reverse), a, b)

    parallel(run, len(parts))
    of_w_hh, of_b_hh = weights_back(of_states, befores.reshape(steps * rows, hidden))
    of_w_ih, of_b_ih = weights_back(of_inputs, x.reshape(steps * rows, features))
    return of_x, of_h, of_w_ih, of_w_hh, of_b_ih, of_b_hh


def register(backend: Backend) -> None:
    """Make these the kernels of ``backend``."""

    @compiled_kernel("gru_sequence", backend)
    def gru(
        x: Array,
        h: Array,
        w_ih: Array,
        w_hh: Array,
        b_ih: Array | None = None,
        b_hh: Array | None = None,
        *,
        reverse: bool,
    ) -> Any:
        rows, hidden = h.shape
        weights = (w_ih, (3 * hidden, x.shape[-1])), (w_hh, (3 * hidden, hidden))
        biases = (b_ih, (3 * hidden,)), (b_hh, (3 * hidden,))
        if not suits(x, rows, (h, (rows, hidden)), *weights, *biases):
            return NotImplemented
        return gru_forward(x, h, w_ih, w_hh, b_ih, b_hh, reverse)

    @compiled_kernel("gru_sequence_back", backend)
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
        if g_out is None or g_befores is not None or g_gates is not None or befores.ndim != 3:
            return NotImplemented
        steps, rows, hidden = each = befores.shape
        weights = (w_ih, (3 * hidden, x.shape[-1])), (w_hh, (3 * hidden, hidden))
        saved = (befores, (len(x), rows, hidden)), (gates, (steps, 4, rows, hidden)), (g_out, each)
        if not suits(x, rows, *weights, *saved):
            return NotImplemented
        return gru_back(x, w_ih, w_hh, befores, gates, g_out, reverse)
