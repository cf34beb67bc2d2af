"""Where gradients were cut off while locations are recorded: detach(), no_grad(), and operations without a gradient."""

from __future__ import annotations

import weakref
from collections import deque
from dataclasses import dataclass
from typing import Any

from chainrule.autograd.modes import mode
from chainrule.autograd.node import Leaf

#: cuts remembered; older ones are forgotten
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Cut:
    """One result that has no graph although something it was computed from has.

    Attributes:
        what: ``"detach()"``, or the name of the operation.
        why: what cut it: ``"detach"``, ``"no_grad"`` or ``"no gradient"`` (of an operation without one).
        where: the line.
        result: the tensor, weakly.
        leaves: the leaves behind it, weakly.
    """

    what: str
    why: str
    where: Any
    result: weakref.ref[Any]
    leaves: tuple[weakref.ref[Leaf], ...]

    def concerns(self, leaf: Any) -> bool:
        """Whether that leaf lies behind the cut."""
        return any(r() is leaf for r in self.leaves)


cuts: deque[Cut] = deque(maxlen=_REMEMBERED)


def _leaves_behind(edges: list[Any]) -> tuple[weakref.ref[Leaf], ...]:
    found = [e for e in edges if e is not None]
    seen = set(found)
    for edge in found:  # grows while it is walked
        for inner in edge.inputs:
            if inner is not None and inner not in seen:
                seen.add(inner)
                found.append(inner)
    return tuple([weakref.ref(e) for e in found if type(e) is Leaf])


def note(what: str, why: str, where: Any, result: Any, edges: list[Any]) -> None:
    """Remember that the gradients of ``edges`` end before ``result``."""
    leaves = _leaves_behind(edges)
    if leaves:
        cuts.append(Cut(what, why, where, weakref.ref(result), leaves))


def note_unrecorded(op: Any, where: Any, inputs: tuple[Any, ...], result: Any) -> None:
    """The same for an operation that was not recorded; called by generated code while locations are recorded."""
    flat = [t for value in inputs for t in (value if isinstance(value, tuple) else (value,)) if t is not None]
    edges = [t._current_node() for t in flat if hasattr(t, "_current_node")]
    note(op.label, "no_grad" if op.rules and not mode.enabled else "no gradient", where, result, edges)
