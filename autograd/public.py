"""Publishing: PyTorch's names, as functions of ``chainrule`` and as methods of Tensor.

An op's own function has the Array API's keywords (``axis``, ``keepdims``); the published one has PyTorch's
positions and names (``dim``, ``keepdim``) and takes the other spelling as well. A dotted name (``linalg.det``) is a
function of that module and no method.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from chainrule.autograd.inplace import make_inplace, make_inplace_view
from chainrule.autograd.methods import TensorMethods
from chainrule.autograd.op import PUBLIC_NAMES, Op
from chainrule.autograd.out import write_out
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])

#: every public function by PyTorch's name
FUNCTIONS: dict[str, Callable[..., Any]] = {}

#: the op behind a public name, where there is exactly one
OP_OF: dict[str, Op] = {}

_RENAMED = {"axis": "dim", "keepdims": "keepdim"}
_UNSET: Any = inspect.Parameter.empty


class _Given:
    def __repr__(self) -> str:
        return "..."


#: default of an alternative keyword that was not given
NOT_GIVEN: Any = _Given()


def publish(op: Op, *, inplace: bool, method: bool) -> None:
    """Make an op's public names reachable."""
    function = op.apply if not op.attributes else _with_torch_signature(op)
    for name in op.public:
        _attach(name, function, method)
        OP_OF[name] = op
        if inplace and "." not in name:
            _attach(f"{name}_", make_inplace(name, function, op), method)


def function(
    names: str = "", *, method: bool = True, inplace: bool | str = False, publish: bool = True
) -> Callable[[F], F]:
    """Publish a handwritten function, composed of ops, under PyTorch's names (default: its own).

    ``inplace`` also makes the ``name_`` twins: True for those that write, ``"view"`` for those that change the shape.
    """

    def decorate(f: F) -> F:
        for name in (names or f.__name__).split():
            if publish:
                _attach(name, f, method, _as_function(name, f))
            if inplace:
                twin = make_inplace_view(name, f) if inplace == "view" else make_inplace(name, f, None)
                _attach(f"{name}_", twin, method)
        return f

    return decorate


def method_only(names: str = "") -> Callable[[F], F]:
    """Attach a handwritten function to Tensor without publishing it as a function."""

    def decorate(f: F) -> F:
        for name in (names or f.__name__).split():
            setattr(TensorMethods, name, f)
        return f

    return decorate


def _as_function(name: str, f: Callable[..., Any]) -> Callable[..., Any]:
    """``f`` as a function: with ``out=``, and where its first argument must be a Tensor with a readable error if not.

    As a method it is called on a Tensor, and has no ``out=``.
    """
    first = next(iter(f.__code__.co_varnames[: f.__code__.co_argcount]), None)
    returns = str(f.__annotations__.get("return", "Any"))

    @functools.wraps(f)
    def with_out(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        return f(*args, **kwargs) if out is None else write_out(name, f, args, kwargs, out)

    if first is None or f.__annotations__.get(first) != "Tensor":
        return f if returns in ("bool", "int", "str", "dtypes.dtype", "Size", "None") else with_out

    @functools.wraps(f)
    def checked(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is not None:
            return write_out(name, checked, args, kwargs, out)
        value = args[0] if args else kwargs.get(first)
        if not isinstance(value, Tensor):
            if not args and first not in kwargs:
                return f(**kwargs)  # Python's own error for the missing argument
            raise TypeError(f"{name}: argument {first!r} must be a Tensor, got {describe(value)}")
        return f(*args, **kwargs)

    return checked


def _attach(name: str, f: Callable[..., Any], method: bool, as_function: Callable[..., Any] | None = None) -> None:
    if name in FUNCTIONS:
        raise ValueError(f"the public name {name!r} is taken twice")
    FUNCTIONS[name] = as_function or f
    if method and "." not in name:
        setattr(TensorMethods, name, f)


def of_module(module: str) -> dict[str, Callable[..., Any]]:
    """The public functions of ``chainrule.<module>`` (``""`` for ``chainrule`` itself) by their names in it."""
    prefix = f"{module}." if module else ""
    names = [(name, name.removeprefix(prefix)) for name in FUNCTIONS if name.startswith(prefix)]
    return {short: FUNCTIONS[name] for name, short in names if "." not in short}


def _with_torch_signature(op: Op) -> Callable[..., Any]:
    """``sum(input, dim=None, keepdim=False, *, axis=..., keepdims=...)`` around ``sum(x, *, axis, keepdims)``."""
    tensors = [PUBLIC_NAMES.get(p, p) for p in op.parameters]
    head = [t + ("=None" if p in op.optional else "") for t, p in zip(tensors, op.parameters, strict=True)]
    attributes, tail, body, call = [], [], [], []
    for name, default in op.attributes.items():
        public = _RENAMED.get(name, name)
        attributes.append(public if default is _UNSET else f"{public}=default_{name}")
        call.append(f"{name}={public}")
        if public != name:
            tail.append(f"{name}=NOT_GIVEN")
            body += [f"    if {name} is not NOT_GIVEN:", f"        {public} = {name}"]
            if default is _UNSET:
                attributes[-1] = f"{public}=NOT_GIVEN"
                body += [
                    f"    if {public} is NOT_GIVEN:",
                    f"        raise TypeError('{op.label}: missing argument {public!r}')",
                ]
    tail.append("out=None")
    signature = ", ".join([*head, *attributes, "*", *tail])
    body += [
        "    if out is not None:",
        f"        return write_out({op.label!r}, apply, ({', '.join(tensors)},), dict({', '.join(call)}), out)",
    ]
    name = op.label.rpartition(".")[2]
    source = "\n".join(
        [f"def {name}({signature}):", *body, f"    return apply({', '.join([*tensors, *call])})"]
    ).replace("''", "'")
    names: dict[str, Any] = {
        "apply": op.apply,
        "NOT_GIVEN": NOT_GIVEN,
        "write_out": write_out,
        **{f"default_{k}": v for k, v in op.attributes.items()},
    }
    exec(compile(source, f"<chainrule function {name}>", "exec"), names)
    f: Callable[..., Any] = names[name]
    f.__doc__ = op.doc
    f.__module__ = "chainrule"
    return f
