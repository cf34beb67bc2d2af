"""The older place of :func:`chainrule.func.functional_call`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional_call as _functional_call
from chainrule.nn.module import Module


def functional_call(
    module: Module,
    parameters_and_buffers: Mapping[str, Tensor],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """:func:`chainrule.func.functional_call` with one dict; warns, for PyTorch has deprecated this place."""
    text = "nn.utils.stateless.functional_call is deprecated in favour of func.functional_call"
    warnings.warn(text, FutureWarning, stacklevel=2)
    return _functional_call.functional_call(
        module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict
    )
