"""``Variable``: what tensors with gradients were called in old scripts."""

from __future__ import annotations

from typing import Any

from chainrule.autograd.tensor import Tensor


class _Meta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_Meta):
    """An old name: ``Variable(data)`` is a tensor that shares ``data``'s memory; every tensor is an instance.

    Args:
        data: a Tensor.
        requires_grad: whether the new tensor is a leaf that gets gradients.

    Example:
        >>> import chainrule as cr
        >>> x = cr.autograd.Variable(cr.ones(2), requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad, isinstance(x, cr.autograd.Variable)
        (tensor([2., 2.]), True)
    """

    def __new__(cls, data: Tensor, requires_grad: bool = False) -> Tensor:  # type: ignore[misc]
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable: data must be a Tensor, got {type(data).__name__}")
        return data.detach().requires_grad_(requires_grad)
