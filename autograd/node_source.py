"""The source of the methods of an op's node, line by line; see ``codegen.py``."""

from __future__ import annotations

from chainrule.autograd.op import Op
from chainrule.autograd.source import is_own_shape, local_name, saved_tensors

#: inputs whose rules are products, quotients and signs alone: large arrays have their own functions for these
BY_PARTS = {
    "multiply": "xy",
    "divide": "xy",
    "negative": "x",
    "subtract": "y",
    "exp": "x",
    "log": "x",
    "reciprocal": "x",
}
#: those of which on 0-d arrays it takes NumPy eight times as long as on its scalars (which the gradient that comes
#: nearly always is already)
BY_SCALARS = frozenset({"multiply", "divide"})


def node_lines(op: Op) -> list[str]:
    """The lines of the node's methods."""
    release = ["def release(self):", *("    " + line for line in _release(op))] if saved_tensors(op) else []
    return [*_run(op, taped=False), *_run(op, taped=True), *release]


def _release(op: Op) -> list[str]:
    saved = saved_tensors(op)
    gone = [f"self.saved_{n}_version = GONE" for n in saved if n != op.variadic]
    return [*(f"self.saved_{n} = FREED" for n in saved), *gone]


def _run(op: Op, taped: bool) -> list[str]:
    head = "run_taped(self, g, needed)" if taped else "run(self, g, needed, free=False)"
    lines = [f"def {head}:", f"    xp = {'traced' if taped else 'self.device.xp'}"]
    edges = ", ".join(f"*e_{p}" if p == op.variadic else f"e_{p}" for p in op.rules)
    lines.append(f"    {edges}{',' if len(op.rules) == 1 else ''} = self.inputs")
    if op.outputs:
        if op.missing == "zeros":
            lines.append(f"    g = fill_missing(self, g, {taped})")
        if op.differentiable_outputs == 1:
            lines.append("    g = g[0]")
    if op.name in BY_SCALARS and not taped:
        lines += ["    if type(g) is ndarray and not self.shape:", "        g = g[()]"]
    results = [f"*r_{p}" if p == op.variadic else f"r_{p}" for p in op.rules]
    own = _rules(op, taped)
    if op.together is not None and not taped:
        lines += _together(op)
        own = ["    if together is None:", *("    " + line for line in own)]
    lines += own
    if not taped and saved_tensors(op):
        lines += ["    if free:", *("        " + line for line in _release(op))]
    return [*lines, f"    return ({', '.join(results)}{',' if len(results) == 1 else ''})"]


def _together(op: Op) -> list[str]:
    """All gradients by one rule, where all of them are wanted."""
    edges = [f"e_{p}" for p in op.rules]
    lines = ["    together = None"]
    lines.append(f"    if {' and '.join(f'{e} is not None' for e in edges)} and (")
    lines.append(f"        needed is None or ({' and '.join(f'{e} in needed' for e in edges)})")
    lines.append("    ):")
    for n in op.needs_together:
        lines += ["        " + line for line in _load(op, n, False)]
    call = ", ".join(["xp", "g", *op.needs_together])
    lines.append(f"        together = rule_together({call})")
    unpack = ", ".join(f"r_{p}" for p in op.rules) + ("," if len(op.rules) == 1 else "")
    return [*lines, "        if together is not None:", f"            {unpack} = together"]


def _rules(op: Op, taped: bool) -> list[str]:
    """Each wanted gradient by its own rule."""
    lines = []
    for p in op.rules:
        needs = op.needs[p]
        if p == op.variadic:
            lines.append(f"    r_{p} = (None,) * len(e_{p})")
            lines.append(f"    if any(e is not None and (needed is None or e in needed) for e in e_{p}):")
        else:
            lines.append(f"    r_{p} = None")
            lines.append(f"    if e_{p} is not None and (needed is None or e_{p} in needed):")
        for n in needs:
            lines += ["        " + line for line in _load_once(op, p, n, taped)]
        call = ", ".join(["xp", "g", *needs])
        plain = f"r_{p} = rule_{p}({call})"
        large = f"r_{p} = self.device.large.by_rule(rule_{p}, {call})"
        if op.name in BY_SCALARS and not taped:
            lines += ["        if not self.shape:", *(f"            {n} = {n}[()]" for n in needs)]
            lines += [f"            {plain}", "        elif g.size < LARGE:", f"            {plain}"]
            lines += ["        else:", f"            {large}"]
        elif p in BY_PARTS.get(op.name, ()) and not taped:
            lines += ["        if g.size < LARGE:", f"            {plain}", "        else:", f"            {large}"]
        else:
            lines.append(f"        {plain}")
        if op.broadcasts:
            lines += [
                f"        if e_{p}.shape != self.shape:",
                f"            r_{p} = unbroadcast(xp, r_{p}, e_{p}.shape)",
            ]
    return lines


def _load_once(op: Op, rule: str, name: str, taped: bool) -> list[str]:
    """Read a saved value back, unless an earlier rule that ran has done so (a hook may compute it again each time)."""
    lines = _load(op, name, taped)
    earlier = list(op.rules)[: list(op.rules).index(rule)]
    readers = [p for p in earlier if name in op.needs[p] and p != op.variadic]
    if not readers or len(lines) < 3:
        return lines
    return [f"if {' and '.join(f'r_{p} is None' for p in readers)}:", *("    " + line for line in lines)]


def _load(op: Op, name: str, taped: bool) -> list[str]:
    """Read a saved value back; saved tensors are checked for in-place changes since."""
    if is_own_shape(op, name):
        return [f"{name} = e_{name.removesuffix('_shape')}.shape"]
    if name not in saved_tensors(op):
        return [f"{name} = self.saved_{name}"]
    if name == op.variadic:
        lines = [f"{name} = restored_all(self, {name!r}, {taped})"]
        if taped:
            edges = f"e_{name}" if name in op.rules else f"(None,) * len({name})"
            lines += [
                f"saved = zip({name}, {edges}, self.saved_{name}_version)",
                f"{name} = tuple([rewrap(self, a, e, v) for a, e, v in saved])",
            ]
        return lines
    # a value that was freed or packed has another version than the one it was saved at, too
    lines = [
        f"{name} = self.saved_{name}",
        f"version = self.saved_{name}_version",
        f"if {'version is not None and ' if name in op.optional else ''}version[0] != self.saved_{name}_at:",
        f"    {name} = restored(self, {name!r}, {local_name(name)!r}, {taped})",
    ]
    if taped:
        if name in op.parameters:
            edge = f"e_{name}" if name in op.rules else "None"
        elif op.outputs:
            index = op.outputs.index(name)
            differentiable = op.differentiable_outputs < 0 or index < op.differentiable_outputs
            edge = f"output_slot(self, {index}, {name}.shape)" if differentiable else "None"
        else:
            edge = "self"
        missing = f"None if {name} is None else " if name in op.optional else ""
        lines.append(f"{name} = {missing}rewrap(self, {name}, {edge}, version)")
    return lines
