"""Pruning: elements of parameters set to 0 by masks, which the parameters keep until they are removed."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator
from typing import Any

from chainrule.autograd.functions import cat, ones_like, rand, topk
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.tensor import Tensor
from chainrule.nn.module import Module


def _check_amount(amount: Any) -> None:
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        raise TypeError(f"prune: amount must be an int or a float, got {type(amount).__name__}")
    if amount < 0 or (isinstance(amount, float) and amount > 1.0):
        raise ValueError(f"prune: amount must be a number of elements or a fraction in [0, 1], got {amount}")


def _count(amount: int | float, size: int) -> int:
    """How many of ``size`` elements are pruned."""
    if isinstance(amount, int) and amount > size:
        raise ValueError(f"prune: amount={amount} is more than the {size} elements that there are")
    return amount if isinstance(amount, int) else round(amount * size)


class BasePruningMethod(abc.ABC):
    """A way to choose what is pruned, and the forward pre-hook that applies the mask.

    A subclass defines ``compute_mask(t, default_mask)`` and ``PRUNING_TYPE``: ``"unstructured"`` (elements),
    ``"structured"`` (slices) or ``"global"``.
    """

    PRUNING_TYPE: str
    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abc.abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask for importance scores ``t``, 0 where ``default_mask`` is."""

    def apply_mask(self, module: Module) -> Tensor:
        """The parameter with the mask applied."""
        mask, original = (getattr(module, f"{self._tensor_name}_{part}") for part in ("mask", "orig"))
        return mask.to(dtype=original.dtype) * original

    @classmethod
    def apply(
        cls, module: Module, name: str, *args: Any, importance_scores: Tensor | None = None, **kwargs: Any
    ) -> BasePruningMethod:
        """Prune the parameter ``name``, after earlier prunings of it if there are any; returns the method's object."""
        method: BasePruningMethod = cls(*args, **kwargs)
        method._tensor_name = name
        number, earlier = _hook_of(module, name)
        current = getattr(module, name)
        if importance_scores is not None and importance_scores.shape != current.shape:
            raise ValueError(
                f"prune: importance_scores must have the shape {tuple(current.shape)} of {name!r}, got "
                f"{tuple(importance_scores.shape)}"
            )
        scores = (current if importance_scores is None else importance_scores).detach()
        if earlier is None:
            if module._parameters.get(name) is None:
                raise ValueError(f"prune: {type(module).__name__} has no parameter {name!r}")
            default = ones_like(scores)
        else:
            default = getattr(module, f"{name}_mask").detach().clone()
            # a new list: the old one stays as it is if the mask cannot be made
            method = PruningContainer(*(earlier if isinstance(earlier, PruningContainer) else [earlier]), method)
        mask = method.compute_mask(scores, default).to(default.dtype)
        if number is not None:
            module._hook_dict("_forward_pre_hooks").pop(number)
        else:
            original = module._parameters.pop(name)
            module.register_parameter(f"{name}_orig", original)
        if f"{name}_mask" in module._buffers:
            del module._buffers[f"{name}_mask"]
        module.register_buffer(f"{name}_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None) -> Tensor:
        """A pruned copy of a tensor, without any module."""
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise ValueError(f"prune: importance_scores must have shape {tuple(t.shape)}, got {tuple(scores.shape)}")
        return t * self.compute_mask(scores, ones_like(t) if default_mask is None else default_mask)

    def remove(self, module: Module) -> None:
        """Make the pruned values permanent: the parameter has its old name again, and there is no mask."""
        name = self._tensor_name
        if _hook_of(module, name)[1] is None:
            raise ValueError(f"prune.remove: {type(module).__name__}.{name} is not pruned")
        weight = self.apply_mask(module)
        if name in module.__dict__:
            delattr(module, name)
        original: Any = module._parameters.pop(f"{name}_orig")
        original.data = weight.detach()
        del module._buffers[f"{name}_mask"]
        setattr(module, name, original)


def _hook_of(module: Module, name: str) -> tuple[int | None, BasePruningMethod | None]:
    for number, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return number, hook
    return None, None


class PruningContainer(BasePruningMethod):
    """Several prunings of one parameter, one after the other: each chooses among what the earlier ones left."""

    PRUNING_TYPE = "container"

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        given = args[0] if len(args) == 1 and not isinstance(args[0], BasePruningMethod) else args
        for method in given:
            if not hasattr(self, "_tensor_name"):
                self._tensor_name = method._tensor_name
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Add one; raises TypeError for another kind of object, ValueError for another parameter's."""
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"PruningContainer: {type(method).__name__} is no pruning method")
        if self._tensor_name != method._tensor_name:
            raise ValueError(f"PruningContainer: it prunes {self._tensor_name!r}, not {method._tensor_name!r}")
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: int) -> BasePruningMethod:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        method = self._pruning_methods[-1]
        if method.PRUNING_TYPE == "global":
            return method.compute_mask(t, default_mask)
        if method.PRUNING_TYPE == "unstructured":
            kept: Any = default_mask == 1
        elif method.PRUNING_TYPE == "structured":  # the slices in which something is left
            dim = getattr(method, "dim", -1) % t.ndim
            others = tuple(d for d in range(t.ndim) if d != dim)
            alive = default_mask.sum(others) != 0 if others else default_mask != 0
            kept = (slice(None),) * dim + (alive,)
        else:
            raise ValueError(f"PruningContainer: unknown PRUNING_TYPE {method.PRUNING_TYPE!r}")
        mask = default_mask.clone()
        mask[kept] = method.compute_mask(t[kept], default_mask[kept]).to(mask.dtype)
        return mask


class Identity(BasePruningMethod):
    """Prunes nothing, but makes the mask."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask


class RandomUnstructured(BasePruningMethod):
    """Prunes elements at random."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: int | float) -> None:
        _check_amount(amount)
        self.amount = amount

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return _without(default_mask, rand(t.numel(), device=t.device), _count(self.amount, t.numel()))


class L1Unstructured(BasePruningMethod):
    """Prunes the elements of least absolute value."""

    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: int | float) -> None:
        _check_amount(amount)
        self.amount = amount

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return _without(default_mask, t.abs().reshape(-1), _count(self.amount, t.numel()))


def _without(mask: Tensor, scores: Tensor, count: int) -> Tensor:
    """A mask that is 0 at the ``count`` smallest scores too."""
    mask = mask.clone()
    if count:
        mask.view(-1)[topk(scores, count, largest=False).indices] = 0
    return mask


class _Structured(BasePruningMethod):
    """Prunes slices along ``dim``."""

    PRUNING_TYPE = "structured"
    amount: int | float
    dim: int

    def scores(self, t: Tensor) -> Tensor:
        """The importance of each slice."""
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if not -t.ndim <= self.dim < t.ndim:
            raise IndexError(f"prune: dim must be in [{-t.ndim}, {t.ndim - 1}], got {self.dim}")
        if t.ndim < 2:
            raise ValueError(f"prune: slices need a tensor of two or more dimensions, got shape {tuple(t.shape)}")
        size = t.shape[self.dim]
        count = _count(self.amount, size)
        mask = default_mask.clone()
        if count:
            kept = ones_like(self.scores(t))
            kept[topk(self.scores(t), count, largest=False).indices] = 0
            shape = [1] * t.ndim
            shape[self.dim] = size
            mask = mask * kept.reshape(shape).to(mask.dtype)
        return mask


class RandomStructured(_Structured):
    """Prunes slices at random."""

    def __init__(self, amount: int | float, dim: int = -1) -> None:
        _check_amount(amount)
        self.amount, self.dim = amount, dim

    def scores(self, t: Tensor) -> Tensor:
        return rand(t.shape[self.dim], device=t.device)


class LnStructured(_Structured):
    """Prunes the slices of least n-norm."""

    def __init__(self, amount: int | float, n: Any, dim: int = -1) -> None:
        _check_amount(amount)
        self.amount, self.n, self.dim = amount, n, dim

    def scores(self, t: Tensor) -> Tensor:
        others = tuple(d for d in range(t.ndim) if d != self.dim % t.ndim)
        return FUNCTIONS["norm"](t, self.n, others)


class CustomFromMask(BasePruningMethod):
    """Prunes what a mask says."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if default_mask.shape != self.mask.shape:
            raise ValueError(
                f"prune: the mask must have shape {tuple(default_mask.shape)}, got {tuple(self.mask.shape)}"
            )
        return default_mask * self.mask.to(dtype=default_mask.dtype)


def identity(module: Module, name: str) -> Module:
    """Give a parameter a mask of ones; returns the module, as all functions here do.

    Example:
        >>> from chainrule import nn
        >>> list(nn.utils.prune.identity(nn.Linear(2, 3), "bias").state_dict())
        ['weight', 'bias_orig', 'bias_mask']
    """
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: int | float) -> Module:
    """Prune elements at random: ``amount`` of them, or that fraction.

    Example:
        >>> from chainrule import nn
        >>> int((nn.utils.prune.random_unstructured(nn.Linear(4, 3), "weight", 0.5).weight == 0).sum())
        6
    """
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Module, name: str, amount: int | float, importance_scores: Tensor | None = None
) -> Module:
    """Prune the elements of least absolute value: ``amount`` of them, or that fraction.

    Args:
        importance_scores: judge by these instead of the values.

    Example:
        >>> from chainrule import nn
        >>> int((nn.utils.prune.l1_unstructured(nn.Linear(4, 3), "weight", 5).weight == 0).sum())
        5
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: int | float, dim: int) -> Module:
    """Prune slices along ``dim`` at random: ``amount`` of them, or that fraction.

    Example:
        >>> from chainrule import nn
        >>> int((nn.utils.prune.random_structured(nn.Linear(4, 3), "weight", 1, dim=0).weight == 0).sum())
        4
    """
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Module, name: str, amount: int | float, n: Any, dim: int, importance_scores: Tensor | None = None
) -> Module:
    """Prune the slices along ``dim`` of least n-norm: ``amount`` of them, or that fraction.

    Args:
        importance_scores: judge by these instead of the values.

    Example:
        >>> from chainrule import nn
        >>> int((nn.utils.prune.ln_structured(nn.Linear(4, 3), "weight", 2, n=2, dim=1).weight == 0).sum())
        6
    """
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune where ``mask`` is 0."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: type[BasePruningMethod],
    importance_scores: dict[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prune several parameters as if they were one: those with unimportant elements lose more.

    Args:
        parameters: modules and names.
        pruning_method: a class of unstructured pruning, such as :class:`L1Unstructured`; kwargs are its arguments.
        importance_scores: by (module, name), to judge by instead of the values.

    Raises:
        TypeError: ``pruning_method`` is not unstructured.

    Example:
        >>> from chainrule import nn
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
        >>> places = [(model[0], "weight"), (model[1], "weight")]
        >>> nn.utils.prune.global_unstructured(places, nn.utils.prune.L1Unstructured, amount=9)
        >>> sum(int((layer.weight == 0).sum()) for layer in model)
        9
    """
    places = list(parameters)
    if not places:
        return
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(f"global_unstructured: {pruning_method.__name__} is {method.PRUNING_TYPE}, not unstructured")
    scores = importance_scores or {}
    values = [scores.get((m, n), getattr(m, n)).detach().reshape(-1) for m, n in places]
    masks = [getattr(m, f"{n}_mask", ones_like(getattr(m, n).detach())).reshape(-1) for m, n in places]
    method._tensor_name = "everything"
    container = PruningContainer(method)
    mask = container.compute_mask(cat(values), cat(masks))
    start = 0
    for module, name in places:
        shape = getattr(module, name).shape
        count = getattr(module, name).numel()
        custom_from_mask(module, name, mask[start : start + count].reshape(shape))
        start += count


def remove(module: Module, name: str) -> Module:
    """Make the pruned values permanent: the parameter has its old name again, and there is no mask.

    Raises ValueError where it is not pruned.

    Example:
        >>> from chainrule import nn
        >>> layer = nn.utils.prune.l1_unstructured(nn.Linear(4, 3), "weight", 0.5)
        >>> list(nn.utils.prune.remove(layer, "weight").state_dict())
        ['bias', 'weight']
    """
    number, hook = _hook_of(module, name)
    if hook is None or number is None:
        raise ValueError(f"prune.remove: {type(module).__name__}.{name} is not pruned")
    hook.remove(module)
    module._hook_dict("_forward_pre_hooks").pop(number)
    return module


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module, or of one in it, is pruned.

    Example:
        >>> from chainrule import nn
        >>> nn.utils.prune.is_pruned(nn.Linear(2, 3))
        False
    """
    return any(
        isinstance(hook, BasePruningMethod) for m in module.modules() for hook in m._forward_pre_hooks.values()
    )
