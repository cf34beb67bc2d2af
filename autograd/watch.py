"""What happens to a recorded operation while something watches: hooks on what is saved, locations, anomaly mode,
a profiler.

The generated functions call :func:`watch` only where ``ordinary.everywhere`` is False.
"""

from __future__ import annotations

import functools
from typing import Any

from chainrule.autograd import runtime
from chainrule.autograd.modes import mode


class Checker:
    """Set ``forward`` and ``backward`` to look at values (anomaly mode), ``around`` to time nodes (the profiler)."""

    #: forward(node, inputs, outputs)
    forward: Any = None
    #: backward(node, g, needed, taped) -> the node's results
    backward: Any = None
    #: called at the end of each backward pass
    end_of_pass: Any = None
    #: around(node, run, arguments) -> run(*arguments), the node's results
    around: Any = None

    def of_pass(self) -> Any:
        """What runs the nodes of a backward pass in place of ``node.run``; None where nothing does."""
        if self.around is None:
            return self.backward
        return functools.partial(_around, self.around, self.backward)


def _around(around: Any, backward: Any, node: Any, g: Any, needed: Any, taped: bool) -> tuple[Any, ...]:
    if backward is not None:
        results: tuple[Any, ...] = around(node, backward, (node, g, needed, taped))
    else:
        results = around(node, node.run_taped if taped else node.run, (g, needed))
    return results


checker = Checker()


def watch(node: Any, inputs: tuple[Any, ...], outputs: tuple[Any, ...]) -> None:
    """Look after a node that was just recorded."""
    node.where = runtime.where()
    if mode.saved_hooks and node.saves:
        from chainrule.autograd.saved import pack_node

        pack_node(node)
    if checker.forward is not None:
        checker.forward(node, inputs, outputs)


def unrecorded(op: Any, inputs: tuple[Any, ...], result: Any) -> None:
    """Look after a result without a graph, while locations are recorded."""
    from chainrule.autograd import cuts

    cuts.note_unrecorded(op, runtime.where(), inputs, result)
