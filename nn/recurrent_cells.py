"""Recurrent cells: a single step of an RNN, an LSTM or a GRU."""

from __future__ import annotations

import math
from typing import Any

from chainrule.autograd.creation import empty
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F  # noqa: F401  (declares the functions used below)
from chainrule.nn import init
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter


class RNNCellBase(Module):
    """What the cells share: ``weight_ih``, ``weight_hh``, ``bias_ih`` and ``bias_hh``.

    Args:
        input_size, hidden_size: features of the input and of the state.
        bias: whether there are biases.
        num_chunks: rows of the weights for each hidden feature.

    Raises:
        ValueError: a size is out of range.

    Example:
        >>> from chainrule import nn
        >>> list(nn.RNNCellBase(3, 4, bias=False, num_chunks=2).state_dict())
        ['weight_ih', 'weight_hh']
    """

    bias: bool
    nonlinearity: str
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        if input_size < 0 or hidden_size < 1:
            raise ValueError(
                f"{type(self).__name__}: input_size must not be negative and hidden_size must be positive, got "
                f"{input_size} and {hidden_size}"
            )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(empty(rows, input_size, device=device, dtype=dtype))
        self.weight_hh = Parameter(empty(rows, hidden_size, device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty(rows, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights and biases anew, uniform in ±1 / sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if "nonlinearity" in self.__dict__ and self.nonlinearity != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text

    def _step(self, function: str, input: Any, state: Any, names: tuple[str, ...]) -> Any:
        """One step with the state (a tuple of tensors, or None for zeros), after a look at the shapes."""
        label = type(self).__name__
        if not isinstance(input, Tensor):
            raise TypeError(f"{label}: input must be a Tensor, got {describe(input)}")
        shape = tuple(input._data.shape)
        if len(shape) not in (1, 2) or shape[-1] != self.input_size:
            width = self.input_size
            raise ValueError(f"{label}: expected input of shape (N, {width}) or ({width},), got {describe(input)}")
        expected = (*shape[:-1], self.hidden_size)
        if state is None:
            zeros = wrap(input._device.xp.zeros(expected, dtype=input._data.dtype), input._device)
            state = (zeros,) * len(names)
        for name, value in zip(names, state, strict=True):
            if not isinstance(value, Tensor):
                raise TypeError(f"{label}: {name} must be a Tensor, got {describe(value)}")
            if tuple(value._data.shape) != expected:
                raise ValueError(f"{label}: {name} must have shape {expected}, got {describe(value)}")
        return FUNCTIONS[function](
            input,
            state if len(names) > 1 else state[0],
            self.weight_ih,
            self.weight_hh,
            self.bias_ih,
            self.bias_hh,
        )


class RNNCell(RNNCellBase):
    """``tanh(weight_ih @ x + bias_ih + weight_hh @ h + bias_hh)``: one step of an :class:`RNN`.

    Input (N, input_size) or (input_size), state ``hx`` (N, hidden_size) or (hidden_size), 0 unless given; gives the new
    state.

    Args:
        input_size, hidden_size: features of the input and of the state.
        bias: whether there are biases.
        nonlinearity: ``"tanh"`` or ``"relu"``.

    Raises:
        ValueError: an argument is out of range, or shapes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.RNNCell(3, 4)(cr.zeros(2, 3)).shape
        (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNNCell: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(f"rnn_{self.nonlinearity}_cell", input, None if hx is None else (hx,), ("hx",))


class LSTMCell(RNNCellBase):
    """One step of an :class:`LSTM`.

    Input (N, input_size) or (input_size), state ``hx = (h, c)``, each (N, hidden_size) or (hidden_size), 0 unless
    given; gives the new pair.

    Args:
        input_size, hidden_size: features of the input and of the state.
        bias: whether there are biases.

    Raises:
        ValueError: a size is out of range, or shapes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> h, c = nn.LSTMCell(3, 4)(cr.zeros(2, 3))
        >>> h.shape, c.shape
        ((2, 4), (2, 4))
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            raise TypeError(f"LSTMCell: hx must be a pair (h, c) of Tensors, got {describe(hx)}")
        return self._step("lstm_cell", input, hx, ("hx[0]", "hx[1]"))


class GRUCell(RNNCellBase):
    """One step of a :class:`GRU`.

    Input (N, input_size) or (input_size), state ``hx`` (N, hidden_size) or (hidden_size), 0 unless given; gives the new
    state.

    Args:
        input_size, hidden_size: features of the input and of the state.
        bias: whether there are biases.

    Raises:
        ValueError: a size is out of range, or shapes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.GRUCell(3, 4)(cr.zeros(3)).shape
        (4,)
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step("gru_cell", input, None if hx is None else (hx,), ("hx",))
