"""Schedules made of schedules, and the one that looks at a metric."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from chainrule.optim.optimizer import Optimizer
from chainrule.optim.scheduler_base import (
    _EPOCH,
    LRScheduler,
    check_optimizer,
    for_each_group,
    group_values,
    set_value,
)


class _Composed(LRScheduler):
    """What SequentialLR and ChainedScheduler share: checks, and a state that has the states of the parts."""

    _schedulers: Sequence[LRScheduler]

    def _check(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> Optimizer:
        name = type(self).__name__
        if len(schedulers) < 1:
            raise ValueError(f"{name}: expected at least one scheduler, got none")
        for i, schedule in enumerate(schedulers):
            if not hasattr(schedule, "optimizer"):
                raise TypeError(f"{name}: schedulers[{i}] must be a scheduler, got {type(schedule).__name__}")
            if isinstance(schedule, ReduceLROnPlateau):
                raise ValueError(
                    f"{name}: schedulers[{i}] is a ReduceLROnPlateau, whose step() needs a metric; step it apart"
                )
            optimizer = optimizer or schedule.optimizer
            if schedule.optimizer is not optimizer:
                raise ValueError(f"{name}: schedulers[{i}] ({type(schedule).__name__}) belongs to another optimizer")
        assert optimizer is not None
        return optimizer

    def _initial_step(self) -> None:
        """As a part of another one: its own parts have had their first step already, and must not warn."""
        called, self.optimizer._opt_called = self.optimizer._opt_called, True
        try:
            super()._initial_step()
        finally:
            self.optimizer._opt_called = called

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, with the states of the parts."""
        state = {k: v for k, v in super().state_dict().items() if k != "_schedulers"}
        return {**state, "_schedulers": [schedule.state_dict() for schedule in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken.

        Raises ValueError when the number of parts differs; nothing is changed then.
        """
        parts = state_dict.get("_schedulers", ())
        if len(parts) != len(self._schedulers):
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: expected the states of {len(self._schedulers)} schedulers, "
                f"got {len(parts)}"
            )
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for schedule, state in zip(self._schedulers, parts, strict=True):
            schedule.load_state_dict(state)


class SequentialLR(_Composed):
    """One schedule after the other; each but the first starts at its milestone.

    Args:
        optimizer: that all of them belong to.
        schedulers: in order.
        milestones: the steps at which the second, third ... one starts.
        last_epoch: the number of steps already done.

    Raises:
        ValueError: another number of milestones, or a schedule of another optimizer.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.optim.lr_scheduler import ConstantLR, ExponentialLR, SequentialLR
        >>> optimizer = cr.optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
        >>> parts = [ConstantLR(optimizer, factor=0.1, total_iters=20), ExponentialLR(optimizer, gamma=0.5)]
        >>> schedule = SequentialLR(optimizer, parts, milestones=[2])
        >>> rates = schedule.get_last_lr()
        >>> for _ in range(3):
        ...     optimizer.step()
        ...     schedule.step()
        ...     rates += schedule.get_last_lr()
        >>> rates
        [0.1, 0.1, 1.0, 0.5]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        self._check(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedulers need {len(schedulers) - 1} milestones, "
                f"got {len(milestones)}"
            )
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # each part has set its first learning rate when it was made; that is taken back, and the first one starts
        for group in optimizer.param_groups:
            set_value(group, "lr", group["initial_lr"])
        self.recursive_undo()
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def recursive_undo(self, sched: LRScheduler | None = None) -> None:
        """Take the first step of each part, and of parts of parts, back."""
        waiting: list[Any] = [self if sched is None else sched]
        while waiting:
            schedule = waiting.pop()
            if hasattr(schedule, "_schedulers"):
                waiting.extend(schedule._schedulers)
            elif hasattr(schedule, "last_epoch"):
                schedule.last_epoch -= 1

    def step(self) -> None:  # type: ignore[override]  # PyTorch's has no epoch either
        """Go on to the next learning rate."""
        self.last_epoch += 1
        index = bisect_right(self._milestones, self.last_epoch)
        schedule = self._schedulers[index]
        if index > 0 and self._milestones[index - 1] == self.last_epoch:
            schedule._update_lr(0)
        else:
            schedule.step()
        self._last_lr = schedule.get_last_lr()


class ChainedScheduler(_Composed):
    """Several schedules at once: each step of it is a step of every one, in order.

    Args:
        schedulers: of one optimizer.
        optimizer: that they belong to; None: that of the first.

    Raises:
        ValueError: there is none, or one of another optimizer.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.optim.lr_scheduler import ChainedScheduler, ConstantLR, ExponentialLR
        >>> optimizer = cr.optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule = ChainedScheduler([ConstantLR(optimizer, factor=0.25), ExponentialLR(optimizer, gamma=0.5)])
        >>> optimizer.step()
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.125]
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self.optimizer = self._check(schedulers, optimizer)
        self._schedulers = schedulers
        self._last_lr = group_values(self.optimizer, "lr")

    def step(self) -> None:  # type: ignore[override]  # PyTorch's has no epoch either
        """Go on to the next learning rate."""
        for schedule in self._schedulers:
            schedule.step()
        self._last_lr = group_values(self.optimizer, "lr")


class ReduceLROnPlateau(LRScheduler):
    """The learning rate times ``factor`` when a metric has stopped getting better: ``schedule.step(metric)``.

    Args:
        optimizer: whose groups' ``lr`` is set.
        mode: ``"min"`` or ``"max"``: what is better.
        factor: below 1.
        patience: how many steps without improvement are waited for.
        threshold: improvements that are smaller do not count.
        threshold_mode: ``"rel"``: a part of the best value; ``"abs"``.
        cooldown: steps after a reduction that are not counted.
        min_lr: the lowest learning rate; a list has one for each group.
        eps: a change of the learning rate that is smaller is left out.

    Raises:
        ValueError: ``factor`` is not below 1, an unknown mode, or a list that does not fit.

    Example:
        >>> import chainrule as cr
        >>> optimizer = cr.optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule = cr.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
        >>> for loss in (3.0, 2.0, 2.0, 2.0):
        ...     schedule.step(loss)
        >>> schedule.get_last_lr()
        [0.1]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
    ) -> None:
        check_optimizer("ReduceLROnPlateau", optimizer)
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1, got {factor}")
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: mode must be 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"ReduceLROnPlateau: threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}")
        self.factor = factor
        self.optimizer = optimizer
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.min_lrs = for_each_group("ReduceLROnPlateau", "min_lr", optimizer, min_lr)
        self.patience = patience
        self.cooldown = cooldown
        self.eps = eps
        self.last_epoch = 0
        self._last_lr = group_values(optimizer, "lr")
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.mode = mode
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self._reset()

    def _reset(self) -> None:
        self.best = self.mode_worse
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]  # it needs a metric
        """Look at the metric of one more epoch, and reduce the learning rate where it is time."""
        current = float(metrics)
        if epoch is None:
            epoch = self.last_epoch + 1
        else:
            warnings.warn(_EPOCH.format("ReduceLROnPlateau"), UserWarning, stacklevel=2)
        self.last_epoch = epoch
        if self._is_better(current, self.best):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce_lr()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = group_values(self.optimizer, "lr")

    def _reduce_lr(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"ReduceLROnPlateau: the optimizer has {len(groups)} groups by now, min_lr is a list of "
                    f"{len(self.min_lrs)}; append to schedule.min_lrs"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, lowest in zip(groups, self.min_lrs, strict=True):
            old = float(group["lr"])
            new = max(old * self.factor, lowest)
            if old - new > self.eps:
                set_value(group, "lr", new)

    @property
    def in_cooldown(self) -> bool:
        """Whether the last reduction was just now."""
        return self.cooldown_counter > 0

    def _is_better(self, a: float, best: float) -> bool:
        if self.mode == "min":
            return a < (best * (1.0 - self.threshold) if self.threshold_mode == "rel" else best - self.threshold)
        return a > (best * (1.0 + self.threshold) if self.threshold_mode == "rel" else best + self.threshold)
