"""Optimizer: parameter groups, state and the loop over parameters; a subclass writes only the formula."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from chainrule.autograd.modes import enable_grad
from chainrule.autograd.node import Leaf
from chainrule.autograd.op import traced
from chainrule.autograd.runtime import bump, describe, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.backends.pool import parallel
from chainrule.optim import plan as planning
from chainrule.optim import state as saving
from chainrule.optim.plan import Chunk, Slot

Params = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


class Optimizer:
    """Base of the optimizers: holds parameters in groups that share settings, and what is remembered of each.

    A new optimizer writes ``update``, and ``init_state`` if it remembers anything. Both get arrays of the
    parameter's device and the functions ``xp`` for them (with ``differentiable=True`` Tensors and recorded
    functions), so one formula runs everywhere. Weight decay (``group["weight_decay"]``) and ``maximize`` are
    done before ``update`` is called.

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
    #: joined in one flat array, large ones in pieces (``p`` is None in both cases)
    elementwise = False
    #: weight decay shrinks the parameter itself instead of being added to the gradient (AdamW)
    decoupled_decay = False

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                f"{self._label}: params must be an iterable of tensors or dicts, got a single {describe(params)}"
            )
        if isinstance(params, set):
            raise TypeError(f"{self._label}: params must be ordered, got a set, whose order changes between runs")
        lr = defaults.get("lr", 0.0)
        if not isinstance(lr, (int, float, Tensor)) or isinstance(lr, bool):
            raise TypeError(f"{self._label}: lr must be a number, got {lr!r}")
        if not lr >= 0:
            raise ValueError(f"{self._label}: lr must not be negative, got {lr}")
        decay = defaults.get("weight_decay", 0.0)
        if not decay >= 0:
            raise ValueError(f"{self._label}: weight_decay must not be negative, got {decay}")
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self._slots: dict[Tensor, Slot] = {}
        self._plans: dict[int, planning.Plan] = {}
        given = list(params)
        if not given:
            raise ValueError(f"{self._label}: params is empty; if it is a generator, was it used up before?")
        groups = given if isinstance(given[0], dict) else [{"params": given}]
        for group in groups:
            self.add_param_group(group)  # type: ignore[arg-type]

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
        if not isinstance(param_group, dict):
            raise TypeError(f"{self._label}: a parameter group must be a dict, got {type(param_group).__name__}")
        given = param_group.get("params")
        if given is None:
            raise ValueError(f"{self._label}: a parameter group must have 'params', got {sorted(param_group)}")
        if isinstance(given, set):
            raise TypeError(f"{self._label}: params must be ordered, got a set, whose order changes between runs")
        entries = [given] if isinstance(given, Tensor) else list(given)
        names = [e[0] for e in entries if isinstance(e, tuple)]
        params = [e[1] if isinstance(e, tuple) and len(e) == 2 else e for e in entries]
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for i, p in enumerate(params):
            where = f"params[{i}]" + (f" ({names[i]!r})" if len(names) == len(params) else "")
            if not isinstance(p, Tensor):
                raise TypeError(f"{self._label}: {where} must be a Tensor, got {type(p).__name__}")
            if not p.is_leaf and not self.defaults.get("differentiable"):
                raise ValueError(
                    f"{self._label}: {where} is the result of {p.grad_fn}; only leaf tensors can be optimized"
                )
            try:
                _ = p.shape
            except RuntimeError as error:  # of a lazy module that was not called yet
                raise ValueError(f"{self._label}: {where} cannot be optimized: {error}") from None
            if id(p) in known:
                raise ValueError(f"{self._label}: {where} is given more than once")
            known.add(id(p))
        group = {**self.defaults, **param_group, "params": params}
        if names:
            group["param_names"] = names
        self.param_groups.append(group)

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
                self._step_recorded(params, grads, group)
                continue
            settings = group
            if isinstance(group.get("lr"), Tensor):
                settings = {**group, "lr": float(group["lr"])}
            plan = self._plans.get(index)
            if plan is None or not plan.fits(params):
                plan = self._plans[index] = planning.make(self, plan, params, group)
            chunks = plan.chunks
            if not (group.get("weight_decay") or group.get("maximize")):
                chunks = plan.others
                for i, p, state, xp in plan.plain:
                    state["step"] += 1
                    array = p._data
                    array -= self.update(xp, array, grads[i]._data, state, settings)
                    if p._counter is not None:
                        bump(p)
            for chunk in chunks:
                self._advance(chunk, [grads[i]._data for i in chunk.places], settings)
        return loss

    def _advance(self, chunk: Chunk, grads: list[Any], group: dict[str, Any]) -> None:
        """One update of the parameters of one chunk."""
        state, xp, params = chunk.state, chunk.device.xp, chunk.params
        state["step"] += 1
        if chunk.half or group.get("weight_decay") or group.get("maximize"):
            grads = [self._prepared(xp, chunk, p._data, g, group) for p, g in zip(params, grads)]
        if len(params) == 1:
            array, g = params[0]._data, grads[0]
            if not array.ndim:
                array, g = array.reshape(1), g.reshape(1)
            if chunk.blocks and array.flags.c_contiguous and g.flags.c_contiguous:
                self._advance_blocks(chunk, array.reshape(-1), g.reshape(-1), group)
            else:
                delta = self.update(xp, array, g, state, group)
                array -= xp.astype(delta, array.dtype) if chunk.half else delta
        else:
            flat = xp.concat([g.reshape(-1) for g in grads])
            delta = self.update(xp, None, flat, state, group)
            if chunk.half:
                delta = xp.astype(delta, params[0]._data.dtype)
            for p, (start, end) in zip(params, chunk.bounds):
                array = p._data
                array -= delta[start:end].reshape(array.shape)
        for p in params:
            if p._counter is not None:  # something saved it, and must notice the change
                bump(p)

    def _advance_blocks(self, chunk: Chunk, p: Any, g: Any, group: dict[str, Any]) -> None:
        """An update of one large tensor in pieces: each stays in the cache until it is done, and takes any core."""
        xp, arrays = chunk.device.xp, chunk.device.array_type
        flat = {k: v.reshape(-1) for k, v in chunk.state.items() if isinstance(v, arrays)}
        parts = [slice(start, start + planning.BLOCK) for start in range(0, p.size, planning.BLOCK)]
        pieces: list[Any] = [None] * len(parts)

        def advance(i: int) -> None:
            part = parts[i]
            views = {k: v[part] for k, v in flat.items()}
            pieces[i] = {**chunk.state, **views}
            p[part] -= self.update(xp, None, g[part], pieces[i], group)
            for k, v in views.items():
                if pieces[i][k] is not v:  # assigned instead of changed in place
                    v[...] = pieces[i][k]

        parallel(advance, len(parts))
        for k, v in pieces[0].items():
            if not isinstance(v, arrays):
                chunk.state[k] = v
            elif k not in flat:  # made by this first update
                chunk.state[k] = xp.concat([piece[k] for piece in pieces]).reshape(chunk.params[0]._data.shape)

    def _prepared(self, xp: Any, chunk: Chunk, p: Any, g: Any, group: dict[str, Any]) -> Any:
        """The gradient after ``maximize`` and weight decay; in float32 for half-precision parameters."""
        if chunk.half:
            g = xp.astype(g, chunk.dtype)
        if group.get("maximize"):
            g = -g
        decay = group.get("weight_decay")
        if decay:
            if self.decoupled_decay:
                p *= 1.0 - group["lr"] * decay
            else:
                g = g + p * decay
        return g

    def _step_recorded(self, params: list[Tensor], grads: list[Any], group: dict[str, Any]) -> None:
        """The same update on Tensors, recorded: gradients flow through the optimizer's step."""
        with enable_grad():
            for p, g in zip(params, grads):
                slot = self._slots.get(p)
                if slot is None:
                    made = self.init_state(p._device.xp, p._data, group)
                    slot = self._slots[p] = Slot(0, made)
                # clones, because what the last step saved must stay as it was
                state = {k: self._recorded(v, p) for k, v in slot.entries.items()}
                state["step"] = slot.step = slot.step + 1
                if group.get("maximize"):
                    g = -g
                decay, lr = group.get("weight_decay"), group["lr"]
                if decay and self.decoupled_decay:
                    p.mul_(1 - lr * decay)
                elif decay:
                    g = g + p * decay
                p.sub_(self.update(traced, p, g, state, group))
                slot.entries = {k: v for k, v in state.items() if k != "step"}

    @staticmethod
    def _recorded(value: Any, p: Tensor) -> Any:
        if isinstance(value, Tensor):
            return value.clone()
        return wrap(value.copy(), p._device) if isinstance(value, p._device.array_type) else value

    # ---- state ------------------------------------------------------------------------------------------------------

    def export_state(self, xp: Any, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
        """The state of a parameter as PyTorch keeps it; the same dict unless a subclass keeps it in another form."""
        return state

    def import_state(self, xp: Any, state: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
        """The inverse of :meth:`export_state`."""
        return state

    @property
    def state(self) -> dict[Tensor, dict[str, Any]]:
        """A copy of what is remembered of each parameter, by PyTorch's names; the arrays as Tensors."""
        return saving.export(self)

    def slots(self) -> Iterator[tuple[Tensor, Slot, dict[str, Any]]]:
        """Each parameter that was updated, its state and its group."""
        for plan in self._plans.values():
            plan.write_back(self._slots)
        for group in self.param_groups:
            for p in group["params"]:
                if p in self._slots:
                    yield p, self._slots[p], group

    def state_dict(self) -> dict[str, Any]:
        """Settings and state in PyTorch's form: ``{"state": {index: {...}}, "param_groups": [...]}``."""
        return saving.state_dict(self)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the settings and the state of an optimizer of the same kind for the same parameters.

        Raises ValueError when groups, parameters or shapes differ; nothing is changed then.
        """
        saving.load(self, state_dict)

    def __getstate__(self) -> dict[str, Any]:
        list(self.slots())
        return {**self.__dict__, "_plans": {}}

    def __repr__(self) -> str:
        lines = [f"{self._label} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key not in ("params", "param_names")]
        return "\n".join([*lines, ")"])
