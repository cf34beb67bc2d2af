"""Averages of a model's parameters over training: stochastic weight averaging and exponential moving averages."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from chainrule import nn
from chainrule.autograd.creation import tensor
from chainrule.autograd.dtypes import int64
from chainrule.autograd.modes import no_grad
from chainrule.autograd.tensor import Tensor
from chainrule.nn.normalization import _BatchNorm
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.scheduler_base import LRScheduler, for_each_group

Average = Callable[[Tensor, Tensor, Any], Tensor]
AverageOfMany = Callable[[list[Tensor], list[Tensor], Any], None]


def _checked_decay(name: str, decay: float) -> float:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"{name}: decay must be in [0, 1], got {decay}")
    return decay


def _averages(t: Tensor) -> bool:
    """Whether a tensor's dtype can hold an average; one of integers gets it rounded towards zero."""
    return t.is_floating_point() or t.is_complex()


def get_ema_multi_avg_fn(decay: float = 0.999) -> AverageOfMany:
    """``ema = decay * ema + (1 - decay) * current`` for lists of tensors, for ``multi_avg_fn``.

    Raises ValueError when ``decay`` is not in [0, 1].

    Example:
        >>> import chainrule as cr
        >>> average, current = cr.zeros(2), cr.ones(2)
        >>> get_ema_multi_avg_fn(0.75)([average], [current], 1)
        >>> average
        tensor([0.2500, 0.2500])
    """
    _checked_decay("get_ema_multi_avg_fn", decay)

    @no_grad()
    def ema_update(averages: list[Tensor], currents: list[Tensor], _: Any) -> None:
        for average, current in zip(averages, currents, strict=True):
            if _averages(average):
                average.lerp_(current, 1 - decay)
            else:
                average.copy_(average * decay + current * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn() -> AverageOfMany:
    """The running mean for lists of tensors, for ``multi_avg_fn``.

    Example:
        >>> import chainrule as cr
        >>> average, current = cr.zeros(2), cr.ones(2)
        >>> get_swa_multi_avg_fn()([average], [current], 3)
        >>> average
        tensor([0.2500, 0.2500])
    """

    @no_grad()
    def swa_update(averages: list[Tensor], currents: list[Tensor], num_averaged: Any) -> None:
        weight = 1.0 / (float(num_averaged) + 1)
        for average, current in zip(averages, currents, strict=True):
            if _averages(average):
                average.lerp_(current, weight)
            else:
                average.copy_(average + (current - average) * weight)

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """``decay * ema + (1 - decay) * current``, for ``avg_fn``.

    Raises ValueError when ``decay`` is not in [0, 1].

    Example:
        >>> import chainrule as cr
        >>> get_ema_avg_fn(0.75)(cr.zeros(2), cr.ones(2), 1)
        tensor([0.2500, 0.2500])
    """
    _checked_decay("get_ema_avg_fn", decay)

    @no_grad()
    def ema_update(average: Tensor, current: Tensor, num_averaged: Any) -> Tensor:
        return average * decay + current * (1 - decay)

    return ema_update


def get_swa_avg_fn() -> Average:
    """The running mean, for ``avg_fn``.

    Example:
        >>> import chainrule as cr
        >>> get_swa_avg_fn()(cr.zeros(2), cr.ones(2), 3)
        tensor([0.2500, 0.2500])
    """

    @no_grad()
    def swa_update(average: Tensor, current: Tensor, num_averaged: Any) -> Tensor:
        return average + (current - average) / (float(num_averaged) + 1)

    return swa_update


class AveragedModel(nn.Module):
    """A model whose parameters are an average of those of another one (Izmailov et al., 2018; Polyak averaging).

    Args:
        model: that is averaged; it is copied.
        device: where the average is kept; None: where the model is.
        avg_fn: ``(average, current, number averaged)`` to the new average; None: the running mean.
        multi_avg_fn: the same for lists of tensors of one device and dtype, which it changes in place.
        use_buffers: buffers are averaged, too; else they are copied at each update.

    Raises:
        ValueError: both functions are given.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> from chainrule.optim.swa_utils import AveragedModel
        >>> model = nn.Linear(1, 1, bias=False)
        >>> average = AveragedModel(model)
        >>> for value in (1.0, 2.0, 6.0):
        ...     _ = nn.init.constant_(model.weight, value)
        ...     average.update_parameters(model)
        >>> average.module.weight.item(), average.n_averaged.item()
        (3.0, 3)
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: nn.Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: AverageOfMany | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: expected avg_fn or multi_avg_fn, got both")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model computes."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: nn.Module) -> None:
        """Add the parameters of ``model`` to the average; the first time they are copied.

        Raises ValueError when a parameter has another shape; nothing is changed then.
        """
        own, others = self._tensors(self.module), self._tensors(model)
        for i, (average, current) in enumerate(zip(own, others, strict=False)):
            if average.shape != current.shape:
                raise ValueError(
                    f"AveragedModel.update_parameters: tensor {i} of the model has shape {tuple(current.shape)}, "
                    f"the average {tuple(average.shape)}"
                )
        pairs = [(a.detach(), c.detach().to(a.device)) for a, c in zip(own, others, strict=False)]
        with no_grad():
            if int(self.n_averaged) == 0:
                for average, current in pairs:
                    average.copy_(current)
            elif self.multi_avg_fn is not None:
                self._update_together(pairs)
            else:
                average_of = self.avg_fn or get_swa_avg_fn()
                for average, current in pairs:
                    average.copy_(average_of(average, current, self.n_averaged.to(average.device)))
            if not self.use_buffers:
                for mine, theirs in zip(self.module.buffers(), model.buffers(), strict=True):
                    mine.detach().copy_(theirs.detach().to(mine.device))
            self.n_averaged += 1

    def _tensors(self, model: nn.Module) -> list[Tensor]:
        """What is averaged."""
        return list(chain(model.parameters(), model.buffers() if self.use_buffers else ()))

    def _update_together(self, pairs: list[tuple[Tensor, Tensor]]) -> None:
        """Hand ``multi_avg_fn`` the tensors of each device and dtype."""
        assert self.multi_avg_fn is not None
        kinds: dict[Any, list[tuple[Tensor, Tensor]]] = {}
        for average, current in pairs:
            kinds.setdefault((str(average.device), str(average.dtype)), []).append((average, current))
        for group in kinds.values():
            averages, currents = [a for a, _ in group], [c for _, c in group]
            self.multi_avg_fn(averages, currents, self.n_averaged.to(averages[0].device))


@no_grad()
def update_bn(loader: Iterable[Any], model: nn.Module, device: Any = None) -> None:
    """Compute the running statistics of batch normalization anew, in one pass over the data.

    Args:
        loader: gives batches; of a tuple or list the first item is the model's input.
        model: with the averaged parameters.
        device: where inputs are sent.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> model = nn.BatchNorm1d(1)
        >>> update_bn([cr.tensor([[1.0], [3.0]]), cr.tensor([[5.0], [7.0]])], model)
        >>> model.running_mean
        tensor([4.])
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    if not layers:
        return
    was_training = model.training
    try:
        model.train()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # the mean over all batches
        for batch in loader:
            inputs = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(inputs if device is None else inputs.to(device))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """From the current learning rate to ``swa_lr`` in ``anneal_epochs`` steps, and constant from there.

    Args:
        optimizer: whose groups' ``lr`` is set.
        swa_lr: the learning rate of the averaging phase; a list has one for each group.
        anneal_epochs: steps on the way.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        last_epoch: the number of steps already done.

    Raises:
        ValueError: an unknown strategy, a list that does not fit, or a negative number of steps.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.optim.swa_utils import SWALR
        >>> optimizer = cr.optim.SGD([cr.zeros(1, requires_grad=True)], lr=1.0)
        >>> schedule = SWALR(optimizer, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
        >>> optimizer.step()
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.75]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"SWALR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"SWALR: anneal_epochs must be an integer of at least 0, got {anneal_epochs!r}")
        rates = for_each_group("SWALR", "swa_lr", optimizer, swa_lr)
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def anneal_func(self, t: float) -> float:
        """How far the way is done after the part ``t`` of the steps."""
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def get_lr(self) -> list[Any]:
        """See :meth:`LRScheduler.get_lr`."""
        self._warn_outside_of_step()
        step = self._step_count - 1
        if not self.anneal_epochs:
            step = max(1, step)
        steps = max(1, self.anneal_epochs)
        before, now = (self.anneal_func(max(0, min(1, s / steps))) for s in (step - 1, step))
        rates = []
        for group in self.optimizer.param_groups:
            # where the way began, told from where it is: other schedules may have moved the learning rate before
            start = group["swa_lr"] if before == 1 else (group["lr"] - group["swa_lr"] * before) / (1 - before)
            rates.append(group["swa_lr"] * now + start * (1 - now))
        return rates
