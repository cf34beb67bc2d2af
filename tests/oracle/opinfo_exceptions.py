"""Where PyTorch's results cannot be compared with ours as they stand, and why. Nothing else is loosened.

Entries are named by their titles in PyTorch's database (``name`` or ``name:variant``), dtypes by their names.
"""

from __future__ import annotations

from typing import Any

RANDOM = "random values: two generators"
NO_VALUES = "uninitialised memory"

#: results of which only shape, dtype and requires_grad are compared
ONLY_SHAPES: dict[str, str] = {}

#: the same, for the samples of which the function is true
ONLY_SHAPES_WHERE: dict[str, tuple[Any, str]] = {}

#: samples that are left out: those of which the function is true
DROPPED: dict[str, tuple[Any, str]] = {}

#: titles of which other names (methods in place) are random
RANDOM_NAMES: dict[str, str] = {}

#: (title, dtype) not compared at all; dtype "*" is every one
SKIPPED: dict[tuple[str, str], str] = {}

#: (title, dtype) -> relative and absolute tolerance, instead of 1e-9 (1e-4 in float32)
TOLERANCES: dict[tuple[str, str], tuple[float, str]] = {}

#: (title, dtype) of which only the first result is compared
ONLY_FIRST: dict[tuple[str, str], str] = {}

#: titles of which second gradients are not compared
ONLY_FIRST_ORDER: dict[str, str] = {}

#: titles whose tensors cannot be non-contiguous
NEVER_STRIDED: dict[str, str] = {}

#: titles with fewer than eight argument sets
FEWER: dict[str, str] = {}
