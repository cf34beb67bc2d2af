"""Adaptive softmax: a classifier of very many classes that spends little on the rare ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.creation import tensor
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn.containers import ModuleList, Sequential
from chainrule.nn.linear import Linear
from chainrule.nn.module import Module


class _ASMoutput(NamedTuple):
    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """Softmax in two levels: frequent classes, and clusters of rare ones with fewer features (Grave et al., 2017).

    Classes must be sorted by how often they occur. Input (N, in_features) or (in_features), target (N) or (); gives
    ``output``, the log-probability of each target, and ``loss``, minus their mean.

    Args:
        in_features: features of the input.
        n_classes: number of classes.
        cutoffs: the first class of each cluster.
        div_value: cluster i has ``in_features // div_value ** (i + 1)`` features.
        head_bias: whether the first level has a bias.

    Raises:
        ValueError: the cutoffs do not rise between 1 and ``n_classes - 1``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> classifier = nn.AdaptiveLogSoftmaxWithLoss(8, 20, cutoffs=[4, 10], div_value=2)
        >>> output, loss = classifier(cr.zeros(2, 8), cr.tensor([3, 12]))
        >>> output.detach(), loss.detach()
        (tensor([-1.7918, -4.0943]), tensor(2.9431))
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        ends = list(cutoffs)
        rising = all(isinstance(c, (int, np.integer)) for c in ends) and ends == sorted(set(ends))
        if not ends or not rising or ends[0] < 1 or ends[-1] > n_classes - 1:
            raise ValueError(
                f"AdaptiveLogSoftmaxWithLoss: cutoffs must be at least one integer, and rise between 1 and "
                f"n_classes - 1 = {n_classes - 1}, got {cutoffs}"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*ends, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, device=device, dtype=dtype)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            width, count = int(in_features // div_value ** (i + 1)), self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, width, bias=False, device=device, dtype=dtype),
                    Linear(width, count, bias=False, device=device, dtype=dtype),
                )
            )

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in self.modules():
            if isinstance(module, Linear):
                module.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        single, labels = self._check(input_, target_)
        x = input_.unsqueeze(0) if single else input_
        head = F.log_softmax(self.head(x), dim=1)
        # in the head's result, a class of the shortlist has its own column, and every cluster has one
        column = np.minimum(labels, self.shortlist_size)
        parts = []
        for i in range(self.n_clusters):
            low, high = self.cutoffs[i], self.cutoffs[i + 1]
            rows = np.flatnonzero((labels >= low) & (labels < high))
            if not rows.size:
                continue
            column[rows] = self.shortlist_size + i
            index = tensor(rows, device=x.device)
            scores = F.log_softmax(self.tail[i](FUNCTIONS["index_select"](x, 0, index)), dim=1)
            found = FUNCTIONS["gather"](scores, 1, tensor(labels[rows, None] - low, device=x.device)).squeeze(1)
            parts.append((index, found))
        output = FUNCTIONS["gather"](head, 1, tensor(column[:, None], device=x.device)).squeeze(1)
        for index, found in parts:
            output = FUNCTIONS["index_add"](output, 0, index, found)
        loss = (-output).mean()
        return _ASMoutput(output.squeeze(0) if single else output, loss)

    def _check(self, x: Any, target: Any) -> tuple[bool, np.ndarray]:
        """Whether the input is a single sample, and the targets as (N) host integers."""
        label = "AdaptiveLogSoftmaxWithLoss"
        for name, value in (("input_", x), ("target_", target)):
            if not isinstance(value, Tensor):
                raise TypeError(f"{label}: {name} must be a Tensor, got {describe(value)}")
        shape = tuple(x._data.shape)
        if len(shape) not in (1, 2) or shape[-1] != self.in_features:
            raise RuntimeError(
                f"{label}: input_ must have shape (N, {self.in_features}) or ({self.in_features},), got {describe(x)}"
            )
        if tuple(target._data.shape) != shape[:-1]:
            raise RuntimeError(
                f"{label}: with input_ of shape {shape} target_ must have shape {shape[:-1]}, got {describe(target)}"
            )
        if dtypes.category(target._data.dtype) != 1:
            raise TypeError(f"{label}: target_ must hold integer classes, got {describe(target)}")
        labels = np.array(target._device.backend.to_host(target._data), dtype=np.int64).reshape(-1)
        if labels.size and (labels.min() < 0 or labels.max() >= self.n_classes):
            found = f"{labels.min()} to {labels.max()}"
            raise RuntimeError(f"{label}: target_ must hold classes from 0 to {self.n_classes - 1}, got {found}")
        return len(shape) == 1, labels

    def log_prob(self, input: Tensor) -> Tensor:
        """The log-probabilities of all classes: (N, in_features) to (N, n_classes)."""
        head = F.log_softmax(self.head(input), dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i in range(self.n_clusters):
            column = self.shortlist_size + i
            parts.append(F.log_softmax(self.tail[i](input), dim=1) + head[:, column : column + 1])
        return FUNCTIONS["cat"](parts, 1)

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each sample: (N, in_features) to (N)."""
        return self.log_prob(input).argmax(dim=1)
