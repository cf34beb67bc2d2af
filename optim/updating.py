"""The arithmetic around an optimizer's formula: joined tensors, large ones in blocks on all threads, recorded steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chainrule.autograd.modes import enable_grad
from chainrule.autograd.op import traced
from chainrule.autograd.runtime import bump, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.backends.pool import parallel, ranges
from chainrule.optim import plan as planning
from chainrule.optim.plan import Chunk, flat_reals

if TYPE_CHECKING:
    from chainrule.optim.optimizer import Optimizer

Group = dict[str, Any]


def advance(optimizer: Optimizer, chunks: list[Chunk], grads: list[Tensor], group: Group) -> None:
    """One update of the parameters of ``chunks``; the blocks of all large ones go through the threads together."""
    blocks: list[Callable[[], None]] = []
    ends: list[Callable[[], None]] = []
    others: list[Chunk] = []
    for chunk in chunks:
        chunk.state["step"] += 1
        if chunk.large:
            _cut(optimizer, chunk, grads[chunk.places[0]]._data, group, blocks, ends)
        else:
            others.append(chunk)

    def rest() -> None:
        for chunk in others:
            step = _joined if chunk.flat else _whole
            step(optimizer, chunk, [grads[i]._data for i in chunk.places], group)

    if blocks:
        # the small ones are one more piece of work; on another device they belong to the caller's thread
        if any(chunk.device.type != "cpu" for chunk in others):
            rest()
        elif others:
            blocks.insert(0, rest)
        parallel(lambda i: blocks[i](), len(blocks))
        for end in ends:
            end()
    else:
        rest()
    for chunk in chunks:
        for p in chunk.params:
            if p._counter is not None:  # something saved it, and must notice the change
                bump(p)


def _decay(optimizer: Optimizer, group: Group) -> Any:
    """The weight decay that is done here; 0 where the formula does its own."""
    return 0 if optimizer.decoupled_decay is None else group.get("weight_decay")


def _decays_apart(optimizer: Optimizer, group: Group) -> bool:
    """Whether weight decay shrinks the parameter instead of being added to the gradient."""
    return bool(group.get("decoupled_weight_decay", optimizer.decoupled_decay))


def apply(optimizer: Optimizer, xp: Any, p: Any, g: Any, state: dict[str, Any], group: Group) -> None:
    """The whole step on ``p``, an array or a symbol: maximize, weight decay, the formula."""
    if group.get("maximize"):
        g = -g
    decay = _decay(optimizer, group)
    if decay:
        if _decays_apart(optimizer, group):
            p *= 1.0 - group["lr"] * decay
        else:
            g = g + p * decay
    given = None if optimizer.elementwise and not optimizer.reads_parameter else p
    p -= optimizer.update(xp, given, g, state, group)


def _change(optimizer: Optimizer, chunk: Chunk, p: Any, g: Any, state: dict[str, Any], group: Group) -> None:
    """The whole step on ``p``, an array or a part of one, in the dtype that is computed in."""
    xp, dtype, stored = chunk.device.xp, chunk.dtype, p
    converted = p.dtype != dtype
    if converted:
        p, g = xp.astype(p, dtype), xp.astype(g, dtype)
    apply(optimizer, xp, p, g, state, group)
    if converted:
        stored[...] = xp.astype(p, stored.dtype)


def _whole(optimizer: Optimizer, chunk: Chunk, grads: list[Any], group: Group) -> None:
    """One tensor in its own shape."""
    array, g = chunk.params[0]._data, grads[0]
    if not array.ndim:
        array, g = array.reshape(1), g.reshape(1)
    _change(optimizer, chunk, array, g, chunk.state, group)


def _joined(optimizer: Optimizer, chunk: Chunk, grads: list[Any], group: Group) -> None:
    """Tensors joined in one flat array; parameters are joined, too, where something reads them."""
    xp, dtype, params = chunk.device.xp, chunk.dtype, chunk.params
    stored = params[0]._data.dtype
    half = stored.itemsize == 2
    decay = _decay(optimizer, group)
    g = xp.concat([flat_reals(g) for g in grads])
    if half:
        g = xp.astype(g, dtype)
    if group.get("maximize"):
        g = -g
    p = None
    if decay or half or optimizer.reads_parameter:
        p = xp.concat([flat_reals(p._data) for p in params])
        if half:
            p = xp.astype(p, dtype)
    if decay:
        if _decays_apart(optimizer, group):
            p *= 1.0 - group["lr"] * decay
        else:
            g = g + p * decay
    delta = optimizer.update(xp, p if optimizer.reads_parameter else None, g, chunk.state, group)
    new = delta if p is None else p - delta
    if half:
        new = xp.astype(new, stored)
    elif stored.kind == "c":
        new = new.view(stored)
    reals = 2 if stored.kind == "c" else 1
    for parameter, (start, end) in zip(params, chunk.bounds):
        array = parameter._data
        part = new[start // reals : end // reals].reshape(array.shape)
        if p is None:
            array -= part
        else:
            array[...] = part


def _cut(
    optimizer: Optimizer,
    chunk: Chunk,
    g: Any,
    group: Group,
    blocks: list[Callable[[], None]],
    ends: list[Callable[[], None]],
) -> None:
    """Add the blocks of one large tensor: each stays in the cache until it is done, and takes any core."""
    xp, arrays = chunk.device.xp, chunk.device.array_type
    array = chunk.params[0]._data
    p = array.reshape(-1)
    if not array.flags.c_contiguous:  # the flat array is a copy
        ends.append(lambda: array.__setitem__(..., p.reshape(array.shape)))
    g = g.reshape(-1)
    flat = {k: v for k, v in chunk.state.items() if isinstance(v, arrays)}
    parts = [slice(*bounds) for bounds in ranges(chunk.size, -(-chunk.size // planning.BLOCK), 16)]
    states: list[Any] = [None] * len(parts)

    def work(i: int) -> Callable[[], None]:
        def run() -> None:
            part = parts[i]
            views = {k: v[part] for k, v in flat.items()}
            state = states[i] = {**chunk.state, **views}
            _change(optimizer, chunk, p[part], g[part], state, group)
            for k, v in views.items():
                if state[k] is not v:  # assigned instead of changed in place
                    v[...] = state[k]

        return run

    def end() -> None:
        for k, v in states[0].items():
            if not isinstance(v, arrays):
                chunk.state[k] = v
            elif k not in flat:  # made by this update
                chunk.state[k] = xp.concat([state[k] for state in states])

    blocks.extend(work(i) for i in range(len(parts)))
    ends.append(end)


def recorded(optimizer: Optimizer, params: list[Tensor], grads: list[Tensor], group: Group) -> None:
    """The same update on Tensors, recorded: gradients flow through the optimizer's step."""
    with enable_grad():
        for p, g in zip(params, grads):
            slot = optimizer._slots.get(p)
            if slot is None:
                slot = planning.slot_of(optimizer, p, group)
            # clones, because what the last step saved must stay as it was
            state = {k: _tensor(v, p) for k, v in slot.entries.items()}
            state["step"] = slot.step = slot.step + 1
            if group.get("maximize"):
                g = -g
            decay, lr = _decay(optimizer, group), group["lr"]
            if decay and _decays_apart(optimizer, group):
                p.mul_(1 - lr * decay)
            elif decay is not None and (isinstance(decay, Tensor) or decay):
                g = g + p * decay
            p.sub_(optimizer.update(traced, p, g, state, group))
            slot.entries = {k: v for k, v in state.items() if k != "step"}


def _tensor(value: Any, p: Tensor) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    return wrap(value.copy(), p._device) if isinstance(value, p._device.array_type) else value
