"""Declaring an op: forward, gradient rules, samples and docstring in one place.

    @op(vjp={"x": lambda xp, g, out: g * (1 - out * out)}, check=Unary(-3, 3))
    def tanh(xp, x):
        \"\"\"Hyperbolic tangent, elementwise.\"\"\"
        return xp.tanh(x)

Positional parameters after ``xp`` are tensors, keyword-only parameters are attributes. A rule names what
it needs, and only that is saved: a tensor argument (``x``), its shape (``x_shape``) or dtype
(``x_dtype``), the result (``out``, or a name from ``outputs``), or an attribute. ``g`` is the gradient
of the result; of a multi-output op it is the tuple of the gradients of its differentiable outputs.

The wrapper that runs and records an op is generated here as straight-line code for the op's own
arity (see ``codegen.py``, whose ``apply_source(op)`` shows it).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chainrule.autograd.node import Node
from chainrule.backends.namespace import register_forward

Rule = Callable[..., Any]

#: what the first tensor arguments are called in signatures and messages, as in PyTorch
PUBLIC_NAMES = {"x": "input", "y": "other"}


#: ops that compare numbers, or are defined by such: complex numbers have no order, though the array libraries give them
#: one (by real, then imaginary parts)
REAL_ONLY = frozenset(
    """
    less less_equal greater greater_equal maximum minimum fmax fmin max min argmax argmin argsort
    argument_of_cummax argument_of_cummin argument_of_median argument_of_mode part_of_order median_of_all
    bisect clip sign round step
    isposinf isneginf softmax log_softmax relu leaky_relu elu softplus hardtanh hardsigmoid hardswish hardshrink
    softshrink threshold logsigmoid rectify_by_weight gelu mish max_pool2d max_pool2d_pick window_argmax logit
    class_cross_entropy soft_cross_entropy logistic_cross_entropy binary_cross_entropy mean_squared_error huber
    standardise batch_norm layer_norm rms_norm group_norm copysign
    """.split()
)


class Op:
    """A declared operation; see the module docstring for the fields' meaning."""

    def __init__(
        self,
        forward: Callable[..., Any],
        *,
        name: str,
        vjp: Mapping[str, Rule] | None,
        check: Any,
        public: tuple[str, ...] = (),
        view: bool | str = False,
        outputs: tuple[str, ...] | None = None,
        harmonise: bool = False,
        floating: bool = False,
        broadcasts: bool = False,
        differentiable_outputs: int | None = None,
        missing: str = "zeros",
        arithmetic: bool = True,
        label: str = "",
        into: Callable[..., None] | None = None,
        together: Rule | None = None,
        large: bool = False,
    ) -> None:
        self.name = name
        self.forward = forward
        self.check = check
        self.public = public
        #: what error messages call it
        self.label = label or (public[0] if public else name)
        self.view = view
        self.outputs = outputs
        self.harmonise = harmonise
        self.floating = floating
        self.broadcasts = broadcasts
        self.missing = missing
        self.arithmetic = arithmetic
        self.into = into
        self.large = large
        self.doc = inspect.getdoc(forward)
        if not self.doc:
            raise TypeError(f"op {name!r}: a declaration needs a docstring")
        self.parameters, self.optional, self.variadic, self.attributes = _parameters(name, forward)
        self.rules: dict[str, Rule] = dict(vjp or {})
        self.differentiable = vjp is not None
        self.differentiable_outputs = (
            differentiable_outputs if differentiable_outputs is not None else len(outputs) if outputs else 1
        )
        self.needs = {argument: self._needs(argument, rule) for argument, rule in self.rules.items()}
        self.together = together
        self.needs_together = () if together is None else self._needs_together(together)
        #: what the generated code refers to, and the functions whose code is not written yet (codegen.py)
        self.names: dict[str, Any] = {}
        self.waiting: dict[str, list[Any]] = {}
        self.apply: Callable[..., Any]

    @functools.cached_property
    def node_type(self) -> type[Node]:
        """The class of its nodes, made when the first one is recorded."""
        from chainrule.autograd import codegen

        return codegen.make_node_type(self)

    def _needs(self, argument: str, rule: Rule) -> tuple[str, ...]:
        """The names a rule asks for, checked against what there is to save."""
        if argument not in self.parameters and argument != self.variadic:
            raise TypeError(f"op {self.name!r}: vjp has a rule for {argument!r}, which is no tensor argument")
        code = rule.__code__
        if code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS):
            raise TypeError(f"op {self.name!r}: the rule for {argument!r} must name what it needs, without * or **")
        taken = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]  # ten times as fast as inspect.signature
        first_two, names = list(taken[:2]), taken[2:]
        if first_two != ["xp", "g"]:
            raise TypeError(f"op {self.name!r}: the rule for {argument!r} must take (xp, g, ...), got {first_two}")
        tensors = [*self.parameters, *([self.variadic] if self.variadic else [])]
        known = {
            *tensors,
            *(f"{t}_shape" for t in tensors),
            *(f"{t}_dtype" for t in tensors),
            *self.attributes,
            *(self.outputs or ("out",)),
        }
        unknown = [n for n in names if n not in known]
        if unknown:
            raise TypeError(
                f"op {self.name!r}: the rule for {argument!r} asks for {unknown}, known names are {sorted(known)}"
            )
        return tuple(names)

    def _needs_together(self, rule: Rule) -> tuple[str, ...]:
        """The names that the rule for all arguments asks for: nothing is saved for it alone."""
        names = self._needs(next(iter(self.rules)), rule)
        saved = {n for needs in self.needs.values() for n in needs}
        if self.broadcasts or self.variadic or not saved.issuperset(names):
            raise TypeError(f"op {self.name!r}: `together` may ask only for what the rules of `vjp` ask for")
        return names

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def _parameters(
    name: str, forward: Callable[..., Any]
) -> tuple[tuple[str, ...], frozenset[str], str | None, dict[str, Any]]:
    # read off the code object: inspect.signature takes ten times as long, and there are hundreds of ops
    code = forward.__code__
    count, only = code.co_argcount, code.co_kwonlyargcount
    positional = code.co_varnames[1:count]
    keywords = code.co_varnames[count : count + only]
    variadic = code.co_varnames[count + only] if code.co_flags & inspect.CO_VARARGS else None
    defaults: tuple[Any, ...] = forward.__defaults__ or ()
    optional = positional[len(positional) - len(defaults) :]
    for parameter, default in zip(optional, defaults, strict=True):
        if default is not None:
            raise TypeError(f"op {name!r}: tensor argument {parameter!r} can only default to None")
    given: dict[str, Any] = forward.__kwdefaults__ or {}
    attributes = {k: given.get(k, inspect.Parameter.empty) for k in keywords}
    return positional, frozenset(optional), variadic, attributes


#: every declared op by name
OPS: dict[str, Op] = {}


class TracedNamespace:
    """The twin of ``xp`` for Tensors: the same functions, recorded."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"there is no op {name!r}; a rule may only use what the registry declares")


#: what rules receive as ``xp`` when they run on Tensors
traced: Any = TracedNamespace()


def op(
    *,
    vjp: Mapping[str, Rule] | None,
    check: Any,
    public: str = "",
    name: str | None = None,
    inplace: bool = False,
    method: bool = True,
    view: bool | str = False,
    outputs: Iterable[str] | None = None,
    harmonise: bool = False,
    floating: bool = False,
    broadcasts: bool = False,
    differentiable_outputs: int | None = None,
    missing: str = "zeros",
    arithmetic: bool = True,
    label: str = "",
    into: Callable[..., None] | None = None,
    together: Rule | None = None,
    large: bool = False,
) -> Callable[[Callable[..., Any]], Any]:
    """Declare an op; see the module docstring.

    Args:
        vjp: one rule for each differentiable argument; None states that the op has no gradient.
        check: samples for the op's tests (``chainrule.autograd.samples``).
        public: PyTorch's names for it, the first one being what errors and nodes call it. Empty: for rules only.
        inplace: also make the ``name_`` twins.
        method: attach the public names to Tensor too.
        view: the result shares its input's memory.
        outputs: names of the outputs when there are several.
        harmonise: bring the tensor arguments to one dtype and accept Python numbers (elementwise ops).
        floating: integer arguments are taken as the default floating dtype.
        broadcasts: gradients are summed back to the shape of their argument.
        differentiable_outputs: how many of the outputs carry gradients (the first ones); all by default.
        missing: what rules of a multi-output op get for an output that nothing used: ``"zeros"`` or ``"none"``.
        label: what errors, nodes and drawings call it, where no public name says so.
        arithmetic: False for ops that only move elements, which need no wider dtype for 2-byte floats.
        into: for an op of one differentiable argument whose gradient is mostly zeros: ``into(node, g, total)`` adds
            that gradient to an array in place, as the rule, which must make a new array, and an addition would.
        together: a rule for arrays that gives the gradients of all arguments of ``vjp`` in one go, as a tuple, or None
            where it cannot. It runs where all of them are wanted and nothing is recorded; the rules of ``vjp`` are its
            reference.
        large: large arrays go to the function of this name in ``chainrule.backends.large``.

    Returns the recorded function, with array-API keywords (``axis``, ``keepdims``).
    """

    def declare(forward: Callable[..., Any]) -> Any:
        from chainrule.autograd import codegen
        from chainrule.autograd import public as public_names

        op_name = name or forward.__name__
        record = Op(
            forward,
            name=op_name,
            vjp=vjp,
            check=check,
            public=tuple(public.split()),
            view=view,
            outputs=tuple(outputs) if outputs is not None else None,
            harmonise=harmonise,
            floating=floating,
            broadcasts=broadcasts,
            differentiable_outputs=differentiable_outputs,
            missing=missing,
            arithmetic=arithmetic,
            label=label,
            into=into,
            together=together,
            large=large,
        )
        register_forward(op_name, forward)
        codegen.prepare(record)
        OPS[op_name] = record
        setattr(traced, op_name, record.apply)
        if record.public:
            public_names.publish(record, inplace=inplace, method=method)
        return record.apply

    return declare


def formula(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let rules call ``function(xp, ...)`` as ``xp.function(...)``, so that a backend may have a kernel for it.

    On tensors it is the formula itself, of recorded ops, which has gradients of any order.
    """
    register_forward(function.__name__, function)
    setattr(traced, function.__name__, functools.partial(function, traced))
    return function
