"""Where in a model an exception came from: its path and layer, put into the exception's message."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chainrule.nn.module import Module


class _Trail:
    """The modules that an exception has left, innermost first, and its message before we touched it."""

    def __init__(self, error: BaseException) -> None:
        self.modules: list[Module] = []
        first = error.args[0] if error.args else None
        # str(KeyError("x")) is "'x'", and some exceptions format their arguments: those get a note instead
        self.message = first if isinstance(first, str) and str(error) == first else None
        self.note = ""


def add_path(error: BaseException, module: Module) -> None:
    """Put ``module`` in front of the path that ``error`` carries; called by each enclosing ``Module.__call__``."""
    trail = getattr(error, "_chainrule_trail", None)
    if trail is None:
        trail = _Trail(error)
        try:
            error._chainrule_trail = trail  # type: ignore[attr-defined]
        except AttributeError:
            return
    trail.modules.append(module)
    where = _describe(trail.modules)
    if trail.message is not None:
        error.args = (f"{where}: {trail.message}", *error.args[1:])
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
    names = [type(outer).__name__]
    for parent, child in zip(modules[:0:-1], modules[-2::-1], strict=True):
        names.append(name_in(parent, child))
    path = ".".join(names)
    return f"{path} ({type(inner).__name__})" if inner._modules else f"{path} ({summary})"


def name_in(parent: Module, child: Module) -> str:
    """The dotted name under which ``parent`` holds ``child``, or the child's class where it does not."""
    for name, module in parent.named_modules():
        if module is child and name:
            return name
    return f"<{type(child).__name__}>"
