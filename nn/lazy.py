"""Modules that learn the sizes of their parameters from their first input."""

from __future__ import annotations

from typing import Any

from chainrule.autograd.modes import no_grad
from chainrule.nn.locate import add_path
from chainrule.nn.module import Module
from chainrule.nn.parameter import is_lazy


class LazyModuleMixin(Module):
    """Put in front of a module class, lets the first call decide the shapes of uninitialised parameters and buffers.

    A subclass assigns :class:`UninitializedParameter` objects, and defines ``initialize_parameters``, which is called
    with the arguments of the first call and gives them their shapes. Then the module becomes a ``cls_to_become``, if
    that is set. An optimizer takes the parameters only after that call.

    Raises:
        RuntimeError: ``initialize_parameters`` has left a parameter uninitialised.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> class LazyScale(nn.LazyModuleMixin):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.factor = nn.UninitializedParameter()
        ...     def initialize_parameters(self, x):
        ...         if self.has_uninitialized_params():
        ...             self.factor.materialize(x.shape[-1:])
        ...             nn.init.ones_(self.factor)
        ...     def forward(self, x):
        ...         return x * self.factor
        >>> scale = LazyScale()
        >>> scale(cr.zeros(2, 3)).shape, scale.factor.shape
        ((2, 3), (3,))
    """

    cls_to_become: type[Module] | None = None
    _settled = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._settled:
            try:
                self._infer_parameters(args, kwargs)
            except Exception as error:
                add_path(error, self, args)
                raise
        return Module.__call__(self, *args, **kwargs)

    def _infer_parameters(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        with no_grad():
            self.initialize_parameters(*args, **kwargs)
        if self.has_uninitialized_params():
            raise RuntimeError(
                f"{type(self).__name__}.initialize_parameters has left uninitialised: {', '.join(self._missing())}"
            )
        if self.cls_to_become is not None:
            self.__class__ = self.cls_to_become  # type: ignore[assignment]
        else:
            self._settled = True

    def _missing(self) -> list[str]:
        return [name for name, t in (*self._parameters.items(), *self._buffers.items()) if is_lazy(t)]

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer of the module itself has no shape yet."""
        return bool(self._missing())

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the parameters their shapes, by the arguments of the first call; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} does not define initialize_parameters()")

    def expected_shape(self, name: str) -> tuple[int | None, ...] | None:
        """What is known already of the shape of a parameter or buffer, None for a length (or a shape) that is not.

        ``load_state_dict`` refuses tensors that contradict it.
        """
        return None
