"""Learning-rate schedules: each ``step()``, usually one an epoch, sets ``lr`` in the optimizer's groups."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from chainrule.optim.optimizer import Optimizer


class LRScheduler:
    """Base of the schedules; a subclass writes ``get_lr``, the learning rates at ``self.last_epoch``.

    Args:
        optimizer: whose groups' ``lr`` is set.
        last_epoch: the number of steps already done; -1 starts a new schedule from the groups' ``lr``.

    Raises:
        TypeError: it is no Optimizer. KeyError: continuing (``last_epoch`` >= 0) an optimizer that had no schedule.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: expected an Optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"{type(self).__name__}: param_groups[{i}] has no 'initial_lr', which last_epoch={last_epoch} "
                    "needs; load "
                    f"the optimizer's state dict first"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self._last_lr: list[float] = []
        self.step()

    def get_lr(self) -> list[float]:
        """The learning rate of each group at ``self.last_epoch``, from the current ones."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr()")

    def get_last_lr(self) -> list[float]:
        """The learning rates that the last step set."""
        return self._last_lr

    def step(self) -> None:
        """Go on to the next learning rate."""
        self._step_count += 1
        self.last_epoch += 1
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken; the optimizer's own state is loaded apart."""
        self.__dict__.update(state_dict)

    @property
    def _current(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]


class LambdaLR(LRScheduler):
    """The initial learning rate times ``lr_lambda(epoch)``; one function, or one for each group.

    Raises ValueError when the number of functions is not that of the groups.

    Example:
        >>> import chainrule as cr
        >>> w = cr.zeros(1, requires_grad=True)
        >>> schedule = cr.optim.lr_scheduler.LambdaLR(cr.optim.SGD([w], lr=1.0), lambda epoch: 0.5**epoch)
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Iterable[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        count = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * count if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != count:
            raise ValueError(f"LambdaLR: expected {count} functions, one for each group, got {len(self.lr_lambdas)}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [lr * f(self.last_epoch) for lr, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and the functions."""
        return {k: v for k, v in super().state_dict().items() if k != "lr_lambdas"}


class StepLR(LRScheduler):
    """The learning rate times ``gamma`` every ``step_size`` steps.

    Example:
        >>> import chainrule as cr
        >>> w = cr.zeros(1, requires_grad=True)
        >>> schedule = cr.optim.lr_scheduler.StepLR(cr.optim.SGD([w], lr=1.0), step_size=2, gamma=0.5)
        >>> for _ in range(2):
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

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return self._current
        return [lr * self.gamma for lr in self._current]


class MultiStepLR(LRScheduler):
    """The learning rate times ``gamma`` at each of the given steps.

    Example:
        >>> import chainrule as cr
        >>> w = cr.zeros(1, requires_grad=True)
        >>> schedule = cr.optim.lr_scheduler.MultiStepLR(cr.optim.SGD([w], lr=1.0), [1], gamma=0.5)
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

    def get_lr(self) -> list[float]:
        factor = self.gamma ** self.milestones[self.last_epoch]
        return [lr * factor for lr in self._current] if self.last_epoch in self.milestones else self._current


class ExponentialLR(LRScheduler):
    """The learning rate times ``gamma`` at every step.

    Example:
        >>> import chainrule as cr
        >>> w = cr.zeros(1, requires_grad=True)
        >>> schedule = cr.optim.lr_scheduler.ExponentialLR(cr.optim.SGD([w], lr=1.0), gamma=0.5)
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self._current if self.last_epoch == 0 else [lr * self.gamma for lr in self._current]


class CosineAnnealingLR(LRScheduler):
    """From the initial learning rate to ``eta_min`` in ``T_max`` steps along half a cosine (Loshchilov, Hutter, 2017).

    Raises ValueError when ``T_max`` is not positive.

    Example:
        >>> import chainrule as cr
        >>> w = cr.zeros(1, requires_grad=True)
        >>> schedule = cr.optim.lr_scheduler.CosineAnnealingLR(cr.optim.SGD([w], lr=1.0), T_max=2)
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

    def get_lr(self) -> list[float]:
        # PyTorch's recursion: what else changed the learning rate meanwhile stays in effect
        t, period, low = self.last_epoch, self.T_max, self.eta_min
        if t == 0:
            return self._current
        if (t - 1 - period) % (2 * period) == 0:
            rise = (1 - math.cos(math.pi / period)) / 2
            return [lr + (base - low) * rise for lr, base in zip(self._current, self.base_lrs, strict=True)]
        ratio = (1 + math.cos(math.pi * t / period)) / (1 + math.cos(math.pi * (t - 1) / period))
        return [ratio * (lr - low) + low for lr in self._current]
