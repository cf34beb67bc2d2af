"""Where in a model an exception came from: its path and layer, and what fed it, put into the exception's message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.autograd.tensor import Tensor

if TYPE_CHECKING:
    from chainrule.nn.module import Module


class _Trail:
    """The modules that an exception has left, innermost first, and its message before we touched it."""

    def __init__(self, error: BaseException, args: tuple[Any, ...]) -> None:
        self.modules: list[Module] = []
        self.maker = next((x.grad_fn for x in args if isinstance(x, Tensor)), None)
        first = error.args[0] if error.args else None
        # str(KeyError("x")) is "'x'", and some exceptions format their arguments: those get a note instead
        self.message = first if isinstance(first, str) and str(error) == first else None
        self.note = ""


def add_path(error: BaseException, module: Module, args: tuple[Any, ...]) -> None:
    """Put ``module`` in front of the path that ``error`` carries; called by each enclosing ``Module.__call__``."""
    trail = getattr(error, "_chainrule_trail", None)
    if trail is None:
        trail = _Trail(error, args)
        try:
            error._chainrule_trail = trail  # type: ignore[attr-defined]
        except AttributeError:
            return
    trail.modules.append(module)
    where = _describe(trail.modules)
    if trail.message is not None:
        error.args = (f"{where}: {trail.message}{_feeder(trail)}", *error.args[1:])
        return
    notes = getattr(error, "__notes__", [])
    if trail.note in notes:
        notes.remove(trail.note)
    trail.note = f"in {where}"
    error.add_note(trail.note)


def _describe(modules: list[Module]) -> str:
    """``Net.encoder.2 (Linear(in_features=3, out_features=4, bias=True))``"""
    inner, outer = modules[0], modules[-1]
    summary = f"{type(inner).__name__}({inner.extra_repr()})"
    if inner is outer:
        return type(inner).__name__ if inner._modules else summary
    path = _path(modules)
    return f"{path} ({type(inner).__name__})" if inner._modules else f"{path} ({summary})"


def _path(modules: list[Module]) -> str:
    """``Net.encoder.2`` of the modules from the innermost to the outermost."""
    names = [type(modules[-1]).__name__]
    for parent, child in zip(modules[:0:-1], modules[-2::-1], strict=True):
        names.append(name_in(parent, child))
    return ".".join(names)


def _feeder(trail: _Trail) -> str:
    """``; Net.encoder.1 (ReLU()) fed it``, where one can tell what made the input of the layer that raised."""
    modules = trail.modules
    if modules[0]._modules or not type(modules[0]).__module__.startswith("chainrule.nn."):
        return ""
    for depth, outer in enumerate(modules[1:], 1):
        if not _is_chain(outer):
            break
        children = [child for child in outer._modules.values() if child is not None]
        place = next((i for i, child in enumerate(children) if child is modules[depth - 1]), 0)
        if place:  # the first of a chain has the chain's own input: look one level further out
            before = [children[place - 1], *modules[depth:]]
            return f"; {_describe(before)} fed it"
    if trail.maker is None:
        return ""
    layer = _last_parameter(trail.maker, modules[-1])
    made = trail.maker.name().removesuffix("Backward0").lower()
    return f"; {made} fed it" + (f", after {type(modules[-1]).__name__}.{layer}" if layer else "")


def _is_chain(module: Module) -> bool:
    """Whether each child of ``module`` gets what the one before it returned."""
    from chainrule.nn.containers import Sequential  # which is itself made of modules

    return isinstance(module, Sequential) and type(module).forward is Sequential.forward


def _last_parameter(maker: Any, model: Module) -> str:
    """The path of the layer of ``model`` whose parameter stands nearest to ``maker`` in the graph, or nothing."""
    layers = {id(p): name.rpartition(".")[0] for name, p in model.named_parameters()}
    level, seen = [maker], 0
    while level and seen < 100:  # breadth first, and not through all of a deep model
        seen += len(level)
        before = [node for maker in level if maker is not None for node, _ in maker.next_functions]
        for node in before:
            if layers.get(id(getattr(node, "variable", None))):
                return layers[id(node.variable)]
        level = before
    return ""


def name_in(parent: Module, child: Module) -> str:
    """The dotted name under which ``parent`` holds ``child``, or the child's class where it does not."""
    for name, module in parent.named_modules():
        if module is child and name:
            return name
    return f"<{type(child).__name__}>"
