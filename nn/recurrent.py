"""Recurrent layers: RNN, LSTM and GRU over whole sequences."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

from chainrule.autograd.creation import empty
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F  # noqa: F401  (declares the functions used below)
from chainrule.nn import init
from chainrule.nn.module import Module
from chainrule.nn.packed_sequence import PackedSequence, permuted
from chainrule.nn.parameter import Parameter

#: rows of the weights for each hidden feature
_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


class RNNBase(Module):
    """What RNN, LSTM and GRU share: their parameters, and how sequences and states come in and go out.

    Layer k has ``weight_ih_lk``, ``weight_hh_lk``, ``bias_ih_lk``, ``bias_hh_lk`` and, with projections,
    ``weight_hr_lk``; the same with ``_reverse`` for the other direction.

    Args:
        mode: ``"RNN_TANH"``, ``"RNN_RELU"``, ``"LSTM"`` or ``"GRU"``.
        input_size: features of each step.
        hidden_size: features of the state.
        num_layers: layers, each on the outputs of the one before.
        bias: whether there are biases.
        batch_first: input and output are (N, T, features) instead of (T, N, features); the states stay
            (layers * directions, N, features).
        dropout: in training, applied to the outputs of all layers but the last.
        bidirectional: a second network runs from the end; the outputs of both are concatenated.
        proj_size: if positive, LSTM outputs are projected to as many features (Sak et al., 2014).

    Raises:
        ValueError: a size or ``dropout`` is out of range, or the mode is not known.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.RNNBase("GRU", 3, 4)(cr.zeros(5, 2, 3))[0].shape
        (5, 2, 4)
    """

    bias: bool

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        label = type(self).__name__
        if mode not in _GATES:
            raise ValueError(f"{label}: mode must be one of {', '.join(_GATES)}, got {mode!r}")
        for name, value, least in (
            ("input_size", input_size, 1),
            ("hidden_size", hidden_size, 1),
            ("num_layers", num_layers, 1),
            ("proj_size", proj_size, 0),
        ):
            if not isinstance(value, int):
                raise TypeError(f"{label}: {name} must be an int, got {describe(value)}")
            if value < least:
                raise ValueError(f"{label}: {name} must be at least {least}, got {value}")
        if proj_size >= hidden_size:
            raise ValueError(f"{label}: proj_size must be less than hidden_size {hidden_size}, got {proj_size}")
        if proj_size and mode != "LSTM":
            raise ValueError(f"{label}: proj_size is for LSTM only, got {proj_size}")
        if isinstance(dropout, bool) or not isinstance(dropout, numbers.Number) or not 0 <= dropout <= 1:
            raise ValueError(f"{label}: dropout must be a probability between 0 and 1, got {dropout!r}")
        if dropout and num_layers == 1:
            warnings.warn(
                f"{label}: dropout={dropout} stands between layers, and has no effect with num_layers=1", stacklevel=3
            )
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._all_weights: list[list[str]] = []
        directions = ("", "_reverse") if bidirectional else ("",)
        rows, outputs = _GATES[mode] * hidden_size, proj_size or hidden_size
        for layer in range(num_layers):
            inputs = outputs * len(directions) if layer else input_size
            for suffix in directions:
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, inputs), "weight_hh": (rows, outputs)}
                if bias:
                    shapes.update(bias_ih=(rows,), bias_hh=(rows,))
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                names = [f"{kind}_l{layer}{suffix}" for kind in shapes]
                for name, shape in zip(names, shapes.values(), strict=True):
                    self.register_parameter(name, Parameter(empty(*shape, device=device, dtype=dtype)))
                self._all_weights.append(names)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights and biases anew, uniform in ±1 / sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing; PyTorch lays out the memory of its parameters here."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters, as one list for each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights(self) -> list[Parameter]:
        return [getattr(self, name) for names in self._all_weights for name in names]

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Output of all steps, and the last state (for an LSTM a pair of them)."""
        packed = isinstance(input, PackedSequence)
        data: Any = input.data if packed else input
        self._check_input(data, packed)
        single = not packed and data._data.ndim == 2
        if single:
            data = data.unsqueeze(0 if self.batch_first else 1)
        batch = int(input.batch_sizes[0]) if packed else data._data.shape[0 if self.batch_first else 1]
        state: Any = self._start(hx, data, batch, single)
        order = input.sorted_indices if packed else None
        if hx is not None and order is not None:
            state = [permuted(s, order) for s in state]
        if self.mode != "LSTM":
            state = state[0]
        network = FUNCTIONS[self.mode.lower()]
        settings = (self._flat_weights, self.bias, self.num_layers, self.dropout, self.training, self.bidirectional)
        if packed:
            out, *last = network(data, input.batch_sizes, state, *settings)
            out = PackedSequence(out, input.batch_sizes, order, input.unsorted_indices)
            last = [permuted(s, input.unsorted_indices) for s in last]
        else:
            out, *last = network(data, state, *settings, self.batch_first)
        if single:
            out = out.squeeze(0 if self.batch_first else 1)
            last = [s.squeeze(1) for s in last]
        return out, (tuple(last) if self.mode == "LSTM" else last[0])

    def _check_input(self, data: Any, packed: bool) -> None:
        label = type(self).__name__
        if not isinstance(data, Tensor):
            raise TypeError(f"{label}: input must be a Tensor or a PackedSequence, got {describe(data)}")
        order = "N, T" if self.batch_first else "T, N"
        if data._data.ndim not in ((2,) if packed else (2, 3)):
            last = self.input_size
            shapes = f"(rows, {last})" if packed else f"({order}, {last}) or (T, {last})"
            raise ValueError(f"{label}: expected input of shape {shapes}, got {describe(data)}")
        if data._data.shape[-1] != self.input_size:
            raise RuntimeError(
                f"{label}: the last dimension of input must be input_size={self.input_size}, got {describe(data)}"
            )
        if not data._data.shape[1 if self.batch_first and data._data.ndim == 3 else 0]:
            raise RuntimeError(f"{label}: expected a sequence of at least one step, got {describe(data)}")
        weight = getattr(self, self._all_weights[0][0])
        if data.dtype != weight.dtype:
            raise ValueError(
                f"{label}: input must have the parameters' dtype {weight.dtype}, got {describe(data)}; convert one of "
                f"them with .to(dtype)"
            )

    def _start(self, hx: Any, data: Any, batch: int, single: bool) -> list[Tensor]:
        """The first state as tensors (layers * directions, N, features): the given one, checked, or zeros."""
        label = type(self).__name__
        count = self.num_layers * (2 if self.bidirectional else 1)
        widths = [self.proj_size or self.hidden_size] + [self.hidden_size] * (self.mode == "LSTM")
        if hx is None:
            device, dtype = data._device, data._data.dtype
            return [wrap(device.xp.zeros((count, batch, width), dtype=dtype), device) for width in widths]
        if len(widths) == 1:
            given, names = [hx], ["hx"]
        else:
            if not isinstance(hx, (tuple, list)) or len(hx) != 2:
                raise TypeError(f"{label}: hx must be a pair (h, c) of Tensors, got {describe(hx)}")
            given, names = list(hx), ["hx[0]", "hx[1]"]
        for name, value, width in zip(names, given, widths, strict=True):
            if not isinstance(value, Tensor):
                raise TypeError(f"{label}: {name} must be a Tensor, got {describe(value)}")
            expected = (count, width) if single else (count, batch, width)
            if tuple(value._data.shape) != expected:
                kind = "unbatched" if single else "batched"
                raise RuntimeError(
                    f"{label}: with {kind} input {name} must have shape {expected}, got {describe(value)}"
                )
            if value.dtype != data.dtype:
                raise ValueError(f"{label}: {name} must have the input's dtype {data.dtype}, got {describe(value)}")
        return [value.unsqueeze(1) for value in given] if single else given

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for name, default in (
            ("proj_size", 0),
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0.0),
            ("bidirectional", False),
        ):
            value = getattr(self, name)
            if value != default:
                text += f", {name}={value}"
        return text


class RNN(RNNBase):
    """A recurrent network: ``h = tanh(weight_ih @ x + bias_ih + weight_hh @ h + bias_hh)`` at each step (Elman, 1990).

    Input (T, N, input_size), (T, input_size), or a PackedSequence; gives the outputs of all steps (T, N, directions *
    hidden_size) and the last states (num_layers * directions, N, hidden_size). The first state ``hx`` is 0 unless
    given.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional: see :class:`RNNBase`.
        nonlinearity: ``"tanh"`` or ``"relu"``.

    Raises:
        ValueError: an argument is out of range. RuntimeError: input or ``hx`` do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> out, h = nn.RNN(3, 4, num_layers=2)(cr.zeros(5, 2, 3))
        >>> out.shape, h.shape
        ((5, 2, 4), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(
            f"RNN_{nonlinearity.upper()}",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor | PackedSequence, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        return super().forward(input, hx)


class LSTM(RNNBase):
    """A long short-term memory network (Hochreiter and Schmidhuber, 1997).

    Input (T, N, input_size), (T, input_size), or a PackedSequence; gives the outputs of all steps (T, N, directions *
    hidden_size) and the pair of last states ``(h, c)``, each (num_layers * directions, N, hidden_size). The first
    states ``hx = (h, c)`` are 0 unless given. With ``proj_size`` outputs and h have as many features instead.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size: see :class:`RNNBase`.

    Raises:
        ValueError: an argument is out of range. RuntimeError: input or ``hx`` do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> out, (h, c) = nn.LSTM(3, 4, batch_first=True, bidirectional=True)(cr.zeros(2, 5, 3))
        >>> out.shape, h.shape, c.shape
        ((2, 5, 8), (2, 2, 4), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )

    def forward(
        self, input: Tensor | PackedSequence, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        return super().forward(input, hx)


class GRU(RNNBase):
    """A network of gated recurrent units (Cho et al., 2014).

    Input (T, N, input_size), (T, input_size), or a PackedSequence; gives the outputs of all steps (T, N, directions *
    hidden_size) and the last states (num_layers * directions, N, hidden_size). The first state ``hx`` is 0 unless
    given.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional: see :class:`RNNBase`.

    Raises:
        ValueError: an argument is out of range. RuntimeError: input or ``hx`` do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> out, h = nn.GRU(3, 4)(cr.zeros(5, 3))
        >>> out.shape, h.shape
        ((5, 4), (1, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )

    def forward(self, input: Tensor | PackedSequence, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        return super().forward(input, hx)
