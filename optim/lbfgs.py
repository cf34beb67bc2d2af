"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.autograd.modes import enable_grad
from chainrule.autograd.runtime import bump, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.optim.groups import not_negative
from chainrule.optim.line_search import strong_wolfe
from chainrule.optim.optimizer import Optimizer, Params
from chainrule.optim.plan import check_dtype, computed_in, flat_reals


class LBFGS(Optimizer):
    """Quasi-Newton steps from the last few changes of the gradient (Liu and Nocedal, 1989).

    One ``step`` does up to ``max_iter`` iterations and calls the closure, which computes the loss of the whole data
    set, once or more in each.

    Args:
        lr: length of a step along the direction; without line search usually 1.
        max_iter: iterations of one step.
        max_eval: calls of the closure after which a step ends; None: 1.25 times ``max_iter``.
        tolerance_grad: a step ends when no element of the gradient is larger.
        tolerance_change: a step ends when neither the loss nor any parameter changes by more.
        history_size: how many changes are remembered, each of them two copies of the parameters.
        line_search_fn: None, or ``"strong_wolfe"``.

    Raises:
        ValueError: a number is out of range, or there is more than one parameter group.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([3.0, -2.0], requires_grad=True)
        >>> optimizer = cr.optim.LBFGS([w], line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = ((w - 1) ** 4).sum()
        ...     loss.backward()
        ...     return loss
        >>> for _ in range(3):
        ...     loss = optimizer.step(closure)
        >>> closure().item() < 1e-6
        True
    """

    elementwise = True  # complex parameters are pairs of real ones

    def __init__(
        self,
        params: Params,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        not_negative("LBFGS", tolerance_grad=tolerance_grad, tolerance_change=tolerance_change)
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(f"LBFGS: line_search_fn must be 'strong_wolfe' or None, got {line_search_fn!r}")
        if history_size < 1:
            raise ValueError(f"LBFGS: history_size must be positive, got {history_size}")
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        for p in self._params:
            check_dtype(self, p, self.defaults)
        if len({p._device for p in self._params}) > 1:
            raise ValueError(
                f"LBFGS: all parameters must be on one device, got {sorted({str(p.device) for p in self._params})}"
            )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """The constructor's group; there cannot be a second."""
        if self.param_groups:
            raise ValueError("LBFGS: there can be only one parameter group: its steps take all parameters together")
        super().add_param_group(param_group)

    @property
    def _params(self) -> list[Tensor]:
        params: list[Tensor] = self.param_groups[0]["params"]
        return params

    # ---- parameters as one vector -----------------------------------------------------------------------------------

    def _flat(self, arrays: list[Any]) -> Any:
        """Arrays like the parameters as one vector of real numbers (float32 for half precision)."""
        xp = self._params[0]._device.xp
        return xp.concat([xp.astype(row, computed_in(row.dtype)) for row in map(flat_reals, arrays)])

    def _gradient(self) -> Any:
        xp = self._params[0]._device.xp
        return self._flat([xp.zeros_like(p._data) if p.grad is None else p.grad._data for p in self._params])

    def _move_to(self, start: list[Any], t: float, direction: Any) -> None:
        """Set the parameters to ``start + t * direction``."""
        end = 0
        for p, origin in zip(self._params, start, strict=True):
            array, xp = p._data, p._device.xp
            row = flat_reals(origin)
            begin, end = end, end + row.size
            row = xp.astype(row + xp.astype(direction[begin:end], computed_in(array.dtype)) * t, row.dtype)
            array[...] = (row.view(array.dtype) if array.dtype.kind == "c" else row).reshape(array.shape)
            bump(p)

    # ---- the step ---------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to ``max_iter`` iterations.

        Args:
            closure: clears the gradients, computes the loss, calls ``backward()`` and returns the loss.

        Returns:
            The loss before the step.
        """
        if closure is None:
            raise TypeError("LBFGS.step: expected a closure that computes the loss and its gradients, got None")
        group, params = self.param_groups[0], self._params
        xp, device = params[0]._device.xp, params[0]._device

        def evaluate() -> tuple[float, Any]:
            with enable_grad():
                value = float(closure())
            return value, self._gradient()

        def largest(vector: Any) -> float:
            return float(xp.max(xp.abs(vector))) if vector.size else 0.0

        state = self.state[params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        with enable_grad():
            first_loss = closure()
        loss, g = float(first_loss), self._gradient()
        calls = 1
        state["func_evals"] += 1
        if largest(g) <= group["tolerance_grad"]:
            return first_loss
        lr, small = float(group["lr"]), group["tolerance_change"]
        memory, before = _History.from_state(state, xp), loss
        for done in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = memory.direction(g, group["history_size"])
            before = loss
            t = min(1.0, 1.0 / float(xp.sum(xp.abs(g)))) * lr if state["n_iter"] == 1 else lr
            slope = float(xp.matmul(g, direction))
            memory.t = t
            if slope > -small:  # no way down
                break
            start = [p._data.copy() for p in params]
            new_calls = 0
            if group["line_search_fn"] is not None:

                def at(t: float, start: list[Any] = start, direction: Any = direction) -> tuple[float, Any]:
                    self._move_to(start, t, direction)
                    return evaluate()

                search = strong_wolfe(at, xp, t, direction, loss, g, slope, small, group["max_eval"] - calls)
                loss, g, t, new_calls = search
                self._move_to(start, t, direction)
            else:
                self._move_to(start, t, direction)
                if done != group["max_iter"]:
                    loss, g = evaluate()
                    new_calls = 1
            memory.t = t
            calls += new_calls
            state["func_evals"] += new_calls
            if done == group["max_iter"] or calls >= group["max_eval"] or largest(g) <= group["tolerance_grad"]:
                break
            if largest(direction) * abs(t) <= small or abs(loss - before) < small:
                break
        if memory.d is not None:
            state.update(memory.to_state(lambda a: wrap(a, device)), prev_loss=before)
        return first_loss


class _History:
    """The last changes of gradient (``y``) and parameters (``s``), and what the next direction is made of."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp
        self.y: list[Any] = []
        self.s: list[Any] = []
        self.rho: list[float] = []
        self.scale = 1.0
        self.d: Any = None
        self.t = 0.0
        self.g: Any = None

    def direction(self, g: Any, size: int) -> Any:
        """Minus the inverse Hessian times ``g``, by the two-loop recursion."""
        xp = self.xp
        if self.d is None:
            self.d, self.g = -g, g
            return self.d
        y, s = g - self.g, self.d * self.t
        self.g = g
        curvature = float(xp.matmul(y, s))
        if curvature > 1e-10:
            for entries, new in ((self.y, y), (self.s, s), (self.rho, 1.0 / curvature)):
                if len(entries) == size:
                    del entries[0]
                entries.append(new)
            self.scale = curvature / float(xp.matmul(y, y))
        q, weights = -g, []
        for y, s, rho in zip(reversed(self.y), reversed(self.s), reversed(self.rho), strict=True):
            weights.append(float(xp.matmul(s, q)) * rho)
            q = q - y * weights[-1]
        q = q * self.scale
        for y, s, rho, weight in zip(self.y, self.s, self.rho, reversed(weights), strict=True):
            q = q + s * (weight - float(xp.matmul(y, q)) * rho)
        self.d = q
        return q

    @classmethod
    def from_state(cls, state: dict[str, Any], xp: Any) -> _History:
        """As :meth:`to_state`, or PyTorch, left it."""
        found = cls(xp)
        if state.get("d") is not None:
            found.d, found.g = state["d"]._data, state["prev_flat_grad"]._data
            found.y = [y._data for y in state["old_dirs"]]
            found.s = [s._data for s in state["old_stps"]]
            found.rho = [float(r) for r in state["ro"]]
            found.scale, found.t = float(state["H_diag"]), float(state["t"])
        return found

    def to_state(self, tensor: Callable[[Any], Tensor]) -> dict[str, Any]:
        """By PyTorch's names."""
        return {
            "d": tensor(self.d),
            "t": self.t,
            "old_dirs": [tensor(y) for y in self.y],
            "old_stps": [tensor(s) for s in self.s],
            "ro": list(self.rho),
            "H_diag": self.scale,
            "prev_flat_grad": tensor(self.g),
        }
