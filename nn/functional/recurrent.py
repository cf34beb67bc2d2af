"""Recurrent networks, as PyTorch's functions of a flat list of weights have them, and their single steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import traced as xp
from chainrule.autograd.public import FUNCTIONS, function
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn import recurrent_ops as recurrent_ops  # declares the gates' ops
from chainrule.nn import recurrent_sequences as recurrent_sequences  # and those of whole sequences
from chainrule.nn.functional.arguments import need_tensor
from chainrule.nn.functional.dropouts import dropout as drop
from chainrule.nn.functional.linear_maps import linear

State = tuple[Any, ...]
#: one step: the projected input, the state, and the weights of the state, to the new state (its first is the output)
Step = Callable[[Any, State, Any, Any, Any], State]


def _tanh_step(x: Any, state: State, w_hh: Any, b_hh: Any, w_hr: Any) -> State:
    return (xp.tanh(x + linear(state[0], w_hh, b_hh)),)


def _relu_step(x: Any, state: State, w_hh: Any, b_hh: Any, w_hr: Any) -> State:
    return (xp.relu(x + linear(state[0], w_hh, b_hh)),)


def _lstm_step(x: Any, state: State, w_hh: Any, b_hh: Any, w_hr: Any) -> State:
    h, c, _ = xp.lstm_gates(x + linear(state[0], w_hh, b_hh), state[1])
    return (h if w_hr is None else linear(h, w_hr), c)


def _gru_step(x: Any, state: State, w_hh: Any, b_hh: Any, w_hr: Any) -> State:
    return (xp.gru_gates(x, linear(state[0], w_hh, b_hh), state[0])[0],)


def _direction(step: Step, inputs: Sequence[Any], start: State, weights: Any, backwards: bool) -> tuple[Any, State]:
    """The outputs of all steps, in the order of the inputs, and the last state of every sequence.

    The inputs hold one row for each sequence that is still running; the longest sequences come first.
    """
    w_hh, b_hh, w_hr = weights
    sizes = [x._data.shape[0] for x in inputs]
    order = range(len(inputs) - 1, -1, -1) if backwards else range(len(inputs))
    state = tuple([s[: sizes[order[0]]] for s in start]) if sizes else start
    finished: list[State] = []
    outputs: list[Any] = [None] * len(inputs)
    for t in order:
        have = state[0]._data.shape[0]
        if sizes[t] < have:
            finished.append(tuple([s[sizes[t] :] for s in state]))
            state = tuple([s[: sizes[t]] for s in state])
        elif sizes[t] > have:
            state = tuple([FUNCTIONS["cat"]([s, s0[have : sizes[t]]], 0) for s, s0 in zip(state, start, strict=True)])
        state = step(inputs[t], state, w_hh, b_hh, w_hr)
        outputs[t] = state[0]
    if finished:
        pieces = [state, *reversed(finished)]
        state = tuple([FUNCTIONS["cat"](list(part), 0) for part in zip(*pieces, strict=True)])
    return outputs, state


def _whole(step: Step, data: Any, start: State, weights: Sequence[Any], backwards: bool) -> tuple[Any, State] | None:
    """A layer's outputs (T, N, H) and last state by one op, where there is one and everything fits it."""
    if step is not _lstm_step and step is not _gru_step:
        return None
    gates = 4 if step is _lstm_step else 3
    (_, rows, features), hidden = data._data.shape, start[0]._data.shape[-1]
    wanted = [(gates * hidden, features), (gates * hidden, hidden), (gates * hidden,), (gates * hidden,)]
    shapes = [w._data.shape for w in weights]
    tensors = [data, *start, *weights]
    if shapes != wanted[: len(shapes)] or any(s._data.shape != (rows, hidden) for s in start):
        return None  # the single steps say what is wrong
    if any(t._data.dtype != data._data.dtype for t in tensors) or dtypes.category(data._data.dtype) != 2:
        return None
    last = 0 if backwards else -1
    if step is _gru_step:
        out = xp.gru_sequence(*tensors, reverse=backwards)[0]
        return out, (out[last],)
    if len(weights) == 4:
        tensors = [*tensors[:-2], weights[2] + weights[3]]
    out, cells, _ = xp.lstm_sequence(*tensors, reverse=backwards)
    return out, (out[last], cells[last])


def _network(
    caller: str,
    step: Step,
    data: Any,
    sizes: list[int] | None,
    start: State,
    params: Sequence[Any],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
) -> tuple[Any, list[Any]]:
    """All layers: data (T, N, F), or packed (rows, F) with the number of running sequences at each step."""
    directions = 2 if bidirectional else 1
    projected = len(start) == 2 and start[0]._data.shape[-1] != start[1]._data.shape[-1]
    each = 2 + 2 * bool(has_biases) + projected
    for s in start:
        if s._data.ndim != 3 or s._data.shape[0] != num_layers * directions:
            raise RuntimeError(
                f"{caller}: hx must have shape ({num_layers * directions}, N, features), got {describe(s)}"
            )
    if len(params) != each * num_layers * directions:
        raise RuntimeError(
            f"{caller}: expected {each * num_layers * directions} params for {num_layers} layers, got {len(params)}"
        )
    states = []
    for layer in range(num_layers):
        outputs = []
        for d in range(directions):
            which = layer * directions + d
            own = params[which * each : (which + 1) * each]
            began = tuple([s[which] for s in start])
            whole = None if sizes is not None or projected else _whole(step, data, began, own, d == 1)
            if whole is not None:
                outputs.append(whole[0])
                states.append(whole[1])
                continue
            w_ih, w_hh, *rest = own
            b_ih, b_hh = rest[:2] if has_biases else (None, None)
            if b_ih is not None and step is not _gru_step:  # their sum, once; a gate of GRU multiplies a part of b_hh
                b_ih, b_hh = b_ih + b_hh, None
            x = linear(data, w_ih, b_ih)
            steps = FUNCTIONS["unbind"](x, 0) if sizes is None else FUNCTIONS["split"](x, sizes, 0)
            weights = (w_hh, b_hh, rest[-1] if projected else None)
            found, last = _direction(step, steps, began, weights, d == 1)
            outputs.append(FUNCTIONS["stack"](found, 0) if sizes is None else FUNCTIONS["cat"](found, 0))
            states.append(last)
        data = outputs[0] if directions == 1 else FUNCTIONS["cat"](outputs, -1)
        if dropout > 0.0 and train and layer + 1 < num_layers:
            data = drop(data, dropout)
    return data, [FUNCTIONS["stack"](list(part), 0) for part in zip(*states, strict=True)]


def _run(caller: str, step: Step, args: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    """Both of PyTorch's forms: (input, hx, params, ..., batch_first) and (data, batch_sizes, hx, params, ...)."""
    if len(args) != 9:
        raise TypeError(f"{caller}: expected 9 arguments, got {len(args)}")
    packed = isinstance(args[3], (list, tuple))
    if packed:
        data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional = args
        need_tensor(caller, data=data, batch_sizes=batch_sizes)
        host = np.asarray(batch_sizes._device.backend.to_host(batch_sizes._data))
        sizes: list[int] | None = [int(n) for n in host]
        if not sizes or (np.diff(host) > 0).any() or sum(sizes) != data._data.shape[0]:
            raise RuntimeError(
                f"{caller}: batch_sizes must not rise and sum to {data._data.shape[0]} rows, got {host.tolist()}"
            )
        first = False
    else:
        data, hx, params, has_biases, num_layers, dropout, train, bidirectional, first = args
        need_tensor(caller, input=data)
        sizes = None
        if data._data.ndim != 3 or not data._data.shape[1 if first else 0]:
            raise RuntimeError(f"{caller}: input must have 3 dimensions and a step, got {describe(data)}")
        data = FUNCTIONS["transpose"](data, 0, 1) if first else data
    start = tuple(hx) if count == 2 else (hx,)
    if len(start) != count:
        raise RuntimeError(f"{caller}: hx must hold {count} tensors, got {len(start)}")
    need_tensor(caller, **{f"hx[{i}]": s for i, s in enumerate(start)})
    rows = sizes[0] if sizes is not None else data._data.shape[1]
    for s in start:
        if s._data.ndim == 3 and s._data.shape[1] != rows:
            raise RuntimeError(f"{caller}: hx must have {rows} sequences in dimension 1, got {describe(s)}")
    out, states = _network(
        caller, step, data, sizes, start, params, has_biases, num_layers, dropout, train, bidirectional
    )
    return (FUNCTIONS["transpose"](out, 0, 1) if first else out, *states)


@function(method=False)
def lstm(*args: Any) -> tuple[Tensor, Tensor, Tensor]:
    """A long short-term memory network of one or more layers (Hochreiter and Schmidhuber, 1997).

    Called as in PyTorch, ``lstm(input, (h, c), params, has_biases, num_layers, dropout, train, bidirectional,
    batch_first)``, or with packed sequences ``lstm(data, batch_sizes, (h, c), params, has_biases, num_layers, dropout,
    train, bidirectional)``; gives the output and the last h and c.

    Raises RuntimeError when shapes do not fit.

    Example:
        >>> import chainrule as cr
        >>> params = [cr.ones(8, 3), cr.ones(8, 2), cr.zeros(8), cr.zeros(8)]
        >>> state = cr.zeros(1, 1, 2)
        >>> cr.lstm(cr.ones(4, 1, 3), (state, state), params, True, 1, 0.0, False, False, False)[0].shape
        (4, 1, 2)
    """
    return _run("lstm", _lstm_step, args, 2)


def _single(name: str, step: Step, gates: int, what: str) -> None:
    def network(*args: Any) -> tuple[Tensor, Tensor]:
        return _run(name, step, args, 1)

    network.__name__ = network.__qualname__ = name
    network.__doc__ = f"""{what}

    Called as in PyTorch, ``{name}(input, hx, params, has_biases, num_layers, dropout, train, bidirectional,
    batch_first)``, or with packed sequences ``{name}(data, batch_sizes, hx, params, has_biases, num_layers, dropout,
    train, bidirectional)``; gives the output and the last state.

    Raises RuntimeError when shapes do not fit.

    Example:
        >>> import chainrule as cr
        >>> params = [cr.ones({gates * 2}, 3), cr.ones({gates * 2}, 2)]
        >>> cr.{name}(cr.ones(4, 1, 3), cr.zeros(1, 1, 2), params, False, 1, 0.0, False, False, False)[0].shape
        (4, 1, 2)
    """
    function(name, method=False)(network)


_single("gru", _gru_step, 3, "A network of gated recurrent units (Cho et al., 2014).")
_single("rnn_tanh", _tanh_step, 1, "A recurrent network: ``tanh(w_ih @ x + b_ih + w_hh @ h + b_hh)`` at each step.")
_single("rnn_relu", _relu_step, 1, "A recurrent network: ``relu(w_ih @ x + b_ih + w_hh @ h + b_hh)`` at each step.")


@function(method=False)
def lstm_cell(
    input: Tensor,
    hx: Sequence[Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """A step of an LSTM: input (N, F) or (F) and the state (h, c) give the new h and c.

    Example:
        >>> import chainrule as cr
        >>> h = cr.zeros(1, 2)
        >>> cr.lstm_cell(cr.ones(1, 3), (h, h), cr.zeros(8, 3), cr.zeros(8, 2))[0]
        tensor([[0., 0.]])
    """
    h, c = _lstm_step(linear(input, w_ih, b_ih), tuple(hx), w_hh, b_hh, None)
    return h, c


def _cell(name: str, step: Step, gates: int, what: str) -> None:
    def cell(
        input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
    ) -> Tensor:
        return step(linear(input, w_ih, b_ih), (hx,), w_hh, b_hh, None)[0]

    cell.__name__ = cell.__qualname__ = name
    cell.__doc__ = f"""{what}: input (N, F) or (F) and state (N, H) or (H) give the new state.

    Example:
        >>> import chainrule as cr
        >>> cr.{name}(cr.ones(1, 3), cr.zeros(1, 2), cr.zeros({gates * 2}, 3), cr.zeros({gates * 2}, 2))
        tensor([[0., 0.]])
    """
    function(name, method=False)(cell)


_cell("gru_cell", _gru_step, 3, "A step of a gated recurrent unit")
_cell("rnn_tanh_cell", _tanh_step, 1, "A step of a recurrent network with tanh")
_cell("rnn_relu_cell", _relu_step, 1, "A step of a recurrent network with relu")
