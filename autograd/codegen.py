"""Writes, for each declared op, the function that runs and records it and the node that differentiates it.

Straight-line code for the op's own arguments costs about a third of a general ``*args`` loop (a taped
``a + b`` on 4 floats: see ``benchmarks/overhead.py``). What is generated reads like the handwritten
wrapper it replaces; ``print(apply_source(OPS["tanh"]))`` shows it, and tracebacks show its lines.
"""

from __future__ import annotations

import builtins
import inspect
import linecache
import threading
from types import FunctionType
from typing import Any

import numpy as np

from chainrule.autograd import runtime
from chainrule.autograd.node import FREED, GONE, Node, new_output_slot, next_sequence, output_slot
from chainrule.autograd.node_source import node_lines
from chainrule.autograd.op import Op, traced
from chainrule.autograd.saved import restored, restored_all, saved_properties
from chainrule.autograd.source import (
    apply_lines,
    camel_case,
    local_name,
    node_slots,
    saved_tensors,
    takes_out,
)
from chainrule.autograd.tensor import Tensor
from chainrule.autograd.watch import unrecorded, watch
from chainrule.backends.large import LARGE


def prepare(op: Op) -> None:
    """Set ``op.apply``. Its code is written and compiled when it is first called, and so is the node's: compiling all
    of it would take most of the package's import time.
    """
    op.names = {**_HELPERS, "OP": op}
    op.names.update({f"default_{k}": v for k, v in op.attributes.items()})
    op.names.update({f"rule_{k}": v for k, v in op.rules.items()})
    op.names["rule_together"] = op.together
    op.apply = _later(op, op.name, "apply")
    op.apply.__doc__ = op.doc
    op.apply.__module__ = "chainrule.autograd.ops"
    op.apply.__signature__ = _public_signature(op)  # type: ignore[attr-defined]


def make_node_type(op: Op) -> type[Node]:
    """The class of the nodes of an op, with slots for what its rules save."""
    if not op.rules:
        return Node
    saved = tuple(saved_tensors(op))
    methods = {name: _later(op, name, "node") for name in ("run", "run_taped", *(["release"] if saved else []))}
    slots = tuple(node_slots(op))
    # properties, and no __getattr__: a class that has one is slower to read every attribute of (20 ns each)
    body = {"op": op, "saves": bool(saved), "saved_names": saved, "into": op.into, "__slots__": slots, **methods}
    body.update(saved_properties(slots))
    return type(camel_case(op.label) + "Backward", (Node,), body)


def apply_source(op: Op) -> str:
    """The source of the function that runs and records an op."""
    return "\n".join(apply_lines(op)) + "\n"


def node_source(op: Op) -> str:
    """The source of the methods of an op's node; empty for an op without a gradient."""
    return "\n".join(node_lines(op)) + "\n" if op.rules else ""


_writing = threading.RLock()


def _first_call(*args: Any, **kwargs: Any) -> Any:
    """Stands in for generated code: writes it into this very function, and calls it again."""
    # COMPILE and SELF are in the globals of each copy made by `_later`
    return COMPILE(SELF)(*args, **kwargs)  # type: ignore[name-defined]  # noqa: F821


def _later(op: Op, name: str, part: str) -> Any:
    """A function that compiles its part of the op when it is first called, and is that function from then on.

    The function object stays the same, so that it can be handed out before: only its code is replaced.
    """

    def compile_part(function: Any) -> Any:
        with _writing:
            if part in op.waiting:
                write()
        return function

    def write() -> None:
        source = apply_source(op) if part == "apply" else node_source(op)
        filename = f"<chainrule op {op.name}, {part}>"
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        op.names["OpNode"] = op.node_type
        made: dict[str, Any] = dict(op.names)
        exec(compile(source, filename, "exec"), made)
        for waiting in op.waiting.pop(part, []):
            real = made[waiting.__name__ if part == "node" else op.name]
            waiting.__globals__.update(op.names)
            waiting.__defaults__ = real.__defaults__
            waiting.__kwdefaults__ = real.__kwdefaults__
            waiting.__code__ = real.__code__

    stand_in: Any = FunctionType(_first_call.__code__, {"COMPILE": compile_part}, name)
    stand_in.__globals__["SELF"] = stand_in
    stand_in.__qualname__ = name  # for Python's errors about arguments
    op.waiting.setdefault(part, []).append(stand_in)
    return stand_in


def _write_out(*args: Any) -> Any:
    from chainrule.autograd.out import write_out  # which is built on ops

    return write_out(*args)


_HELPERS: dict[str, Any] = {
    "__builtins__": builtins,
    "__name__": "chainrule.autograd.generated",  # the module that warnings are said to come from
    "Tensor": Tensor,
    "FLOAT32": np.dtype(np.float32),
    "LARGE": LARGE,
    "generic": np.generic,
    "ndarray": np.ndarray,
    "new": object.__new__,
    "mode": runtime.mode,
    "ordinary": runtime.ordinary,
    "tracer": runtime.tracer,
    "watch": watch,
    "unrecorded": unrecorded,
    "view_edge": runtime.view_edge,
    "next_sequence": next_sequence,
    "new_output_slot": new_output_slot,
    "output_slot": output_slot,
    "FREED": FREED,
    "GONE": GONE,
    "restored": restored,
    "restored_all": restored_all,
    "operand": runtime.operand,
    "check_operands": runtime.operands,
    "half_precision": runtime.half_precision,
    "in_float32": runtime.in_float32,
    "harmonise": runtime.harmonise,
    "to_floating": runtime.to_floating,
    "on_one_device": runtime.on_one_device,
    "no_complex": runtime.no_complex,
    "explain": runtime.explain,
    "unbroadcast": runtime.unbroadcast,
    "own_layout": runtime.own_layout,
    "attach_view": runtime.attach_view,
    "rewrap": runtime.rewrap,
    "fill_missing": runtime.fill_missing,
    "traced": traced,
    "counter_of": runtime.counter_of,
    "write_out": _write_out,
}


def _public_signature(op: Op) -> inspect.Signature:
    """The signature that help() shows."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        inspect.Parameter(local_name(p), kind, default=None if p in op.optional else inspect.Parameter.empty)
        for p in op.parameters
    ]
    if op.variadic:
        parameters.append(inspect.Parameter(op.variadic, inspect.Parameter.VAR_POSITIONAL))
    after = inspect.Parameter.KEYWORD_ONLY if op.variadic or op.optional else kind
    required = [a for a, d in op.attributes.items() if d is inspect.Parameter.empty]
    kind_of = inspect.Parameter.KEYWORD_ONLY if required and len(required) < len(op.attributes) else after
    parameters += [inspect.Parameter(a, kind_of, default=d) for a, d in op.attributes.items()]
    if takes_out(op):
        parameters.append(inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None))
    return inspect.Signature(parameters)
