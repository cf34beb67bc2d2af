"""Hooks of an optimizer: functions that run before and after a step, and around saving and loading its state."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, Any

from chainrule.autograd.node import HookDict, RemovableHandle

if TYPE_CHECKING:
    from chainrule.optim.optimizer import Optimizer

#: the kinds of hooks that each optimizer has
KINDS = ("step_pre", "step_post", "state_dict_pre", "state_dict_post", "load_state_dict_pre", "load_state_dict_post")
#: step hooks of every optimizer
_before_any, _after_any = HookDict(), HookDict()


def add(hooks: HookDict, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
    """Add ``hook``, last or first."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` before each step of every optimizer.

    Example:
        >>> import chainrule as cr
        >>> w = cr.zeros(1, requires_grad=True)
        >>> with register_optimizer_step_pre_hook(lambda optimizer, args, kwargs: print(type(optimizer).__name__)):
        ...     cr.optim.SGD([w]).step()
        SGD
    """
    return add(_before_any, hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` after each step of every optimizer.

    Example:
        >>> import chainrule as cr
        >>> w = cr.zeros(1, requires_grad=True)
        >>> with register_optimizer_step_post_hook(lambda optimizer, args, kwargs: print("done")):
        ...     cr.optim.SGD([w]).step()
        done
    """
    return add(_after_any, hook)


def hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """``step`` with the hooks around it; they run once where one class's step calls another's."""

    @functools.wraps(step)
    def run(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        self._opt_called = True  # schedules warn when they are stepped before the optimizer
        own = self._hooks
        before, after = own["step_pre"], own["step_post"]
        if self._in_step or not (before or after or _before_any or _after_any):
            return step(self, *args, **kwargs)
        self._in_step = True
        try:
            given: tuple[Any, ...] = (self, *args)
            for hook in list(chain(_before_any.values(), before.values())):
                changed = hook(self, given, kwargs)
                if changed is None:
                    continue
                if not isinstance(changed, tuple) or len(changed) != 2:
                    raise RuntimeError(
                        f"{self._label}.step: a hook before the step must return None or (args, kwargs), "
                        f"got {changed!r}"
                    )
                given, kwargs = changed
            result = step(*given, **kwargs)
            for hook in list(chain(after.values(), _after_any.values())):
                hook(self, given, kwargs)
            return result
        finally:
            self._in_step = False

    run.hooked = True  # type: ignore[attr-defined]
    return run
