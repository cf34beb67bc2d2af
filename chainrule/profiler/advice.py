"""What a profile says about a slow program: each piece of advice with the share of the time that it concerns.

``RULES`` has all of them, with the share above which they are given.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chainrule.autograd.op import OPS
from chainrule.profiler.averages import seconds, size
from chainrule.profiler.events import Event
from chainrule.profiler.recording import profile

#: an operation on this many elements or fewer spends most of its time outside of its loop
SMALL = 4096
#: elementwise operations in a row, of at least so many elements, that are worth fusing
CHAIN, CHAIN_ELEMENTS = 3, 65536
#: calls of one module inside one step that look like a loop over time
LOOP = 8
#: bytes of saved results that are worth computing again
LARGE = 256_000_000


@dataclass
class Advice:
    """One piece of advice: the rule that gave it, the share of the time (or memory) it concerns, and what to do."""

    rule: str
    share: float
    text: str

    def __str__(self) -> str:
        return f"{100 * self.share:3.0f}%  {self.text}"


@dataclass(frozen=True)
class Rule:
    """``measure`` gives (seconds or bytes, text) for what it found; told where the share is above ``threshold``."""

    name: str
    threshold: float
    measure: Callable[[Profiled], Iterator[tuple[float, str]]]
    of_memory: bool = False  #: the share is of the saved bytes, not of the time


class Profiled:
    """What the rules read of a profile."""

    def __init__(self, p: profile) -> None:
        self.profile = p
        self.events = [e for e in p.events if e.thread == p._own.thread]
        self.ops = [e for e in self.events if e.kind == "op"]
        #: operations and nodes: what computes
        self.work = [e for e in self.events if e.kind in ("op", "backward")]
        self.total = p.total_time
        self.saved = p.saved_bytes

    def both_ways(self, *names: str) -> float:
        """Seconds of the operations with these names, and of their nodes."""
        return sum(e.self_time for e in self.work if e.name in names)


def advise(p: profile) -> list[Advice]:
    """All advice for a profile (with ``record_shapes`` and ``with_stack``), that with the largest share first."""
    profiled = Profiled(p)
    found = []
    for rule in RULES:
        whole = profiled.saved if rule.of_memory else profiled.total
        for amount, text in rule.measure(profiled):
            share = amount / whole if whole > 0 else 0.0
            if share > rule.threshold:
                found.append(Advice(rule.name, share, text))
    return sorted(found, key=lambda a: -a.share)


def _place(e: Event) -> str:
    """``train.py:41, in Net.encoder``"""
    parts = [str(e.where)] if e.where is not None else []
    parts += [f"in {e.module}"] if e.module else []
    return ", ".join(parts) or "outside of modules"


def _time(events: list[Event]) -> float:
    return sum(e.self_time for e in events)


# ---- waiting ---------------------------------------------------------------------------------------------------------


def _data(p: Profiled) -> Iterator[tuple[float, str]]:
    events = [e for e in p.events if e.kind == "data"]
    time = sum(e.duration for e in events)
    workers = any(e.name.endswith("with workers") for e in events)
    ahead = "Use more workers, or keep them (persistent_workers=True)" if workers else "Load ahead with num_workers=2"
    text = f"waiting for data: {len(events)} times, {seconds(time)}. {ahead}, or keep a small data set in memory"
    yield time, text


def _items(p: Profiled) -> Iterator[tuple[float, str]]:
    events = [e for e in p.events if e.kind == "wait" and e.name in ("item", "tolist", "bool")]
    if events:
        place = _place(max(events, key=lambda e: e.self_time))
        text = (
            f"reading numbers out of tensors: {len(events)} calls of .item(), .tolist() or bool() ({place}). Each "
            f"waits for the device: add up tensors, and read them once every so many steps"
        )
        yield _time(events), text


def _transfers(p: Profiled) -> Iterator[tuple[float, str]]:
    events = [e for e in p.work + [e for e in p.events if e.kind == "wait"] if _is_transfer(e)]
    if events:
        text = (
            f"copies between host and device: {len(events)} ({_place(events[0])}). Create tensors on the device "
            f"(device=), and move data once, not in each step"
        )
        yield _time(events), text


def _is_transfer(e: Event) -> bool:
    return e.name.startswith("copy from ") or e.name == "to_device"


# ---- many small operations -------------------------------------------------------------------------------------------


def _small(p: Profiled) -> Iterator[tuple[float, str]]:
    events = [e for e in p.work if e.elements is not None and e.elements <= SMALL and max(_sizes(e)) <= SMALL]
    if events:
        common = ", ".join(f"{name} ({n})" for name, n in Counter(e.name for e in events).most_common(3))
        text = (
            f"small operations: {len(events)} on at most {SMALL} elements ({common}), {seconds(_time(events))}, where "
            f"the calls cost more than the arithmetic. Use larger batches, fused layers (nn.Linear, nn.LSTM, "
            f"F.cross_entropy), or stack what a loop computes one by one"
        )
        yield _time(events), text


def _sizes(e: Event) -> list[int]:
    return [math.prod(shape) for shape in e.shapes] or [0]


def _loop(p: Profiled) -> Iterator[tuple[float, str]]:
    calls: dict[str, list[Event]] = defaultdict(list)
    for e in p.events:
        if e.kind == "module":
            calls[e.module].append(e)
    inner = {path for path, events in calls.items() if len(events) >= LOOP}
    for path in sorted(inner):
        if any(path.startswith(f"{outer}.") for outer in inner):
            continue  # the loop is around the outer one
        time = sum(e.self_time for e in p.events if e.module == path or e.module.startswith(f"{path}."))
        kind = calls[path][0].name
        instead = {"LSTMCell": "nn.LSTM", "GRUCell": "nn.GRU", "RNNCell": "nn.RNN"}.get(kind)
        way_out = (
            f"{instead} runs the whole sequence in one call"
            if instead
            else "stack the inputs along a new dimension and call it once; a recurrence is nn.LSTM, nn.GRU or nn.RNN"
        )
        yield time, f"a Python loop: {path} ({kind}) is called {len(calls[path])} times, {seconds(time)}. {way_out}"


# ---- passes over memory ----------------------------------------------------------------------------------------------

_NOT_ELEMENTWISE = {"logcumsumexp", "logsumexp", "mean_squared_error", "binary_cross_entropy", "logistic_cross_entropy"}
_ELEMENTWISE_TOO = "abs astype clip elu leaky_relu negative power_by_number relu square".split()
#: what is computed for each element by itself
ELEMENTWISE = {
    op.label
    for name, op in OPS.items()
    if (op.broadcasts or op.floating or op.harmonise or name in _ELEMENTWISE_TOO) and name not in _NOT_ELEMENTWISE
}


def _chains(p: Profiled) -> Iterator[tuple[float, str]]:
    runs: list[list[Event]] = [[]]
    for e in p.ops:
        if e.name not in ELEMENTWISE or e.result is None or (e.elements or 0) < CHAIN_ELEMENTS:
            runs.append([])
            continue
        last = runs[-1][-1] if runs[-1] else None
        if last is not None and (last.parent is not e.parent or last.result is None or last.result[0] != e.result[0]):
            runs.append([])
        runs[-1].append(e)
    chains = [run for run in runs if len(run) >= CHAIN]
    if chains:
        longest = max(chains, key=len)
        names = ", ".join(e.name for e in longest[:6]) + (", ..." if len(longest) > 6 else "")
        text = (
            f"chains of elementwise operations, each a pass over memory: {len(longest)} in a row ({names}; "
            f"{_place(longest[0])}). Use one operation where there is one (F.gelu, F.silu, addcmul, lerp), and "
            f"in-place ones (mul_, add_) where nothing is saved"
        )
        yield sum(_time(chain) for chain in chains), text


_COPIES = {"clone", "contiguous", "copy_", "repeat", "tile"}


def _copies(p: Profiled) -> Iterator[tuple[float, str]]:
    events = [e for e in p.work if e.name in _COPIES or (e.name == "reshape" and e.self_time > 1e-4)]
    if events:
        worst = max(events, key=lambda e: e.self_time)
        text = (
            f"copies: {len(events)} of whole tensors, most in {worst.name} ({_place(worst)}). Leave out clone() and "
            f"contiguous() where nothing is written in place, and reshape() after permute(): layers take any order"
        )
        yield _time(events), text


def _doubles(p: Profiled) -> Iterator[tuple[float, str]]:
    wide = [e for e in p.ops if e.result is not None and e.result[1] == "float64"]
    narrow = any(e.result is not None and e.result[1] == "float32" for e in p.ops)
    singles = any("float32" in e.dtypes for e in p.ops)
    if wide and (narrow or singles):
        names = {(e.name, e.module) for e in wide}
        time = _time(wide) + _time([e for e in p.work if e.kind == "backward" and (e.name, e.module) in names])
        first = wide[0]
        text = (
            f"float64 in a float32 program: {len(wide)} operations, the first one {first.name} ({_place(first)}). "
            f"Convert what comes in with .float(), or create it with dtype=cr.float32"
        )
        yield time, text


# ---- layers ----------------------------------------------------------------------------------------------------------


def _convolutions(p: Profiled) -> Iterator[tuple[float, str]]:
    events = [e for e in p.work if e.name.startswith("conv")]
    kernels: dict[str, float] = defaultdict(float)
    for e in events:
        kernels[" and ".join(dict.fromkeys(e.details.get("kernels", []))) or "the general path"] += e.self_time
    if events:
        used = ", ".join(f"{name} {seconds(t)}" for name, t in sorted(kernels.items(), key=lambda k: -k[1]))
        slowest = max(events, key=lambda e: e.self_time)
        text = (
            f"convolutions, by kernel: {used}; the slowest in {slowest.module or 'no module'}. Winograd takes float32 "
            f"3x3 and 5x5 with stride 1 and many channels; grouped and dilated ones, and float64, are slower"
        )
        yield _time(events), text


#: what a cross-entropy is made of by hand: the second follows the first, at most two others are between them
_THEN = {"softmax": "log", "log_softmax": "gather"}


def _cross_entropy(p: Profiled) -> Iterator[tuple[float, str]]:
    found: dict[tuple[str, str], Event] = {}
    for i, e in enumerate(p.ops):
        if e.name in _THEN:
            then = _THEN[e.name]
            if any(b.name == then and b.parent is e.parent for b in p.ops[i + 1 : i + 4]):
                found.setdefault((e.name, then), e)
    for (first, second), e in found.items():
        text = f"{first} and then {second} ({_place(e)}): F.cross_entropy(scores, targets) does it in one, precise pass"
        yield p.both_ways(first, second), text


def _optimizer(p: Profiled) -> Iterator[tuple[float, str]]:
    events = [e for e in p.events if e.kind == "optimizer"]
    time = sum(e.duration for e in events)
    if events:
        text = (
            f"the optimizer: {events[0].name}, {seconds(time)}. Larger batches make it rarer; SGD with momentum does "
            f"less for each parameter than Adam, and parameters that do not train can be left out of it"
        )
        yield time, text


# ---- gradients -------------------------------------------------------------------------------------------------------


def _unwanted(p: Profiled) -> Iterator[tuple[float, str]]:
    updated = p.profile._updated
    if not updated:
        return
    time = 0.0
    places: list[Event] = []
    for e in p.work:
        leaves = [r() for r in e.details.get("leaves", ())]
        unwanted = [leaf for leaf in leaves if leaf is None or leaf not in updated]
        if unwanted:
            time += e.self_time * len(unwanted) / e.details["gradients"]
            places.append(e)
    if places:
        worst = max(places, key=lambda e: e.self_time)
        text = (
            f"gradients that no optimizer uses: {len(places)} nodes make one, most in {worst.name} ({_place(worst)}). "
            f"Set requires_grad=False on inputs and frozen parameters"
        )
        yield time, text


def _not_differentiated(p: Profiled) -> Iterator[tuple[float, str]]:
    if p.saved and not any(e.kind == "backward" for e in p.events):
        text = (
            f"a graph that is never differentiated: {size(p.saved)} are saved for a backward pass that does not come. "
            f"Evaluate inside cr.no_grad() or cr.inference_mode()"
        )
        yield _time([e for e in p.ops if e.saved_bytes]), text


def _saved(p: Profiled) -> Iterator[tuple[float, str]]:
    by_module: dict[str, int] = defaultdict(int)
    for e in p.events:
        by_module[e.module] += e.saved_bytes
    if p.saved >= LARGE:
        path, most = max(by_module.items(), key=lambda item: item[1])
        text = (
            f"of what is saved for the backward pass ({size(p.saved)}), {size(most)} in {path or 'no module'}. Where "
            f"memory is short, cr.utils.checkpoint computes it again instead"
        )
        yield most, text


#: name, threshold (share above which the advice is given), what it measures
RULES = (
    Rule("data", 0.10, _data),
    Rule("item", 0.03, _items),
    Rule("transfer", 0.05, _transfers),
    Rule("small", 0.30, _small),
    Rule("loop", 0.20, _loop),
    Rule("chain", 0.15, _chains),
    Rule("copy", 0.05, _copies),
    Rule("float64", 0.02, _doubles),
    Rule("convolution", 0.25, _convolutions),
    Rule("cross_entropy", 0.02, _cross_entropy),
    Rule("optimizer", 0.25, _optimizer),
    Rule("unwanted", 0.03, _unwanted),
    Rule("no_grad", 0.05, _not_differentiated),
    Rule("checkpoint", 0.25, _saved, of_memory=True),
)
