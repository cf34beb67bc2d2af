"""What the constructors of distributions share: numbers and tensors together, and parameters computed on demand."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import chainrule as cr
from chainrule.autograd.modes import enable_grad
from chainrule.autograd.queries import finfo
from chainrule.autograd.random import open_uniform as open_uniform
from chainrule.autograd.tensor import Size, Tensor
from chainrule.nn import functional as F

#: a parameter of a distribution
Parameter = Tensor | float
#: what ``sample`` and its kin take
Shape = Size | tuple[int, ...] | list[int]


def broadcast_all(caller: str, /, **values: Any) -> tuple[Tensor, ...]:
    """The named arguments as floating-point tensors of one shape.

    Numbers take the dtype and device of the first tensor, or the default ones where there is none.

    Raises:
        TypeError: an argument is neither a number nor a floating-point tensor.

    Example:
        >>> import chainrule as cr
        >>> broadcast_all("f", loc=cr.zeros(2), scale=1)
        (tensor([0., 0.]), tensor([1., 1.]))
    """
    for name, value in values.items():
        if isinstance(value, Tensor):
            if not value.is_floating_point():
                raise TypeError(
                    f"{caller}: argument {name!r} must be a floating-point tensor, got {value.dtype}; "
                    "convert it with .float()"
                )
        elif not isinstance(value, numbers.Number):
            raise TypeError(f"{caller}: argument {name!r} must be a Tensor or a number, got {type(value).__name__}")
    like = next((v for v in values.values() if isinstance(v, Tensor)), None)
    if like is None:
        return tuple([cr.tensor(float(v)) for v in values.values()])
    tensors = [
        v if isinstance(v, Tensor) else cr.tensor(float(v), dtype=like.dtype, device=like.device)
        for v in values.values()
    ]
    return tuple(cr.broadcast_tensors(*tensors))


def one_of(caller: str, /, **values: Any) -> str:
    """The name of the one argument that was given.

    Raises:
        ValueError: none was given, or more than one.

    Example:
        >>> one_of("Bernoulli", probs=0.5, logits=None)
        'probs'
    """
    given = [name for name, value in values.items() if value is not None]
    if len(given) != 1:
        wanted = ", ".join(values)
        raise ValueError(f"{caller}: expected exactly one of {wanted}, got {' and '.join(given) or 'none'}")
    return given[0]


class lazy_property:
    """A parameter that is computed from others when it is first read, with its graph even inside ``no_grad``.

    Example:
        >>> class Twice:
        ...     x = 2
        ...     y = lazy_property(lambda self: 2 * self.x)
        >>> Twice().y
        4
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        with enable_grad():
            value = self.function(instance)
        instance.__dict__[self.name] = value  # from now on the attribute hides this descriptor
        return value


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities moved off 0 and 1 by the spacing of their dtype, so that their logarithms are finite.

    Example:
        >>> import chainrule as cr
        >>> bool(clamp_probs(cr.tensor(0.0)) > 0)
        True
    """
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Logits of probabilities: log odds of Bernoulli's, logarithms of those of several categories.

    Example:
        >>> import chainrule as cr
        >>> probs_to_logits(cr.tensor(0.5), is_binary=True)
        tensor(0.)
    """
    inside = clamp_probs(probs)
    return inside.log() - (-inside).log1p() if is_binary else inside.log()


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities of logits: the sigmoid of Bernoulli's, the softmax of those of several categories.

    Example:
        >>> import chainrule as cr
        >>> logits_to_probs(cr.zeros(2))
        tensor([0.5000, 0.5000])
    """
    return logits.sigmoid() if is_binary else F.softmax(logits, -1)


def sum_rightmost(value: Tensor, dims: int) -> Tensor:
    """The sum over the last ``dims`` dimensions.

    Example:
        >>> import chainrule as cr
        >>> sum_rightmost(cr.ones(2, 3), 1)
        tensor([3., 3.])
    """
    return value.sum(tuple(range(-dims, 0))) if dims else value
