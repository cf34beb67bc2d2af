"""What all learning-rate schedules share: counting, setting ``lr``, saving, and the warnings."""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chainrule.autograd.modes import no_grad
from chainrule.autograd.tensor import Tensor
from chainrule.optim.optimizer import Optimizer

_EPOCH = (
    "{}.step: the argument 'epoch' is deprecated, as in PyTorch; call step() without it (with it the closed form is "
    "used where there is one)"
)


def check_optimizer(name: str, optimizer: Any) -> None:
    """Raise TypeError for anything but an Optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{name}: expected an Optimizer, got {type(optimizer).__name__}")


def group_values(optimizer: Optimizer, key: str) -> list[Any]:
    """A setting of each group; of those that are Tensors a copy."""
    values = (group[key] for group in optimizer.param_groups)
    return [v.detach().clone() if isinstance(v, Tensor) else v for v in values]


def set_value(group: dict[str, Any], key: str, value: Any) -> None:
    """Set a group's setting; one that is a Tensor keeps its memory."""
    if isinstance(group[key], Tensor):
        with no_grad():
            group[key].fill_(float(value))
    else:
        group[key] = value


def for_each_group(name: str, argument: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value for each group, from a list of them or a single one; raise ValueError when the list does not fit."""
    count = len(optimizer.param_groups)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise ValueError(f"{name}: {argument} must have {count} values, one for each group, got {len(values)}")
    return [v.detach().clone() if isinstance(v, Tensor) else v for v in values]


def saved_function(function: Any) -> dict[str, Any] | None:
    """What a state dict keeps of a function: the attributes of an object that can be called, else nothing."""
    return None if isinstance(function, types.FunctionType) else dict(getattr(function, "__dict__", {}))


class LRScheduler:
    """Base of the schedules; a subclass writes ``get_lr``, the learning rates at ``self.last_epoch``.

    Call ``schedule.step()`` after ``optimizer.step()``, usually once an epoch.

    Args:
        optimizer: whose groups' ``lr`` is set.
        last_epoch: the number of steps already done; -1 starts a new schedule from the groups' ``lr``.

    Raises:
        TypeError: it is no Optimizer. KeyError: continuing (``last_epoch`` >= 0) an optimizer that had no schedule.

    Example:
        >>> import chainrule as cr
        >>> class Halved(cr.optim.lr_scheduler.LRScheduler):
        ...     def get_lr(self):
        ...         return [lr * 0.5**self.last_epoch for lr in self.base_lrs]
        >>> optimizer = cr.optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule = Halved(optimizer)
        >>> optimizer.step()
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.5]
    """

    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        name = type(self).__name__
        check_optimizer(name, optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                lr = group["lr"]
                group.setdefault("initial_lr", lr.detach().clone() if isinstance(lr, Tensor) else lr)
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{name}: param_groups[{i}] has no 'initial_lr', which last_epoch={last_epoch} needs; "
                    "load the optimizer's state dict first"
                )
        self.base_lrs = group_values(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        if "_opt_called" not in optimizer.__dict__ or not hasattr(optimizer, "_scheduled"):
            optimizer._opt_called = False  # only steps from now on count
        optimizer._scheduled = True  # type: ignore[attr-defined]
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the first learning rates."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[Any]:
        """The learning rate of each group at ``self.last_epoch``, from the current ones."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr()")

    def get_last_lr(self) -> list[Any]:
        """The learning rates that the last step set."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next learning rate, or to that of ``epoch`` (deprecated)."""
        # where step was replaced by a function of the user's nothing can be told
        if self._step_count == 1 and not self.optimizer._opt_called and "step" not in self.optimizer.__dict__:
            warnings.warn(
                "lr_scheduler.step() was called before optimizer.step(): the first learning rate of the schedule is "
                "skipped; call them in the other order",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warnings.warn(_EPOCH.format(type(self).__name__), UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        with self._asking():
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                # from the initial learning rates alone, where there is such a formula
                closed = getattr(self, "_get_closed_form_lr", None)
                values = self.get_lr() if closed is None else closed()
        self._set(values)

    def _set(self, values: list[Any]) -> None:
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            set_value(group, "lr", lr)
        self._last_lr = group_values(self.optimizer, "lr")

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """``get_lr`` is called by the schedule itself."""
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _warn_outside_of_step(self) -> None:
        """``get_lr`` computes the next learning rates from the current ones, which is rarely what a caller wants."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                f"{type(self).__name__}.get_lr: to read the last learning rates use get_last_lr()",
                UserWarning,
                stacklevel=3,
            )

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken; the optimizer's own state is loaded apart."""
        self.__dict__.update(state_dict)

    @property
    def _current(self) -> list[Any]:
        return group_values(self.optimizer, "lr")

    def _times(self, factor: float) -> list[Any]:
        """The current learning rates times ``factor``."""
        return [group["lr"] * factor for group in self.optimizer.param_groups]
