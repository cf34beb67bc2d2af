"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from chainrule.autograd.functions import cat
from chainrule.autograd.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements of the parameters, one after the other, as a vector.

    Raises RuntimeError where they are on several devices.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.utils.parameters_to_vector(cr.nn.Linear(2, 3).parameters()).shape
        (9,)
    """
    found = list(parameters)
    _one_device("parameters_to_vector", found)
    return cat([p.reshape(-1) for p in found])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Put the elements of a vector into the parameters, which then share its memory.

    Raises TypeError when ``vec`` is no tensor, ValueError when it has another number of elements.

    Example:
        >>> import chainrule as cr
        >>> layer = cr.nn.Linear(1, 1)
        >>> cr.nn.utils.vector_to_parameters(cr.tensor([2.0, 3.0]), layer.parameters())
        >>> layer.bias.item()
        3.0
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: expected a tensor, got {type(vec).__name__}")
    found = list(parameters)
    _one_device("vector_to_parameters", found)
    count = sum(p.numel() for p in found)
    if vec.ndim != 1 or vec.numel() != count:
        raise ValueError(f"vector_to_parameters: expected a vector of {count} elements, got shape {tuple(vec.shape)}")
    start = 0
    for p in found:
        p.data = vec[start : start + p.numel()].view(p.shape).data
        start += p.numel()


def _one_device(caller: str, parameters: list[Tensor]) -> None:
    devices = {str(p.device) for p in parameters}
    if len(devices) > 1:
        raise RuntimeError(f"{caller}: expected parameters on one device, got {', '.join(sorted(devices))}")
