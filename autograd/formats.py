"""PyTorch's names for memory formats and layouts, which are accepted and change nothing.

The memory order of results is ours to choose, and tensors of every order behave as contiguous ones.
"""

from __future__ import annotations


class memory_format:
    """A memory format, such as ``chainrule.channels_last``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"chainrule.{self.name}"


class layout:
    """A layout; ``chainrule.strided`` is the only one."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"chainrule.{self.name}"


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
strided = layout("strided")


def check_layout(caller: str, given: object) -> None:
    """Refuse layouts other than ``strided``: sparse tensors and the like."""
    if given is not None and str(given).rpartition(".")[2] != "strided":
        raise RuntimeError(f"{caller}: the only layout is chainrule.strided, got {given!r}")
