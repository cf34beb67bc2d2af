"""Schedules that go up and down: cyclic, one cycle, cosine with restarts; the first two move the momentum, too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from chainrule.optim.optimizer import Optimizer
from chainrule.optim.scheduler_base import (
    LRScheduler,
    check_optimizer,
    for_each_group,
    saved_function,
    set_value,
)


def _set_momentum(group: dict[str, Any], use_beta1: bool, momentum: Any) -> None:
    """Set the momentum of a group, or the first of its betas."""
    if use_beta1:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


def _uses_beta1(name: str, optimizer: Optimizer) -> bool:
    """Whether momentum is the first beta; raise ValueError where there is neither."""
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        raise ValueError(
            f"{name}: cycle_momentum=True needs an optimizer with momentum or betas, got {type(optimizer).__name__}; "
            "use cycle_momentum=False"
        )
    return "betas" in optimizer.defaults


class CyclicLR(LRScheduler):
    """Between two learning rates, up and down, with a step for each batch (Smith, 2017).

    Args:
        optimizer: whose groups' ``lr`` is set.
        base_lr, max_lr: lowest and highest learning rate; a list has one for each group.
        step_size_up, step_size_down: steps of the way up, and down (None: as many).
        mode: ``"triangular"``; ``"triangular2"``: half as high each cycle; ``"exp_range"``: times ``gamma**step``.
        gamma: of ``"exp_range"``.
        scale_fn, scale_mode: a function in place of ``mode``: of the number of the ``"cycle"``, or of
            ``"iterations"``.
        cycle_momentum: momentum (or the first beta) goes the opposite way, between the next two.
        base_momentum, max_momentum: lowest and highest momentum.
        last_epoch: the number of steps already done.

    Raises:
        ValueError: unknown mode, a list that does not fit, or an optimizer without momentum.

    Example:
        >>> import chainrule as cr
        >>> optimizer = cr.optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
        >>> schedule = cr.optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.0, max_lr=1.0, step_size_up=2)
        >>> optimizer.step()
        >>> schedule.step()
        >>> schedule.get_last_lr(), round(optimizer.param_groups[0]["momentum"], 2)
        ([0.5], 0.85)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("CyclicLR", optimizer)
        if scale_fn is None and mode not in ("triangular", "triangular2", "exp_range"):
            raise ValueError(f"CyclicLR: mode must be 'triangular', 'triangular2' or 'exp_range', got {mode!r}")
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(f"CyclicLR: scale_mode must be 'cycle' or 'iterations', got {scale_mode!r}")
        base_lrs = for_each_group("CyclicLR", "base_lr", optimizer, base_lr)
        self.max_lrs = for_each_group("CyclicLR", "max_lr", optimizer, max_lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = _uses_beta1("CyclicLR", optimizer)
            self.base_momentums = for_each_group("CyclicLR", "base_momentum", optimizer, base_momentum)
            self.max_momentums = for_each_group("CyclicLR", "max_momentum", optimizer, max_momentum)
        if last_epoch == -1:
            for i, group in enumerate(optimizer.param_groups):
                set_value(group, "lr", base_lrs[i])
                if cycle_momentum:
                    _set_momentum(group, self.use_beta1, self.max_momentums[i])
                    group["max_momentum"], group["base_momentum"] = self.max_momentums[i], self.base_momentums[i]
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """How high the cycle goes, as a part of the full height."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular":
            return 1.0
        return 1 / 2.0 ** (x - 1) if self.mode == "triangular2" else self.gamma**x

    def get_lr(self) -> list[Any]:
        """See :meth:`LRScheduler.get_lr`; momentum is set on the way."""
        self._warn_outside_of_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            both = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, both, strict=True):
                _set_momentum(group, self.use_beta1, high - (high - low) * height * scale)
        return [low + (high - low) * height * scale for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and ``scale_fn``; of an object that can be called, its attributes."""
        state = super().state_dict()
        custom = state.pop("_scale_fn_custom")
        return {**state, "_scale_fn_custom": None if custom is None else saved_function(custom)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken; ``scale_fn`` stays."""
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_scale_fn_custom"})
        saved = state_dict.get("_scale_fn_custom")
        if saved is not None and self._scale_fn_custom is not None:
            self._scale_fn_custom.__dict__.update(saved)


class OneCycleLR(LRScheduler):
    """Once up to ``max_lr`` and down to almost nothing, with a step for each batch (Smith and Topin, 2019).

    Args:
        optimizer: whose groups' ``lr`` is set.
        max_lr: the highest learning rate; a list has one for each group.
        total_steps: steps of the cycle; or give the next two.
        epochs, steps_per_epoch: whose product is ``total_steps``.
        pct_start: the part of the cycle that goes up.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        cycle_momentum: momentum (or the first beta) goes the opposite way, between the next two.
        base_momentum, max_momentum: lowest and highest momentum; a list has one for each group.
        div_factor: the cycle starts at ``max_lr / div_factor``.
        final_div_factor: it ends at its start divided by this.
        three_phase: down to the start as fast as it went up, then to the end.
        last_epoch: the number of steps already done.

    Raises:
        ValueError: the number of steps is not given, a number is out of range, or a step after the last one.

    Example:
        >>> import chainrule as cr
        >>> optimizer = cr.optim.Adam([cr.zeros(1, requires_grad=True)])
        >>> schedule = cr.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=10)
        >>> for _ in range(2):
        ...     optimizer.step()
        ...     schedule.step()
        >>> schedule.get_last_lr(), optimizer.param_groups[0]["betas"]
        ([1.0], (0.85, 0.999))
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("OneCycleLR", optimizer)
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start must be a float in [0, 1], got {pct_start!r}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        self._anneal_func_type = anneal_strategy
        self._schedule_phases = _phases(pct_start * self.total_steps, self.total_steps, three_phase)
        max_lrs = for_each_group("OneCycleLR", "max_lr", optimizer, max_lr)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = _uses_beta1("OneCycleLR", optimizer)
            highest = for_each_group("OneCycleLR", "max_momentum", optimizer, max_momentum)
            lowest = for_each_group("OneCycleLR", "base_momentum", optimizer, base_momentum)
        if last_epoch == -1:
            for i, group in enumerate(optimizer.param_groups):
                group["initial_lr"], group["max_lr"] = max_lrs[i] / div_factor, max_lrs[i]
                group["min_lr"] = group["initial_lr"] / final_div_factor
                if cycle_momentum:
                    _set_momentum(group, self.use_beta1, highest[i])
                    group["max_momentum"], group["base_momentum"] = highest[i], lowest[i]
        super().__init__(optimizer, last_epoch)

    def _between(self, start: Any, end: Any, part: float) -> Any:
        """``part`` of the way from ``start`` to ``end``."""
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)
        return (end - start) * part + start

    def get_lr(self) -> list[Any]:
        """See :meth:`LRScheduler.get_lr`; momentum is set on the way."""
        self._warn_outside_of_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(f"OneCycleLR: step {step} is after the last one: the cycle has {self.total_steps} steps")
        begin = 0.0
        for phase in self._schedule_phases[:-1]:
            if step <= phase["end_step"]:
                break
            begin = phase["end_step"]
        else:
            phase = self._schedule_phases[-1]
        part = (step - begin) / (phase["end_step"] - begin)
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], part))
            if self.cycle_momentum:
                momentum = self._between(group[phase["start_momentum"]], group[phase["end_momentum"]], part)
                _set_momentum(group, self.use_beta1, momentum)
        return rates


def _total_steps(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
    """The number of steps, from what was given of the three."""
    given = {"total_steps": total_steps} if total_steps is not None else {}
    if not given and epochs is not None and steps_per_epoch is not None:
        given = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    if not given:
        raise ValueError("OneCycleLR: expected total_steps, or both epochs and steps_per_epoch")
    for name, value in given.items():
        if not isinstance(value, int) or value <= 0:
            raise ValueError(f"OneCycleLR: {name} must be a positive integer, got {value!r}")
    return math.prod(given.values())


def _phases(rise: float, total: int, three: bool) -> list[dict[str, Any]]:
    """When each part of the cycle ends, and the names of the settings that it goes from and to."""
    ends = [(float(rise) - 1, "max_lr", "base_momentum")]
    if three:
        ends.append((float(2 * rise) - 2, "initial_lr", "max_momentum"))
    ends.append((total - 1, "min_lr", "max_momentum"))
    phases, lr, momentum = [], "initial_lr", "max_momentum"
    for end, next_lr, next_momentum in ends:
        phases.append({
            "end_step": end, "start_lr": lr, "end_lr": next_lr,
            "start_momentum": momentum, "end_momentum": next_momentum,
        })  # fmt: skip
        lr, momentum = next_lr, next_momentum
    return phases


class CosineAnnealingWarmRestarts(LRScheduler):
    """Along half a cosine from the initial learning rate to ``eta_min``, again and again (Loshchilov, Hutter, 2017).

    ``step(epoch)`` takes fractions, for a step after each batch: ``step(epoch + i / batches)``.

    Args:
        optimizer: whose groups' ``lr`` is set.
        T_0: steps until the first restart.
        T_mult: how many times longer the way is after each restart.
        eta_min: the lowest learning rate.
        last_epoch: the number of steps already done.

    Raises:
        ValueError: ``T_0`` or ``T_mult`` is no positive integer.

    Example:
        >>> import chainrule as cr
        >>> optimizer = cr.optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule = cr.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
        >>> for _ in range(3):
        ...     optimizer.step()
        ...     schedule.step()
        >>> schedule.get_last_lr()
        [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"CosineAnnealingWarmRestarts: {name} must be a positive integer, got {value!r}")
        if not isinstance(eta_min, (float, int)):
            raise ValueError(f"CosineAnnealingWarmRestarts: eta_min must be a number, got {eta_min!r}")
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """See :meth:`LRScheduler.get_lr`."""
        self._warn_outside_of_step()
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (lr - self.eta_min) * height for lr in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next learning rate, or to that of ``epoch``, which may be a fraction."""
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            epoch = 0 if epoch is None else epoch
            if epoch < 0:
                raise ValueError(f"CosineAnnealingWarmRestarts.step: epoch must not be negative, got {epoch}")
            restarts = 0
            if epoch >= self.T_0 and self.T_mult > 1:
                restarts = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            if self.T_mult == 1:
                self.T_cur = epoch % self.T_0
            else:
                self.T_cur = epoch - self.T_0 * (self.T_mult**restarts - 1) / (self.T_mult - 1)
                self.T_i = self.T_0 * self.T_mult**restarts
        self.last_epoch = math.floor(epoch)
        with self._asking():
            values = self.get_lr()
        self._set(values)
