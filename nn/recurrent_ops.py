"""The gates of an LSTM and of a GRU as one op each: a step is one node where a composition has a dozen."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.samples import Sample, Samples, normal


def _parts(x: Any, count: int) -> list[Any]:
    n = x.shape[-1] // count
    return [x[..., k * n : (k + 1) * n] for k in range(count)]


def _plus(x: Any, y: Any) -> Any:
    """The sum of two gradients, of which one may be missing."""
    return y if x is None else x if y is None else x + y


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


# ---- LSTM -----------------------------------------------------------------------------------------------------------


def _lstm_reference(x: Any, c: Any) -> Any:
    i, f, z, o = _parts(x, 4)
    new = _sigmoid(f) * c + _sigmoid(i) * np.tanh(z)
    gates = np.concatenate([_sigmoid(i), _sigmoid(f), np.tanh(z), _sigmoid(o)], -1)
    return _sigmoid(o) * np.tanh(new), new, gates


def _lstm_cell_back(xp: Any, g: Any, o: Any, squashed: Any) -> Any:
    """The gradient of the new cell state, also through ``h = o * tanh(c)``."""
    through = None if g[0] is None else g[0] * o * (1 - squashed * squashed)
    total = _plus(through, g[1])
    return xp.zeros_like(squashed) if total is None else total


def _lstm_x_back(xp: Any, g: Any, c: Any, new: Any, gates: Any) -> Any:
    i, f, z, o = _parts(gates, 4)
    squashed = xp.tanh(new)
    gc = _lstm_cell_back(xp, g, o, squashed)
    of_gates = [None] * 4 if g[2] is None else _parts(g[2], 4)
    gi, gf, gz = [_plus(gc * y, own) for y, own in zip((z, c, i), of_gates, strict=False)]
    go = _plus(None if g[0] is None else g[0] * squashed, of_gates[3])
    go = xp.zeros_like(o) if go is None else go * o * (1 - o)
    return xp.concatenate(gi * i * (1 - i), gf * f * (1 - f), gz * (1 - z * z), go, axis=gates.ndim - 1)


def _lstm_c_back(xp: Any, g: Any, new: Any, gates: Any) -> Any:
    _, f, _, o = _parts(gates, 4)
    return _lstm_cell_back(xp, g, o, xp.tanh(new)) * f


@op(
    vjp={"x": _lstm_x_back, "c": _lstm_c_back},
    check=Samples(
        lambda rng: [Sample((normal(rng, *s, 8), normal(rng, *s, 2))) for s in ((3,), (), (0,))],
        reference=_lstm_reference,
    ),
    outputs=("h", "new", "gates"),
    missing="none",
    label="lstm",
)
def lstm_gates(xp: Any, x: Any, c: Any) -> Any:
    """``h = sigmoid(o) * tanh(c')`` and ``c' = sigmoid(f) * c + sigmoid(i) * tanh(z)`` of (i, f, z, o) in x (..., 4H).

    Also gives the gates after their functions, from which the gradient is computed.
    """
    n = c.shape[-1]
    squashed = xp.sigmoid(x)  # also where it is not needed: faster than on parts that do not lie together
    i, f, _, o = _parts(squashed, 4)
    z = xp.tanh(x[..., 2 * n : 3 * n])
    new = f * c + i * z
    return o * xp.tanh(new), new, xp.concatenate(squashed[..., : 2 * n], z, o, axis=x.ndim - 1)


# ---- GRU ------------------------------------------------------------------------------------------------------------


def _gru_reference(x: Any, u: Any, h: Any) -> Any:
    (a, b, c), (d, e, f) = _parts(x, 3), _parts(u, 3)
    r, z = _sigmoid(a + d), _sigmoid(b + e)
    n = np.tanh(c + r * f)
    return (h - n) * z + n, np.concatenate([r, z, n], -1)


def _gru_inner(xp: Any, g: Any, u: Any, h: Any, gates: Any) -> tuple[Any, Any, Any, Any]:
    """The gradients of what the three gates are functions of, and the reset gate."""
    r, z, n = _parts(gates, 3)
    gr, gz, gn = [None] * 3 if g[1] is None else _parts(g[1], 3)
    gz = _plus(None if g[0] is None else g[0] * (h - n), gz) * (z * (1 - z))
    gn = _plus(None if g[0] is None else g[0] * (1 - z), gn) * (1 - n * n)
    gr = _plus(gn * _parts(u, 3)[2], gr) * (r * (1 - r))
    return gr, gz, gn, r


def _gru_x_back(xp: Any, g: Any, u: Any, h: Any, gates: Any) -> Any:
    gr, gz, gn, _ = _gru_inner(xp, g, u, h, gates)
    return xp.concatenate(gr, gz, gn, axis=gates.ndim - 1)


def _gru_u_back(xp: Any, g: Any, u: Any, h: Any, gates: Any) -> Any:
    gr, gz, gn, r = _gru_inner(xp, g, u, h, gates)
    return xp.concatenate(gr, gz, gn * r, axis=gates.ndim - 1)


def _gru_h_back(xp: Any, g: Any, gates: Any) -> Any:
    z = _parts(gates, 3)[1]
    return xp.zeros_like(z) if g[0] is None else g[0] * z


@op(
    vjp={"x": _gru_x_back, "u": _gru_u_back, "h": _gru_h_back},
    check=Samples(
        lambda rng: [
            Sample((normal(rng, *s, 6), normal(rng, *s, 6), normal(rng, *s, 2))) for s in ((3,), (), (0,))
        ],
        reference=_gru_reference,
    ),
    outputs=("out", "gates"),
    missing="none",
    label="gru",
)
def gru_gates(xp: Any, x: Any, u: Any, h: Any) -> Any:
    """``(h - n) * z + n`` of the gates r, z and ``n = tanh(x_n + r * u_n)``, from (..., 3H) of the input and the state.

    Also gives the gates after their functions, from which the gradient is computed.
    """
    m = 2 * h.shape[-1]
    first = xp.sigmoid(x[..., :m] + u[..., :m])
    r, z = _parts(first, 2)
    n = xp.tanh(x[..., m:] + r * u[..., m:])
    return (h - n) * z + n, xp.concatenate(first, n, axis=x.ndim - 1)
