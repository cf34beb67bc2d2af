"""Embeddings: tables whose rows are looked up by number."""

from __future__ import annotations

import warnings
from typing import Any

from chainrule.autograd.creation import empty
from chainrule.autograd.modes import no_grad
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter


class _Table(Module):
    """A table of rows: what both embeddings share."""

    weight: Parameter

    def _make(
        self, rows: int, features: int, padding_idx: int | None, sparse: bool, weight: Any, freeze: bool, **options: Any
    ) -> None:
        label = type(self).__name__
        if rows < 0 or features < 0:
            raise ValueError(
                f"{label}: num_embeddings and embedding_dim must not be negative, got {rows} and {features}"
            )
        if padding_idx is not None:
            if not -rows <= padding_idx < rows:
                raise ValueError(f"{label}: padding_idx must be in [{-rows}, {rows - 1}], got {padding_idx}")
            padding_idx %= rows
        if sparse:
            warnings.warn(f"{label}: sparse=True has no effect: gradients are dense here", stacklevel=3)
        self.num_embeddings = rows
        self.embedding_dim = features
        self.padding_idx = padding_idx
        self.sparse = sparse
        if weight is None:
            self.weight = Parameter(empty(rows, features, **options), requires_grad=not freeze)
            self.reset_parameters()
            return
        if not isinstance(weight, Tensor) or tuple(weight._data.shape) != (rows, features):
            raise ValueError(f"{label}: _weight must be a Tensor of shape {(rows, features)}, got {describe(weight)}")
        self.weight = Parameter(weight, requires_grad=not freeze)

    def reset_parameters(self) -> None:
        """Draw the table anew from the standard normal distribution; the padding row becomes 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx].fill_(0)


def _matrix(label: str, embeddings: Any) -> tuple[int, int]:
    if not isinstance(embeddings, Tensor) or embeddings._data.ndim != 2:
        raise ValueError(f"{label}.from_pretrained: embeddings must have 2 dimensions, got {describe(embeddings)}")
    rows, features = embeddings._data.shape
    return rows, features


class Embedding(_Table):
    """The rows of a table that integers name: (*) to (*, embedding_dim).

    Args:
        num_embeddings: rows of the table.
        embedding_dim: features of each row.
        padding_idx: a row that starts as 0 and gets no gradient.
        max_norm: rows that are looked up with a larger norm are shortened to it first, in place.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide what a row's gradient gets by how often the batch names it.
        sparse: has no effect, with a warning: gradients are dense here.

    Raises:
        ValueError: a size or ``padding_idx`` is out of range. IndexError: an index is out of range.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Embedding(10, 3)(cr.tensor([[1, 2], [0, 9]])).shape
        (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self._make(num_embeddings, embedding_dim, padding_idx, sparse, _weight, _freeze, device=device, dtype=dtype)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """An embedding with the given table (rows, features), whose memory it shares; frozen unless ``freeze=False``.

        Raises:
            ValueError: the table has not 2 dimensions.

        Example:
            >>> import chainrule as cr
            >>> from chainrule import nn
            >>> nn.Embedding.from_pretrained(cr.tensor([[1.0, 2.0], [3.0, 4.0]]))(cr.tensor([1]))
            tensor([[3., 4.]])
        """
        rows, features = _matrix(cls.__name__, embeddings)
        return cls(
            rows,
            features,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight=embeddings,
            _freeze=freeze,
        )

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq)

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        for name, default in (
            ("padding_idx", None),
            ("max_norm", None),
            ("norm_type", 2),
            ("scale_grad_by_freq", False),
            ("sparse", False),
        ):
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text


class EmbeddingBag(_Table):
    """The sum, mean or maximum of the rows of a table that each bag of integers names: (bags, embedding_dim).

    Bags are the rows of a 2-d input; or an input of one dimension is cut into bags at ``offsets``.

    Args:
        num_embeddings, embedding_dim, max_norm, norm_type, scale_grad_by_freq, sparse: see :class:`Embedding`.
        mode: ``"sum"``, ``"mean"`` or ``"max"``; an empty bag gives 0.
        include_last_offset: the last offset is the end of the last bag.
        padding_idx: a row that starts as 0, gets no gradient and does not count in its bag.

    Raises:
        ValueError: an argument is out of range. IndexError: an index is out of range.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> bag = nn.EmbeddingBag.from_pretrained(cr.tensor([[1.0], [3.0]]), mode="sum")
        >>> bag(cr.tensor([0, 1, 1]), cr.tensor([0, 2]))
        tensor([[4.],
                [3.]])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if mode not in ("sum", "mean", "max"):
            raise ValueError(f"EmbeddingBag: mode must be 'sum', 'mean' or 'max', got {mode!r}")
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.mode = mode
        self.include_last_offset = include_last_offset
        self._make(num_embeddings, embedding_dim, padding_idx, sparse, _weight, False, device=device, dtype=dtype)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """A bag of the given table (rows, features), whose memory it shares; frozen unless ``freeze=False``.

        Raises:
            ValueError: the table has not 2 dimensions.

        Example:
            >>> import chainrule as cr
            >>> from chainrule import nn
            >>> nn.EmbeddingBag.from_pretrained(cr.tensor([[1.0], [3.0]]))(cr.tensor([[0, 1]]))
            tensor([[2.]])
        """
        rows, features = _matrix(cls.__name__, embeddings)
        bag = cls(
            rows,
            features,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            mode,
            sparse,
            embeddings,
            include_last_offset,
            padding_idx,
        )
        bag.weight.requires_grad_(not freeze)
        return bag

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            per_sample_weights=per_sample_weights,
            include_last_offset=self.include_last_offset,
            padding_idx=self.padding_idx,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        for name, default in (("max_norm", None), ("norm_type", 2), ("scale_grad_by_freq", False)):
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        text += f", mode={self.mode!r}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
