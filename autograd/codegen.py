"""Writes, for each declared op, the function that runs and records it and the node that differentiates it.

Straight-line code for the op's own arguments costs about a third of a general ``*args`` loop (a taped
``a + b`` on 4 floats: see ``benchmarks/overhead.py``). What is generated reads like the handwritten
wrapper it replaces; ``print(OPS["tanh"].source)`` shows it, and tracebacks show its lines.
"""

from __future__ import annotations

import inspect
import linecache
from typing import Any

from chainrule.autograd import runtime
from chainrule.autograd.node import FREED, Node, OutputSlot, freed, next_sequence, stale
from chainrule.autograd.op import Op
from chainrule.autograd.tensor import Tensor

#: what the first tensor arguments are called in signatures, as in PyTorch
PUBLIC_NAMES = {"x": "input", "y": "other"}


def compile_op(op: Op) -> None:
    """Set ``op.apply``, ``op.node_type`` and ``op.source``."""
    names: dict[str, Any] = {
        "Tensor": Tensor,
        "new": object.__new__,
        "mode": runtime.mode,
        "tracer": runtime.tracer,
        "view_edge": runtime.view_edge,
        "next_sequence": next_sequence,
        "OutputSlot": OutputSlot,
        "FREED": FREED,
        "freed": freed,
        "stale": stale,
        "operand": runtime.operand,
        "check_operands": runtime.operands,
        "half_precision": runtime.half_precision,
        "in_float32": runtime.in_float32,
        "harmonise": runtime.harmonise,
        "to_floating": runtime.to_floating,
        "mixed_devices": runtime.mixed_devices,
        "explain": runtime.explain,
        "unbroadcast": runtime.unbroadcast,
        "own_layout": runtime.own_layout,
        "attach_view": runtime.attach_view,
        "rewrap": runtime.rewrap,
        "fill_missing": runtime.fill_missing,
        "OP": op,
        "traced": runtime.traced,
        **{f"default_{k}": v for k, v in op.attributes.items()},
        **{f"rule_{k}": v for k, v in op.rules.items()},
    }
    source = "\n".join([*_apply(op), *(_node(op) if op.rules else [])])
    filename = f"<chainrule op {op.name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(compile(source, filename, "exec"), names)
    op.source = source
    op.apply = names[op.name if op.name.isidentifier() else "apply"]
    op.apply.__doc__ = op.doc
    op.apply.__module__ = "chainrule.autograd.ops"
    op.node_type = Node
    if op.rules:
        members = {
            "__slots__": tuple(_slots(op)),
            "op": op,
            **{k: names[k] for k in ("run", "run_taped", "release") if k in names},
        }
        op.node_type = type(_camel(op.label) + "Backward", (Node,), members)
        names["OpNode"] = op.node_type


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _tensors(op: Op) -> list[str]:
    return [*op.parameters, *([op.variadic] if op.variadic else [])]


def _local(parameter: str) -> str:
    return PUBLIC_NAMES.get(parameter, parameter)


def _saved(op: Op) -> list[str]:
    """Tensor arguments and outputs that some rule names, in declaration order."""
    named = {n for needs in op.needs.values() for n in needs}
    return [n for n in [*_tensors(op), *(op.outputs or ("out",))] if n in named]


def _users(op: Op, name: str) -> list[str]:
    """The arguments whose rules name ``name``."""
    return [argument for argument, needs in op.needs.items() if name in needs]


def _meta(op: Op) -> list[str]:
    """Attributes, shapes and dtypes that some rule names."""
    named = {n for needs in op.needs.values() for n in needs}
    saved = set(_saved(op))
    return sorted(n for n in named if n not in saved)


def _slots(op: Op) -> list[str]:
    slots = [f"saved_{n}{suffix}" for n in _saved(op) for suffix in ("", "_version", "_at")]
    slots += [f"saved_{n}" for n in _meta(op)]
    if op.broadcasts:
        slots.append("shapes")
    if op.outputs:
        slots.append("output_meta")
    return slots


def _any_tracked(op: Op, arguments: list[str]) -> str:
    return " or ".join(
        f"any(e is not None for e in e_{a})" if a == op.variadic else f"e_{a} is not None" for a in arguments
    )


def _apply(op: Op) -> list[str]:
    """The lines of the function that users and rules call."""
    parameters = [_local(p) + ("=None" if p in op.optional else "") for p in op.parameters]
    if op.variadic:
        parameters.append(f"*{op.variadic}")
    parameters += [a if d is inspect.Parameter.empty else f"{a}=default_{a}" for a, d in op.attributes.items()]
    lines = [f"def {op.name}({', '.join(parameters)}):"]
    lines += ["    " + line for line in [*_check_arguments(op), *_edges(op), *_forward(op), *_wrap(op)]]
    return lines


def _check_arguments(op: Op) -> list[str]:
    lines: list[str] = []
    required = [p for p in op.parameters if p not in op.optional]
    first = _local(required[0]) if required else f"{op.variadic}[0]"
    if op.harmonise:
        locals_ = [_local(p) for p in op.parameters]
        same = [f"isinstance({p}, Tensor)" for p in locals_]
        same += [f"{p}._device is {first}._device and {p}._data.dtype is {first}._data.dtype" for p in locals_[1:]]
        lines += [f"if not ({' and '.join(same)}):", f"    {', '.join(locals_)} = harmonise(OP, {', '.join(locals_)})"]
    else:
        for p in op.parameters:
            test = "if not isinstance({0}, Tensor):" if p not in op.optional else (
                "if {0} is not None and not isinstance({0}, Tensor):"
            )
            like = "None" if _local(p) == first else first
            lines += [test.format(_local(p)), f"    {_local(p)} = operand(OP, {p!r}, {_local(p)}, {like})"]
        if op.variadic:
            lines.append(f"{op.variadic} = check_operands(OP, {op.variadic!r}, {op.variadic})")
        lines.append(f"device = {first}._device")
        for p in op.parameters:
            if _local(p) != first:
                given = f"{_local(p)} is not None and " if p in op.optional else ""
                lines += [
                    f"if {given}{_local(p)}._device is not device:",
                    f"    raise mixed_devices(OP, {first}, {_local(p)})",
                ]
        if op.variadic:
            lines += [
                f"for t in {op.variadic}:",
                "    if t._device is not device:",
                f"        raise mixed_devices(OP, {first}, t)",
            ]
    return lines


def _edges(op: Op) -> list[str]:
    lines = [f"device = {_local(op.parameters[0])}._device"] if op.harmonise else []
    for p in op.rules:
        if p == op.variadic:
            lines.append(f"e_{p} = tuple([t._node if t._view is None else view_edge(t) for t in {p}])")
        else:
            v = _local(p)
            edge = f"{v}._node if {v}._view is None else view_edge({v})"
            lines.append(f"e_{p} = None if {v} is None else {edge}" if p in op.optional else f"e_{p} = {edge}")
    if op.floating:
        v = _local(op.parameters[0])
        untracked = " and ".join(f"e_{p} is None" for p in op.rules)
        lines += [f"if {untracked + ' and ' if untracked else ''}{v}._data.dtype.kind in 'iub':"]
        rest = ", ".join(_local(p) for p in op.parameters)
        lines += [f"    {rest} = to_floating({rest})"]
    return lines


def _forward(op: Op) -> list[str]:
    lines: list[str] = []
    if op.view:
        v = _local(op.parameters[0])
        lines += [f"if {v}._view is None and not {v}._data.flags.c_contiguous:", f"    own_layout({v})"]
    for p in op.parameters:
        v = _local(p)
        lines.append(f"a_{p} = None if {v} is None else {v}._data" if p in op.optional else f"a_{p} = {v}._data")
    arguments = [f"a_{p}" for p in op.parameters]
    if op.variadic:
        lines.append(f"a_{op.variadic} = tuple([t._data for t in {op.variadic}])")
        arguments.append(f"*a_{op.variadic}")
    arguments += [f"{a}={a}" for a in op.attributes]
    lines += _half(op)
    given = ", ".join(_local(p) for p in op.parameters) + ("," if op.parameters else "")
    given = f"({given} *{op.variadic},)" if op.variadic else f"({given})"
    attributes = "{" + ", ".join(f"{a!r}: {a}" for a in op.attributes) + "}"
    lines += [
        "try:",
        f"    out = device.xp.{op.name}({', '.join(arguments)})",
        "except Exception as error:",
        f"    raise explain(OP, error, {given}, {attributes}) from error",
    ]
    return lines


def _half(op: Op) -> list[str]:
    """Arithmetic on 2-byte floats runs in float32 where the backend wants it, and is rounded once."""
    if not op.arithmetic or not op.rules or op.view:
        return []
    first = f"a_{op.parameters[0]}" if op.parameters else f"a_{op.variadic}[0]"
    tensors = ", ".join([*(_local(p) for p in op.parameters), *([f"*{op.variadic}"] if op.variadic else [])])
    attributes = "".join(f", {a}={a}" for a in op.attributes)
    return [
        f"if {first}.dtype.itemsize == 2 and half_precision(device, {first}.dtype):",
        f"    return in_float32(OP, ({tensors},){attributes})",
    ]


def _wrap(op: Op) -> list[str]:
    """Make the result Tensor(s), with a node when an argument requires grad."""
    tracked = _any_tracked(op, list(op.rules))
    lines: list[str] = []
    if op.outputs:
        lines += ["made = []", "for array in out:", *("    " + line for line in _new_tensor("array"))]
        lines += ["    t._node = None", "    made.append(t)"]
        if op.rules:
            lines += [f"if ({tracked}) and mode.enabled:", *("    " + line for line in _record(op))]
            lines += [
                f"    node.output_meta = tuple([(a.shape, a.dtype) for a in out[:{op.differentiable_outputs}]])"
                if op.differentiable_outputs > 0
                else "    node.output_meta = tuple([(a.shape, a.dtype) for a in out])",
                "    for i in range(len(node.output_meta)):",
                "        made[i]._node = OutputSlot(node, i)",
            ]
        if op.view:
            attributes = "{" + ", ".join(f"{a!r}: {a}" for a in op.attributes) + "}"
            v = _local(op.parameters[0])
            lines += ["for i in range(len(made)):", f"    attach_view(OP, made[i], {v}, {attributes}, i)"]
        return [*lines, "return tuple(made)"]
    lines += _new_tensor("out")
    if op.view:
        v = _local(op.parameters[0])
        attributes = "{" + ", ".join(f"{a!r}: {a}" for a in op.attributes) + "}"
        lines.append(f"attach_view(OP, t, {v}, {attributes})")
    if op.rules:
        lines += [f"if ({tracked}) and mode.enabled:", *("    " + line for line in _record(op)), "    t._node = node"]
        lines += ["else:", "    t._node = None"]
    else:
        lines.append("t._node = None")
    return [*lines, "return t"]


def _new_tensor(array: str) -> list[str]:
    return [
        "t = new(Tensor)",
        # NumPy returns a scalar where the result is 0-dimensional
        f"t._data = {array} if type({array}) is device.array_type else device.asarray({array})",
        "t._device = device",
        "t._version = [0]",
        "t._view = None",
    ]


def _record(op: Op) -> list[str]:
    edges = ", ".join(f"*e_{p}" if p == op.variadic else f"e_{p}" for p in op.rules)
    lines = [
        "node = new(OpNode)",
        f"node.inputs = ({edges}{',' if len(op.rules) == 1 else ''})",
        "node.sequence = next_sequence()",
        "node.hooks = None",
        "node.device = device",
        "node.where = None if tracer.locate is None else tracer.locate()",
    ]
    for n in _saved(op):
        body = _save(op, n)
        users = _users(op, n)
        if len(users) < len(op.rules):  # save only for the rules that will run
            lines += [f"if {_any_tracked(op, users)}:", *("    " + line for line in body)]
        else:
            lines += body
    for n in _meta(op):
        lines.append(f"node.saved_{n} = {_meta_value(op, n)}")
    if op.broadcasts:
        shapes = [f"a_{p}.shape" for p in op.parameters]
        lines += [
            f"shapes = ({', '.join(shapes)},)",
            f"node.shapes = None if {' == '.join(f'shapes[{i}]' for i in range(len(shapes)))} else shapes",
        ]
    return lines


def _save(op: Op, name: str) -> list[str]:
    if name == op.variadic:
        return [
            f"node.saved_{name} = a_{name}",
            f"node.saved_{name}_version = tuple([t._version for t in {name}])",
            f"node.saved_{name}_at = tuple([t._version[0] for t in {name}])",
        ]
    if name in op.parameters:
        v = _local(name)
        lines = [
            f"node.saved_{name} = a_{name}",
            f"node.saved_{name}_version = version = {v}._version",
            f"node.saved_{name}_at = version[0]",
        ]
        if name in op.optional:
            return [
                f"node.saved_{name} = node.saved_{name}_version = None",
                f"if {v} is not None:",
                *("    " + line for line in lines),
            ]
        return lines
    made = "t" if not op.outputs else f"made[{op.outputs.index(name)}]"
    return [
        f"node.saved_{name} = {made}._data",
        f"node.saved_{name}_version = {made}._version",
        f"node.saved_{name}_at = 0",
    ]


def _meta_value(op: Op, name: str) -> str:
    if name in op.attributes:
        return name
    parameter, _, what = name.rpartition("_")
    if parameter == op.variadic:
        return f"tuple([a.{what} for a in a_{parameter}])"
    if parameter in op.optional:
        return f"None if a_{parameter} is None else a_{parameter}.{what}"
    return f"a_{parameter}.{what}"


def _node(op: Op) -> list[str]:
    """The lines of the node's methods."""
    lines = [*_run(op, taped=False), *_run(op, taped=True)]
    saved = _saved(op)
    if saved:
        lines += ["def release(self):", *(f"    self.saved_{n} = FREED" for n in saved)]
    return lines


def _run(op: Op, taped: bool) -> list[str]:
    lines = [f"def {'run_taped' if taped else 'run'}(self, g, needed):"]
    lines.append(f"    xp = {'traced' if taped else 'self.device.xp'}")
    edges = ", ".join(f"*e_{p}" if p == op.variadic else f"e_{p}" for p in op.rules)
    lines.append(f"    {edges}{',' if len(op.rules) == 1 else ''} = self.inputs")
    if op.outputs:
        if op.missing == "zeros":
            lines.append(f"    g = fill_missing(self, g, {taped})")
        if op.differentiable_outputs == 1:
            lines.append("    g = g[0]")
    results = []
    for i, p in enumerate(op.rules):
        needs = op.needs[p]
        if p == op.variadic:
            lines.append(f"    r_{p} = (None,) * len(e_{p})")
            lines.append(f"    if any(e is not None and (needed is None or e in needed) for e in e_{p}):")
        else:
            lines.append(f"    r_{p} = None")
            lines.append(f"    if e_{p} is not None and (needed is None or e_{p} in needed):")
        for n in needs:
            lines += ["        " + line for line in _load(op, n, taped)]
        call = ", ".join(["xp", "g", *needs])
        lines.append(f"        r_{p} = rule_{p}({call})")
        if op.broadcasts:
            position = op.parameters.index(p)
            lines += [
                "        if self.shapes is not None:",
                f"            r_{p} = unbroadcast(xp, r_{p}, self.shapes[{position}])",
            ]
        results.append(f"*r_{p}" if p == op.variadic else f"r_{p}")
    lines.append(f"    return ({', '.join(results)}{',' if len(results) == 1 else ''})")
    return lines


def _load(op: Op, name: str, taped: bool) -> list[str]:
    """Read a saved value back; saved tensors are checked for in-place changes since."""
    if name not in _saved(op):
        return [f"{name} = self.saved_{name}"]
    lines = [f"{name} = self.saved_{name}", f"if {name} is FREED:", "    raise freed(self)"]
    if name == op.variadic:
        lines += [
            f"for v, at in zip(self.saved_{name}_version, self.saved_{name}_at):",
            "    if v[0] != at:",
            f"        raise stale(self, {name!r}, at, v[0])",
        ]
        if taped:
            edges = f"e_{name}" if name in op.rules else f"(None,) * len({name})"
            lines.append(f"{name} = tuple([rewrap(self, a, e) for a, e in zip({name}, {edges})])")
        return lines
    lines += [
        f"version = self.saved_{name}_version",
        f"if {'version is not None and ' if name in op.optional else ''}version[0] != self.saved_{name}_at:",
        f"    raise stale(self, {name!r}, self.saved_{name}_at, version[0])",
    ]
    if taped:
        if name in op.parameters:
            edge = f"e_{name}" if name in op.rules else "None"
        elif op.outputs:
            index = op.outputs.index(name)
            differentiable = op.differentiable_outputs < 0 or index < op.differentiable_outputs
            edge = f"OutputSlot(self, {index})" if differentiable else "None"
        else:
            edge = "self"
        missing = f"None if {name} is None else " if name in op.optional else ""
        lines.append(f"{name} = {missing}rewrap(self, {name}, {edge})")
    return lines
