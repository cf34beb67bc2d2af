"""The source of the function that runs and records an op, line by line; see ``codegen.py``."""

from __future__ import annotations

import inspect

from chainrule.autograd.op import PUBLIC_NAMES, REAL_ONLY, Op


def camel_case(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _tensors(op: Op) -> list[str]:
    return [*op.parameters, *([op.variadic] if op.variadic else [])]


def local_name(parameter: str) -> str:
    return PUBLIC_NAMES.get(parameter, parameter)


def saved_tensors(op: Op) -> list[str]:
    """Tensor arguments and outputs that some rule names, in declaration order."""
    named = {n for needs in op.needs.values() for n in needs}
    return [n for n in [*_tensors(op), *(op.outputs or ("out",))] if n in named]


def _users(op: Op, name: str) -> list[str]:
    """The arguments whose rules name ``name``."""
    return [argument for argument, needs in op.needs.items() if name in needs]


def _meta(op: Op) -> list[str]:
    """Attributes, shapes and dtypes that some rule names."""
    named = {n for needs in op.needs.values() for n in needs}
    saved = set(saved_tensors(op))
    return sorted(n for n in named if n not in saved and not is_own_shape(op, n))


def is_own_shape(op: Op, name: str) -> bool:
    """Whether only the rule of ``x`` asks for ``x_shape``: where it runs there is an edge, which knows the shape."""
    parameter = name.removesuffix("_shape")
    return parameter != name and parameter in op.rules and parameter != op.variadic and _users(op, name) == [parameter]


def node_slots(op: Op) -> list[str]:
    slots = [f"saved_{n}{suffix}" for n in saved_tensors(op) for suffix in ("", "_version", "_at")]
    slots += [f"saved_{n}" for n in _meta(op)]
    if op.outputs:
        slots.append("output_meta")
    return slots


def _any_tracked(op: Op, arguments: list[str]) -> str:
    return " or ".join(
        f"any(e is not None for e in e_{a})" if a == op.variadic else f"e_{a} is not None" for a in arguments
    )


#: attributes that forwards compute with
NUMBERS = frozenset({
    "alpha", "beta", "bound", "correction", "eps", "exponent", "input_scale", "lambd", "max", "min", "nan", "neginf",
    "negative_slope", "posinf", "scale", "threshold", "value",
})  # fmt: skip


def apply_lines(op: Op) -> list[str]:
    """The lines of the function that users and rules call."""
    parameters = [local_name(p) + ("=None" if p in op.optional else "") for p in op.parameters]
    if op.variadic:
        parameters.append(f"*{op.variadic}")
    parameters += [a if d is inspect.Parameter.empty else f"{a}=default_{a}" for a, d in op.attributes.items()]
    given: list[str] = []
    if takes_out(op):
        parameters.append("*, out=None")
        tensors = ", ".join(local_name(p) for p in op.parameters)
        given += ["    if out is not None:"]
        given += [f"        return write_out({op.label!r}, OP.apply, ({tensors},), {{}}, out)"]
    for a in op.attributes:
        if a in NUMBERS:  # NumPy's numbers are not weak in NumPy: float32 times np.float64 is float64
            given += [f"    if isinstance({a}, generic):", f"        {a} = {a}.item()"]
    lines = [f"def {op.name}({', '.join(parameters)}):", *given]
    lines += ["    " + line for line in [*_check_arguments(op), *_edges(op), *_forward(op), *_wrap(op)]]
    return lines


def takes_out(op: Op) -> bool:
    """Whether the function that users call is this one; with attributes another one is around it (``public.py``)."""
    return bool(op.public) and not op.attributes and op.variadic is None


def _check_arguments(op: Op) -> list[str]:
    lines: list[str] = []
    required = [p for p in op.parameters if p not in op.optional]
    first = local_name(required[0]) if required else f"{op.variadic}[0]"
    if op.harmonise:
        lines += _harmonise(op)
    else:
        for p in op.parameters:
            test = (
                "if not isinstance({0}, Tensor):"
                if p not in op.optional
                else ("if {0} is not None and not isinstance({0}, Tensor):")
            )
            like = "None" if local_name(p) == first else first
            lines += [test.format(local_name(p)), f"    {local_name(p)} = operand(OP, {p!r}, {local_name(p)}, {like})"]
        if op.variadic:
            lines.append(f"{op.variadic} = check_operands(OP, {op.variadic!r}, {op.variadic})")
        lines.append(f"device = {first}._device")
        for p in op.parameters:
            if local_name(p) != first:
                given = f"{local_name(p)} is not None and " if p in op.optional else ""
                lines += [
                    f"if {given}{local_name(p)}._device is not device:",
                    f"    return on_one_device(OP, {_all_arguments(op)})",
                ]
        if op.variadic:
            lines += [
                f"for t in {op.variadic}:",
                "    if t._device is not device:",
                f"        return on_one_device(OP, {_all_arguments(op)})",
            ]
    if op.name in REAL_ONLY:
        lines += [f"if {first}._data.dtype.kind == 'c':", f"    raise no_complex(OP, {first})"]
    return lines


def _all_tensors(op: Op) -> str:
    """A tuple of all tensor arguments."""
    return f"({', '.join([*(local_name(p) for p in op.parameters), *([f'*{op.variadic}'] if op.variadic else [])])},)"


def _all_arguments(op: Op) -> str:
    return ", ".join([_all_tensors(op), *(f"{a}={a}" for a in op.attributes)])


def _harmonise(op: Op) -> list[str]:
    """One device and dtype for the arguments of an elementwise op; the usual two tensors pass without a call."""
    first, *others = [local_name(p) for p in op.parameters]
    general = f"{', '.join([first, *others])} = harmonise(OP, {', '.join([first, *others])})"
    if not others:
        return [
            f"if not isinstance({first}, Tensor):",
            f"    {first} = operand(OP, {op.parameters[0]!r}, {first}, None)",
        ]
    same = " and ".join(
        f"isinstance({o}, Tensor) and {o}._device is {first}._device and "
        f"{o}._data.dtype is (dtype := {first}._data.dtype)"
        for o in others
    )
    lines = ["try:", f"    if not ({same}):"]
    if len(others) == 1:  # a Python number: its constant, without the general machinery
        y = others[0]
        lines += [
            f"        if (type({y}) is float or type({y}) is int) and (",
            f"            constant := {first}._device.constants.get(({y}, {first}._data.dtype))",
            "        ) is not None:",
            f"            {y} = constant",
            "        else:",
            f"            {general}",
        ]
    else:
        lines.append(f"        {general}")
    return [
        *lines,
        f"        dtype = {first}._data.dtype",
        "except AttributeError:",
        f"    if isinstance({first}, Tensor):",
        "        raise",
        f"    {general}",
        f"    dtype = {first}._data.dtype",
    ]


def _edges(op: Op) -> list[str]:
    lines = [f"device = {local_name(op.parameters[0])}._device"] if op.harmonise else []
    for p in op.rules:
        if p == op.variadic:
            lines.append(f"e_{p} = tuple([t._node if t._view is None else view_edge(t) for t in {p}])")
        else:
            v = local_name(p)
            edge = f"{v}._node if {v}._view is None else view_edge({v})"
            lines.append(f"e_{p} = None if {v} is None else {edge}" if p in op.optional else f"e_{p} = {edge}")
    if op.floating:
        v = local_name(op.parameters[0])
        untracked = " and ".join(f"e_{p} is None" for p in op.rules)
        lines += [f"if {untracked + ' and ' if untracked else ''}{v}._data.dtype.kind in 'iub':"]
        rest = ", ".join(local_name(p) for p in op.parameters)
        lines += [f"    {rest} = to_floating({rest})"]
    return lines


def _forward(op: Op) -> list[str]:
    lines: list[str] = []
    if op.view:
        v = local_name(op.parameters[0])
        lines += [f"if {v}._view is None and not {v}._data.flags.c_contiguous:", f"    own_layout({v})"]
    for p in op.parameters:
        v = local_name(p)
        lines.append(f"a_{p} = None if {v} is None else {v}._data" if p in op.optional else f"a_{p} = {v}._data")
    arguments = [f"a_{p}" for p in op.parameters]
    if op.variadic:
        lines.append(f"a_{op.variadic} = tuple([t._data for t in {op.variadic}])")
        arguments.append(f"*a_{op.variadic}")
    arguments += [f"{a}={a}" for a in op.attributes]
    lines += _half(op)
    given = "(" + "".join(f"{local_name(p)}, " for p in op.parameters) + (f"*{op.variadic},)" if op.variadic else ")")
    attributes = "{" + ", ".join(f"{a!r}: {a}" for a in op.attributes) + "}"
    lines += [
        f"forward = device.xp.{op.name}{_or_large(op)}",  # by itself: 30 ns quicker than as a method call
        "try:",
        f"    out = forward({', '.join(arguments)})",
        "except Exception as error:",
        f"    raise explain(OP, error, {given}, {attributes}) from error",
    ]
    return lines


def _or_large(op: Op) -> str:
    """What runs instead for large arrays."""
    return f" if a_{op.parameters[0]}.size < LARGE else device.large.{op.name}" if op.large else ""


def _half(op: Op) -> list[str]:
    """Arithmetic on 2-byte floats runs in float32 where the backend wants it, and is rounded once."""
    if not op.arithmetic or not op.rules or op.view:
        return []
    first = next((f"a_{p}" for p in op.parameters if p not in op.optional), f"a_{op.variadic}[0]")
    dtype = "dtype" if op.harmonise and len(op.parameters) > 1 and not op.floating else f"{first}.dtype"
    tensors = ", ".join([*(local_name(p) for p in op.parameters), *([f"*{op.variadic}"] if op.variadic else [])])
    attributes = "".join(f", {a}={a}" for a in op.attributes)
    return [
        f"if {dtype} is not FLOAT32 and {dtype}.itemsize == 2 and half_precision(device, {dtype}):",
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
            lines += [
                f"if ({tracked}) and ((everywhere := ordinary.everywhere) or mode.enabled):",
                *("    " + line for line in _record(op)),
            ]
            lines += [
                f"    node.output_meta = tuple([(a.shape, a.dtype) for a in out[:{op.differentiable_outputs}]])"
                if op.differentiable_outputs > 0
                else "    node.output_meta = tuple([(a.shape, a.dtype) for a in out])",
                "    for i in range(len(node.output_meta)):",
                "        made[i]._node = new_output_slot(node, i, out[i].shape)",
                "    if not everywhere:",
                f"        watch(node, {_all_tensors(op)}, tuple(made))",
            ]
        if op.view:
            attributes = "{" + ", ".join(f"{a!r}: {a}" for a in op.attributes) + "}"
            v = local_name(op.parameters[0])
            lines += ["for i in range(len(made)):", f"    attach_view(OP, made[i], {v}, {attributes}, i)"]
        return [*lines, "return tuple(made)"]
    lines += _new_tensor("out")
    if op.view:
        v = local_name(op.parameters[0])
        attributes = "{" + ", ".join(f"{a!r}: {a}" for a in op.attributes) + "}"
        lines.append(f"attach_view(OP, t, {v}, {attributes})")
    if op.rules:
        lines += [
            f"if ({tracked}) and ((everywhere := ordinary.everywhere) or mode.enabled):",
            *("    " + line for line in _record(op)),
            "    t._node = node",
            "    if not everywhere:",
            f"        watch(node, {_all_tensors(op)}, (t,))",
        ]
        lines += ["else:", "    t._node = None", *("    " + line for line in _note_cut(op))]
    else:
        lines += ["t._node = None", *_note_cut(op)]
    return [*lines, "return t"]


def _note_cut(op: Op) -> list[str]:
    """While locations are recorded, also those of results without a graph are kept, for ``why_no_grad``."""
    return ["if tracer._locate is not None:", f"    unrecorded(OP, {_all_tensors(op)}, t)"]


def _new_tensor(array: str) -> list[str]:
    return [
        "t = new(Tensor)",
        # NumPy returns a scalar where the result is 0-dimensional
        f"t._data = {array} if type({array}) is device.array_type else device.asarray({array})",
        "t._device = device",
        "t._counter = None",
        "t._view = None",
    ]


def _record(op: Op) -> list[str]:
    edges = ", ".join(f"*e_{p}" if p == op.variadic else f"e_{p}" for p in op.rules)
    lines = [
        "node = OpNode()",
        f"node.inputs = ({edges}{',' if len(op.rules) == 1 else ''})",
        "node.sequence = next_sequence()",
        "node.hooks = None",
        *(["node.shape = out.shape"] if not op.outputs else ["node.shape = None"]),
        "node.device = device",
        "node.where = None",
    ]
    for n in saved_tensors(op):
        body = _save(op, n)
        users = _users(op, n)
        if len(users) < len(op.rules):  # save only for the rules that will run
            lines += [f"if {_any_tracked(op, users)}:", *("    " + line for line in body)]
        else:
            lines += body
    for n in _meta(op):
        lines.append(f"node.saved_{n} = {_meta_value(op, n)}")
    return lines


def _save(op: Op, name: str) -> list[str]:
    if name == op.variadic:
        return [
            f"node.saved_{name} = a_{name}",
            f"node.saved_{name}_version = tuple([counter_of(t) for t in {name}])",
            f"node.saved_{name}_at = tuple([version[0] for version in node.saved_{name}_version])",
        ]
    if name in op.parameters:
        v = local_name(name)
        lines = [
            f"node.saved_{name} = a_{name}",
            f"version = {v}._counter",
            "if version is None:",
            f"    version = {v}._counter = [0]",
            f"node.saved_{name}_version = version",
            f"node.saved_{name}_at = version[0]",
        ]
        if name in op.optional:
            return [
                f"node.saved_{name} = node.saved_{name}_version = node.saved_{name}_at = None",
                f"if {v} is not None:",
                *("    " + line for line in lines),
            ]
        return lines
    made = "t" if not op.outputs else f"made[{op.outputs.index(name)}]"
    return [
        f"node.saved_{name} = {made}._data",
        f"node.saved_{name}_version = {made}._counter = [0]",
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
