"""Joining and splitting by rows, columns and depth; blocks; and copies of what views show."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.complex import _view_as_complex, _view_as_real
from chainrule.autograd.ops.diagonal import _diagonal
from chainrule.autograd.ops.joining import _cat, _chunk, _listed, _split, _unbind, common_dtype
from chainrule.autograd.ops.shape import (
    _expand,
    _permute,
    _squeeze,
    _t,
    _transpose,
    _unsqueeze,
    _view,
    integers,
    normal_axis,
)
from chainrule.autograd.ops.slicing import _select, _unfold
from chainrule.autograd.public import FUNCTIONS, function
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor


def _reshaped(t: Tensor, shape: tuple[int, ...]) -> Tensor:
    return xp_of_tensors.reshape(t, shape=shape)


@function("hstack", method=False)
def _hstack(tensors: Any) -> Tensor:
    """Tensors side by side: joined along dimension 1, vectors along dimension 0.

    Example:
        >>> import chainrule as cr
        >>> cr.hstack([cr.tensor([1, 2]), cr.tensor([3])])
        tensor([1, 2, 3])
    """
    given = FUNCTIONS["atleast_1d"](_listed("hstack", tensors))
    return _cat(list(given), 0 if given[0]._data.ndim == 1 else 1)


@function("vstack row_stack", method=False)
def _vstack(tensors: Any) -> Tensor:
    """Tensors on top of each other: joined along dimension 0, vectors being rows.

    Example:
        >>> import chainrule as cr
        >>> cr.vstack([cr.tensor([1, 2]), cr.tensor([3, 4])])
        tensor([[1, 2],
                [3, 4]])
    """
    return _cat(list(FUNCTIONS["atleast_2d"](_listed("vstack", tensors))), 0)


@function("dstack", method=False)
def _dstack(tensors: Any) -> Tensor:
    """Tensors behind each other: joined along dimension 2.

    Example:
        >>> import chainrule as cr
        >>> cr.dstack([cr.tensor([1, 2]), cr.tensor([3, 4])])
        tensor([[[1, 3],
                 [2, 4]]])
    """
    return _cat(list(FUNCTIONS["atleast_3d"](_listed("dstack", tensors))), 2)


@function("column_stack", method=False)
def _column_stack(tensors: Any) -> Tensor:
    """Tensors side by side, vectors being columns.

    Example:
        >>> import chainrule as cr
        >>> cr.column_stack([cr.tensor([1, 2]), cr.tensor([3, 4])])
        tensor([[1, 3],
                [2, 4]])
    """
    given = _listed("column_stack", tensors)
    return _hstack([_reshaped(t, (t._data.size, 1)) if t._data.ndim < 2 else t for t in given])


@function("block_diag", method=False)
def _block_diag(*tensors: Any) -> Tensor:
    """The matrix with the given ones along its diagonal and zeros elsewhere; vectors and numbers are rows.

    Example:
        >>> import chainrule as cr
        >>> cr.block_diag(cr.tensor([[1, 2]]), cr.tensor([[3], [4]]))
        tensor([[1, 2, 0],
                [0, 0, 3],
                [0, 0, 4]])
    """
    given = _listed("block_diag", tensors)
    for i, t in enumerate(given):
        if t._data.ndim > 2:
            raise RuntimeError(f"block_diag: expected at most 2 dimensions, got tensors[{i}]: {describe(t)}")
    blocks = common_dtype([t if t._data.ndim == 2 else _reshaped(t, (1, t._data.size)) for t in given])
    width, left, rows = sum(t._data.shape[1] for t in blocks), 0, []
    for t in blocks:
        right = width - left - t._data.shape[1]
        rows.append(xp_of_tensors.pad_constant(t, widths=((0, 0), (left, right)), value=0))
        left += t._data.shape[1]
    return xp_of_tensors.concatenate(*rows, axis=0)


# ---- splitting ------------------------------------------------------------------------------------------------------


@function("tensor_split")
def _tensor_split(
    input: Tensor, indices_or_sections: Any = None, dim: int = 0, *, indices: Any = None, sections: Any = None
) -> tuple[Tensor, ...]:
    """Parts along ``dim``: so many of nearly equal length, or cut before each of the given indices. Views.

    Example:
        >>> import chainrule as cr
        >>> [len(p) for p in cr.tensor_split(cr.arange(5), 2)]
        [3, 2]
        >>> cr.tensor_split(cr.arange(5), (1, 3))
        (tensor([0]), tensor([1, 2]), tensor([3, 4]))
    """
    given = [v for v in (indices_or_sections, indices, sections) if v is not None]
    if len(given) != 1:
        raise TypeError("tensor_split: expected one of indices_or_sections, indices, sections")
    return _cut("tensor_split", input, given[0], dim)


def _cut(caller: str, input: Tensor, where: Any, dim: int) -> tuple[Tensor, ...]:
    if not input._data.ndim:
        raise RuntimeError(f"{caller}: a 0-d tensor cannot be split")
    axis = normal_axis(caller, dim, input._data.ndim)
    n = input._data.shape[axis]
    if isinstance(where, Tensor):
        where = where.tolist()
    if isinstance(where, (list, tuple)):
        bounds = [min(i + n if i < 0 else i, n) for i in (int(v) for v in where)]
        edges = [0, *[max(i, 0) for i in bounds], n]
    else:
        sections = int(where)
        if sections < 1:
            raise RuntimeError(f"{caller}: the number of sections must be positive, got {sections}")
        longer = n % sections  # the first parts have one element more
        edges = [i * (n // sections) + min(i, longer) for i in range(sections + 1)]
    # slices, not one split: as in PyTorch each part can be written to. A cut before an earlier one leaves an empty part
    return tuple(
        [
            xp_of_tensors.getitem(input, index=(*(slice(None),) * axis, slice(a, max(a, b)), ...))
            for a, b in itertools.pairwise(edges)
        ]
    )


def _directional(name: str, axis: int, least: int, example: str) -> None:
    def split(
        input: Tensor, indices_or_sections: Any = None, *, indices: Any = None, sections: Any = None
    ) -> tuple[Tensor, ...]:
        given = [v for v in (indices_or_sections, indices, sections) if v is not None]
        if len(given) != 1:
            raise TypeError(f"{name}: expected one of indices_or_sections, indices, sections")
        indices_or_sections = given[0]
        if input._data.ndim < least:
            raise RuntimeError(f"{name}: expected at least {least} dimensions, got shape {tuple(input.shape)}")
        d = 0 if name == "hsplit" and input._data.ndim == 1 else axis
        if isinstance(indices_or_sections, int) and (
            indices_or_sections < 1 or input._data.shape[d] % indices_or_sections
        ):
            raise RuntimeError(
                f"{name}: dimension {d} of length {input._data.shape[d]} cannot be split into {indices_or_sections} "
                f"equal parts"
            )
        return _cut(name, input, indices_or_sections, d)

    split.__name__ = name
    split.__doc__ = f"""Parts along dimension {axis}, views: so many equal ones, or cut before the given indices.

    Example:
        >>> import chainrule as cr
        >>> {example}
    """
    function(name)(split)


_directional("hsplit", 1, 1, "len(cr.hsplit(cr.zeros(2, 4), 2))\n        2")
_directional("vsplit", 0, 2, "len(cr.vsplit(cr.zeros(4, 2), 2))\n        2")
_directional("dsplit", 2, 3, "len(cr.dsplit(cr.zeros(1, 2, 4), (1, 3)))\n        3")


@function("split_with_sizes")
def _split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Consecutive pieces of the listed sizes along ``dim``. Views.

    Example:
        >>> import chainrule as cr
        >>> cr.split_with_sizes(cr.arange(3), (1, 2))
        (tensor([0]), tensor([1, 2]))
    """
    return _split(input, integers("split_with_sizes", (split_sizes,)), dim)


# ---- copies ---------------------------------------------------------------------------------------------------------


def _copied(result: Any) -> Any:
    if isinstance(result, tuple):
        return tuple([xp_of_tensors.clone(t) for t in result])
    return xp_of_tensors.clone(result)


def _identity(input: Tensor) -> Tensor:
    return input


def _detach(input: Tensor) -> Tensor:
    return input.detach()


def _copy_of(names: str, f: Callable[..., Any], example: str, method: bool = False) -> None:
    def copy(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        return _copied(f(input, *args, **kwargs))

    for name in names.split():
        seen = name.removesuffix("_copy").removeprefix("unsafe_")
        copy.__name__ = name
        copy.__doc__ = f"""What ``{seen}`` shows, with its own memory.

    Example:
        >>> import chainrule as cr
        >>> {example.format(name)}
    """
        function(name, method=method)(copy)


_copy_of("view_copy", _view, "cr.{}(cr.arange(4), (2, 2)).shape\n        (2, 2)")
_copy_of("expand_copy", _expand, "cr.{}(cr.zeros(1), (2,))\n        tensor([0., 0.])")
_copy_of("permute_copy", _permute, "cr.{}(cr.zeros(2, 3), (1, 0)).shape\n        (3, 2)")
_copy_of("transpose_copy", _transpose, "cr.{}(cr.zeros(2, 3), 0, 1).shape\n        (3, 2)")
_copy_of("t_copy", _t, "cr.{}(cr.zeros(2, 3)).shape\n        (3, 2)")
_copy_of("squeeze_copy", _squeeze, "cr.{}(cr.zeros(1, 3)).shape\n        (3,)")
_copy_of("unsqueeze_copy", _unsqueeze, "cr.{}(cr.zeros(3), 0).shape\n        (1, 3)")
_copy_of("select_copy", _select, "cr.{}(cr.arange(3), 0, 1)\n        tensor(1)")
_copy_of("diagonal_copy", _diagonal, "cr.{}(cr.eye(2))\n        tensor([1., 1.])")
_copy_of("unfold_copy", _unfold, "cr.{}(cr.arange(3), 0, 2, 1).shape\n        (2, 2)")
_copy_of("unbind_copy", _unbind, "cr.{}(cr.arange(2))\n        (tensor(0), tensor(1))")
_copy_of("split_copy", _split, "cr.{}(cr.arange(2), 1)\n        (tensor([0]), tensor([1]))")
_copy_of("split_with_sizes_copy", _split_with_sizes, "len(cr.{}(cr.arange(3), (1, 2)))\n        2")
_copy_of("alias_copy", _identity, "cr.{}(cr.arange(2))\n        tensor([0, 1])")
_copy_of("view_as_real_copy", _view_as_real, "cr.{}(cr.tensor([1 + 2j]))\n        tensor([[1., 2.]])")
_copy_of("view_as_complex_copy", _view_as_complex, "cr.{}(cr.tensor([1.0, 2.0]))\n        tensor(1.+2.j)")
_copy_of("detach_copy", _detach, "cr.{}(cr.ones(2, requires_grad=True)).requires_grad\n        False")
_copy_of("unsafe_split", _split, "len(cr.{}(cr.arange(3), 2))\n        2", method=True)
_copy_of("unsafe_split_with_sizes", _split_with_sizes, "len(cr.{}(cr.arange(3), (1, 2)))\n        2", method=True)
_copy_of("unsafe_chunk", _chunk, "len(cr.{}(cr.arange(3), 2))\n        2", method=True)
