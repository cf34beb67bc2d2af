"""Where the operators and methods of Tensor are attached; ``methods.pyi`` (generated) lists them for type checkers."""

from __future__ import annotations


class TensorMethods:
    """Base of Tensor without state: every published op becomes an attribute of this class."""

    __slots__ = ()
