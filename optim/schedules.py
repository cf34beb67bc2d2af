"""Schedules that are a formula of the number of steps."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from chainrule.optim.optimizer import Optimizer
from chainrule.optim.scheduler_base import LRScheduler, check_optimizer, saved_function


class _FunctionLR(LRScheduler):
    """What LambdaLR and MultiplicativeLR share: a function for each group, of which only attributes are saved."""

    lr_lambdas: list[Callable[[int], float]]

    def _take(self, optimizer: Optimizer, lr_lambda: Any) -> None:
        name = type(self).__name__
        check_optimizer(name, optimizer)
        count = len(optimizer.param_groups)
        given = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * count
        if len(given) != count:
            raise ValueError(f"{name}: lr_lambda: expected {count} functions, one for each group, got {len(given)}")
        for function in given:
            if not callable(function):
                raise TypeError(f"{name}: lr_lambda: expected a function, got {type(function).__name__}")
        self.lr_lambdas = given

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and the functions; of objects that can be called, their attributes."""
        state = {k: v for k, v in super().state_dict().items() if k != "lr_lambdas"}
        return {**state, "lr_lambdas": [saved_function(f) for f in self.lr_lambdas]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken; the functions stay."""
        saved = state_dict.get("lr_lambdas", [])
        if len(saved) not in (0, len(self.lr_lambdas)):
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: expected {len(self.lr_lambdas)} functions, got {len(saved)}"
            )
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "lr_lambdas"})
        for function, attributes in zip(self.lr_lambdas, saved):
            if attributes is not None:
                function.__dict__.update(attributes)


class LambdaLR(_FunctionLR):
    """The initial learning rate times ``lr_lambda(epoch)``; one function, or a list with one for each group.

    Raises ValueError when the number of functions is not that of the groups.

    Example:
        >>> import chainrule as cr
        >>> optimizer = cr.optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule = cr.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
        >>> optimizer.step()
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self._take(optimizer, lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """See :meth:`LRScheduler.get_lr`."""
        self._warn_outside_of_step()
        return [lr * f(self.last_epoch) for lr, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(_FunctionLR):
    """The current learning rate times ``lr_lambda(epoch)``; one function, or a list with one for each group.

    Raises ValueError when the number of functions is not that of the groups.

    Example:
        >>> import chainrule as cr
        >>> optimizer = cr.optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule = cr.optim.lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.5)
        >>> optimizer.step()
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self._take(optimizer, lr_lambda)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """See :meth:`LRScheduler.get_lr`."""
        self._warn_outside_of_step()
        if self._is_initial:
            return self._current
        return [lr * f(self.last_epoch) for lr, f in zip(self._current, self.lr_lambdas, strict=True)]


class StepLR(LRScheduler):
    """The learning rate times ``gamma`` every ``step_size`` steps.

    Example:
        >>> import chainrule as cr
        >>> optimizer = cr.optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule = cr.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
        >>> for _ in range(2):
        ...     optimizer.step()
        ...     schedule.step()
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if step_size < 1:
            raise ValueError(f"StepLR: step_size must be positive, got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """See :meth:`LRScheduler.get_lr`."""
        self._warn_outside_of_step()
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return self._current
        return self._times(self.gamma)

    def _get_closed_form_lr(self) -> list[Any]:
        return [lr * self.gamma ** (self.last_epoch // self.step_size) for lr in self.base_lrs]


class MultiStepLR(LRScheduler):
    """The learning rate times ``gamma`` at each of the given steps.

    Example:
        >>> import chainrule as cr
        >>> optimizer = cr.optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule = cr.optim.lr_scheduler.MultiStepLR(optimizer, [1], gamma=0.5)
        >>> optimizer.step()
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """See :meth:`LRScheduler.get_lr`."""
        self._warn_outside_of_step()
        if self.last_epoch not in self.milestones:
            return self._current
        return self._times(self.gamma ** self.milestones[self.last_epoch])

    def _get_closed_form_lr(self) -> list[Any]:
        passed = bisect_right(sorted(self.milestones.elements()), self.last_epoch)
        return [lr * self.gamma**passed for lr in self.base_lrs]


class ConstantLR(LRScheduler):
    """The learning rate times ``factor`` until step ``total_iters``, then as it was.

    Raises ValueError when ``factor`` is not in [0, 1].

    Example:
        >>> import chainrule as cr
        >>> optimizer = cr.optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule = cr.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=4)
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"ConstantLR: factor must be in [0, 1], got {factor}")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """See :meth:`LRScheduler.get_lr`."""
        self._warn_outside_of_step()
        if self.last_epoch == 0:
            return self._times(self.factor)
        if self.last_epoch != self.total_iters:
            return self._current
        if not self.factor:  # nothing is left of the learning rate that could be divided
            return list(self.base_lrs)
        return self._times(1.0 / self.factor)

    def _get_closed_form_lr(self) -> list[Any]:
        factor = 1.0 if self.last_epoch >= self.total_iters else self.factor
        return [lr * factor for lr in self.base_lrs]


class LinearLR(LRScheduler):
    """The learning rate times a factor that goes from ``start_factor`` to ``end_factor`` in ``total_iters`` steps.

    Raises ValueError when a factor is not in [0, 1], or ``start_factor`` is 0.

    Example:
        >>> import chainrule as cr
        >>> optimizer = cr.optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule = cr.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=4)
        >>> optimizer.step()
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.625]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(f"LinearLR: start_factor must be in (0, 1], got {start_factor}")
        if not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: end_factor must be in [0, 1], got {end_factor}")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """See :meth:`LRScheduler.get_lr`."""
        self._warn_outside_of_step()
        if self.last_epoch == 0:
            return self._times(self.start_factor)
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._current
        rise = self.end_factor - self.start_factor
        return self._times(1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise))

    def _get_closed_form_lr(self) -> list[Any]:
        rise = self.end_factor - self.start_factor
        factor = self.start_factor + rise * min(self.total_iters, self.last_epoch) / self.total_iters
        return [lr * factor for lr in self.base_lrs]


class ExponentialLR(LRScheduler):
    """The learning rate times ``gamma`` at every step.

    Example:
        >>> import chainrule as cr
        >>> optimizer = cr.optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule = cr.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        >>> optimizer.step()
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """See :meth:`LRScheduler.get_lr`."""
        self._warn_outside_of_step()
        return self._current if self._is_initial else self._times(self.gamma)

    def _get_closed_form_lr(self) -> list[Any]:
        return [lr * self.gamma**self.last_epoch for lr in self.base_lrs]


class PolynomialLR(LRScheduler):
    """The initial learning rate times ``(1 - step / total_iters)**power``: it reaches 0 at ``total_iters``.

    Example:
        >>> import chainrule as cr
        >>> optimizer = cr.optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule = cr.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=4, power=2.0)
        >>> optimizer.step()
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.5625]
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """See :meth:`LRScheduler.get_lr`."""
        self._warn_outside_of_step()
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._current
        now, before = (1.0 - step / self.total_iters for step in (self.last_epoch, self.last_epoch - 1))
        return self._times((now / before) ** self.power)

    def _get_closed_form_lr(self) -> list[Any]:
        factor = (1.0 - min(self.total_iters, self.last_epoch) / self.total_iters) ** self.power
        return [lr * factor for lr in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """From the initial learning rate to ``eta_min`` in ``T_max`` steps along half a cosine (Loshchilov, Hutter, 2017).

    Raises ValueError when ``T_max`` is not positive.

    Example:
        >>> import chainrule as cr
        >>> optimizer = cr.optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule = cr.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
        >>> optimizer.step()
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR: T_max must be positive, got {T_max}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """See :meth:`LRScheduler.get_lr`."""
        self._warn_outside_of_step()
        # PyTorch's recursion: what else changed the learning rate meanwhile stays in effect
        t, period, low = self.last_epoch, self.T_max, self.eta_min
        if self._is_initial:
            return self._current
        if self._step_count == 1 and t > 0:
            return self._get_closed_form_lr()
        if (t - 1 - period) % (2 * period) == 0:
            rise = (1 - math.cos(math.pi / period)) / 2
            return [lr + (base - low) * rise for lr, base in zip(self._current, self.base_lrs, strict=True)]
        ratio = (1 + math.cos(math.pi * t / period)) / (1 + math.cos(math.pi * (t - 1) / period))
        return [(lr - low) * ratio + low for lr in self._current]

    def _get_closed_form_lr(self) -> list[Any]:
        height = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (lr - self.eta_min) * height for lr in self.base_lrs]
