"""Optimizer: parameter groups, state, hooks and the step; a subclass writes only the formula."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from chainrule.autograd.modes import enable_grad
from chainrule.autograd.node import HookDict, Leaf, RemovableHandle
from chainrule.autograd.runtime import bump
from chainrule.autograd.tensor import Tensor
from chainrule.optim import fused, hooks, updating
from chainrule.optim import groups as grouping
from chainrule.optim import plan as planning
from chainrule.optim import state as saving
from chainrule.optim.hooks import register_optimizer_step_post_hook as register_optimizer_step_post_hook
from chainrule.optim.hooks import register_optimizer_step_pre_hook as register_optimizer_step_pre_hook
from chainrule.optim.plan import Slot

Params = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
ParamsT = Params  # PyTorch's name


class Optimizer:
    """Base of the optimizers: holds parameters in groups that share settings, and what is remembered of each.

    A new optimizer writes ``update``, and ``init_state`` if it remembers anything. Both get arrays of the
    parameter's device and the functions ``xp`` for them (with ``differentiable=True`` Tensors and recorded
    functions), so one formula runs everywhere. Weight decay (``group["weight_decay"]``) and ``maximize`` are
    done before ``update`` is called. An optimizer that is no such formula overrides ``step`` and keeps what it
    remembers in ``self.state[p]``, as with PyTorch.

    Args:
        params: the tensors to optimize, ``(name, tensor)`` pairs, or groups: dicts with ``"params"`` and
            settings of their own.
        defaults: the settings of groups that do not name them.

    Raises:
        TypeError: a parameter is no Tensor. ValueError: there are none, one is given twice or is no leaf.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.optim import Optimizer
        >>> class SignDescent(Optimizer):
        ...     def __init__(self, params, lr=0.1):
        ...         super().__init__(params, {"lr": lr})
        ...     def update(self, xp, p, g, state, group):
        ...         return xp.sign(g) * group["lr"]
        >>> w = cr.tensor([1.0, -1.0], requires_grad=True)
        >>> (w * w).sum().backward()
        >>> SignDescent([w]).step()
        >>> w.detach()
        tensor([ 0.9000, -0.9000])
    """

    #: ``update`` treats every element alike and reads ``g`` and ``state`` only: small tensors may then be handed to it
    #: joined in one flat array, large ones in pieces, complex ones as pairs of real numbers (``p`` is None)
    elementwise = False
    #: an elementwise ``update`` that reads ``p`` too
    reads_parameter = False
    #: weight decay shrinks the parameter itself instead of being added to the gradient (AdamW); None: the formula does
    #: its own. A group's ``"decoupled_weight_decay"`` comes before it
    decoupled_decay: bool | None = False
    #: whether PyTorch's state dict has the number of updates of each parameter
    counts = True
    #: names of single numbers in the state, which are Tensors in a state dict
    numbers: tuple[str, ...] = ()

    _hooks: dict[str, HookDict]
    _opt_called = False
    _in_step = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "step" in cls.__dict__:
            cls.step = hooks.hooked(cls.step)  # type: ignore[method-assign]

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                f"{self._label}: params must be an iterable of tensors or dicts, got a single {grouping.kind(params)}"
            )
        grouping.check_settings(self._label, defaults)
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self._hooks = {kind: HookDict() for kind in hooks.KINDS}
        # what is remembered of a parameter is in one of the two: as people see it, or as `update` wants it
        self._state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self._slots: dict[Tensor, Slot] = {}
        self._plans: dict[int, planning.Plan] = {}
        for group in grouping.as_groups(self._label, params):
            self.add_param_group(group)

    @property
    def _label(self) -> str:
        return type(self).__name__

    # ---- what a subclass writes -------------------------------------------------------------------------------------

    def init_state(self, xp: Any, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        """What is remembered of a parameter before its first step: arrays of ``p``'s shape, and numbers, by name."""
        return {}

    def update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> Any:
        """What to subtract from ``p``, given its gradient ``g``; may change ``state``, and not ``g``.

        ``state["step"]`` counts the updates of this parameter, this one included.
        """
        raise NotImplementedError(f"{self._label} does not define update()")

    def gathers(self, group: dict[str, Any]) -> bool:
        """Whether joining small tensors pays; not when the formula has only one or two operations."""
        return self.elementwise

    # ---- groups -----------------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with settings of their own; see the class for what is accepted.

        Raises TypeError or ValueError as the constructor does; the optimizer is then as it was.
        """
        self.param_groups.append(grouping.checked(self._label, self.param_groups, self.defaults, param_group))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                node = p._node
                if set_to_none:
                    if type(node) is Leaf:
                        node.grad = None
                    else:
                        p.grad = None
                elif p.grad is not None:
                    if p.grad._node is not None:
                        p.grad = p.grad.detach()
                    p.grad.zero_()

    # ---- the step ---------------------------------------------------------------------------------------------------

    @hooks.hooked
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: computes the loss anew, with gradients; called first, and its result returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for index, group in enumerate(self.param_groups):
            params, grads = [], []
            for p in group["params"]:
                g = p.grad
                if g is not None:
                    params.append(p)
                    grads.append(g)
            if not params:
                continue
            if group.get("differentiable"):
                updating.recorded(self, params, grads, group)
                continue
            settings = group
            if isinstance(group.get("lr"), Tensor) or isinstance(group.get("weight_decay"), Tensor):
                settings = {k: float(v) if isinstance(v, Tensor) else v for k, v in group.items()}
            plan = self._plans.get(index)
            if plan is None or not plan.fits(params):
                plan = self._plans[index] = planning.make(self, plan, params, grads, group)
            chunks = plan.chunks
            if plan.fused is None:
                plan.fused = fused.suits(self, chunks, group)
            if plan.fused:
                left = fused.advance(self, chunks, grads, settings)
                plan.fused = len(left) < len(chunks)
                if left:
                    updating.advance(self, left, grads, settings)
                continue
            if not (group.get("weight_decay") or group.get("maximize")):
                chunks = plan.others
                for i, p, state, xp in plan.plain:
                    state["step"] += 1
                    array = p._data
                    array -= self.update(xp, array, grads[i]._data, state, settings)
                    if p._counter is not None:  # something saved it, and must notice the change
                        bump(p)
            if chunks:
                updating.advance(self, chunks, grads, settings)
        return loss

    # ---- state ------------------------------------------------------------------------------------------------------

    def export_state(self, xp: Any, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
        """The state of a parameter as PyTorch keeps it; the same dict unless a subclass keeps it in another form."""
        return state

    def import_state(self, xp: Any, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
        """The inverse of :meth:`export_state`."""
        return state

    @property
    def state(self) -> defaultdict[Tensor, dict[str, Any]]:
        """What is remembered of each parameter, by PyTorch's names; what is changed there counts at the next step."""
        saving.settle(self)
        return self._state

    @state.setter
    def state(self, value: Mapping[Tensor, dict[str, Any]]) -> None:
        self._slots, self._plans = {}, {}
        self._state = value if isinstance(value, defaultdict) else defaultdict(dict, value)

    def slots(self) -> Iterator[tuple[Tensor, Slot, dict[str, Any]]]:
        """Each parameter that is remembered as ``update`` wants it, with that and its group."""
        for plan in self._plans.values():
            plan.write_back(self._slots)
        for group in self.param_groups:
            for p in group["params"]:
                if p in self._slots:
                    yield p, self._slots[p], group

    def state_dict(self) -> dict[str, Any]:
        """Settings and state in PyTorch's form: ``{"state": {index: {...}}, "param_groups": [...]}``; a copy."""
        for hook in list(self._hooks["state_dict_pre"].values()):
            hook(self)
        found = saving.state_dict(self)
        for hook in list(self._hooks["state_dict_post"].values()):
            changed = hook(self, found)
            found = found if changed is None else changed
        return found

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the settings and the state of an optimizer of the same kind for the same parameters.

        Args:
            state_dict: of this library or of PyTorch.

        Raises ValueError when groups, parameters, names or shapes differ; nothing is changed then.
        """
        if isinstance(state_dict, Mapping):
            state_dict = dict(state_dict)  # a hook may change it
        for hook in list(self._hooks["load_state_dict_pre"].values()):
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        saving.load(self, state_dict)
        for hook in list(self._hooks["load_state_dict_post"].values()):
            hook(self)

    # ---- hooks ------------------------------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; it may return other ``(args, kwargs)``."""
        return hooks.add(self._hooks["step_pre"], hook)

    def register_step_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return hooks.add(self._hooks["step_post"], hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., None], prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer)`` before the state is saved."""
        return hooks.add(self._hooks["state_dict_pre"], hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` after it is saved; it may return another dict."""
        return hooks.add(self._hooks["state_dict_post"], hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before a state is loaded; it may return another dict."""
        return hooks.add(self._hooks["load_state_dict_pre"], hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., None], prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer)`` after a state was loaded."""
        return hooks.add(self._hooks["load_state_dict_post"], hook, prepend)

    # ---- copies and display -----------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the hooks, which PyTorch leaves out too, and arrangements that are made anew."""
        list(self.slots())
        left_out = ("_hooks", "_plans", "_in_step", "step")  # `step` where something replaced it
        return {k: v for k, v in self.__dict__.items() if k not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._plans = {}
        if "_hooks" not in self.__dict__:
            self._hooks = {kind: HookDict() for kind in hooks.KINDS}

    def __repr__(self) -> str:
        lines = [f"{self._label} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
            lines.append("")
        return "\n".join(lines)[:-1] + "\n)"
