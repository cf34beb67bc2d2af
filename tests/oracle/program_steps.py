"""What the random programs of test_programs.py are made of: choices, steps, and the kinds of steps.

A kind looks at PyTorch's tensors (``self.theirs``) to write a step that fits; now and then one does not, and then
both libraries have to refuse it. More kinds stand in program_kinds.py.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import strategies as st

import chainrule as cr

torch = pytest.importorskip("torch")

SHAPES = [(), (3,), (2, 3), (3, 2), (2, 3, 2), (1, 3), (4, 3), (3, 3), (0,), (2, 0)]
KINDS_OF_LEAVES = ["float64"] * 7 + ["float32", "int64", "bool"]


class Choices:
    """The random choices of a program, drawn from Hypothesis, with the methods of ``numpy.random.Generator``."""

    def __init__(self, data):
        self.data = data

    def integers(self, low, high=None, size=None):
        low, high = (0, low) if high is None else (low, high)
        draw = [self.data.draw(st.integers(low, high - 1)) for _ in range(size or 1)]
        return draw if size else draw[0]

    def random(self):
        return self.data.draw(st.integers(0, 99)) / 100

    def uniform(self, low, high, shape):
        return np.random.default_rng(self.integers(1 << 16)).uniform(low, high, shape)

    def permutation(self, n):
        return self.data.draw(st.permutations(range(n)))


class Step:
    """One operation: ``run(library, variables)`` gives None (in place), a tensor, or several.

    ``source`` is the tensor that it may look into or copy, as each library likes (reshape).
    """

    def __init__(self, text, run, source=None):
        self.text, self.run, self.source = text, run, source


class Tensors:
    """The tensors of a program, the same in both libraries, and how to choose among them."""

    def __init__(self, choices):
        self.rng = choices
        self.theirs, self.ours, self.log = [], [], []
        self.replayed = []  # what PyTorch's side did: functions of (library, tensors)

    def pick(self, items):
        return items[int(self.rng.integers(len(items)))]

    def values(self, shape):
        return self.rng.uniform(-1.5, 1.5, shape).round(3)

    def leaf(self):
        shape, kind = self.pick(SHAPES), self.pick(KINDS_OF_LEAVES)
        grad = kind.startswith("float") and bool(self.rng.random() < 0.7)
        array = self.values(shape)
        if kind == "int64":
            array = np.trunc(2 * array)
        elif kind == "bool":
            array = array > 0
        self.log.append(f"v{len(self.theirs)} = leaf{shape} {kind} requires_grad={grad}")

        def make(lib, v):
            v.append(lib.tensor(array, dtype=getattr(lib, kind), requires_grad=grad))

        make(torch, self.theirs)
        make(cr, self.ours)
        self.replayed.append(make)

    @staticmethod
    def nothing(result):
        return None

    def some(self):
        """A tensor, later ones more likely."""
        n = len(self.theirs)
        return n - 1 - min(self.rng.integers(n), self.rng.integers(n))

    def written(self):
        """A tensor to write into; of those with shared elements (expand, unfold) PyTorch refuses only some writes."""
        i = self.some()
        t = self.theirs[i]
        return self.written() if self.overlaps(t) and len(self.theirs) > 1 else i

    @staticmethod
    def overlaps(t):
        """Whether two elements of a tensor lie at the same place."""
        places = sum(i * s for i, s in zip(np.indices(tuple(t.shape)), t.stride(), strict=True))
        return t.ndim > 0 and len(np.unique(places)) < t.numel()

    def distinct(self, i):
        """Whether the elements are so far apart that rounding cannot decide what sorting gives."""
        t = self.theirs[i].detach().to(torch.float64)
        flat = t.flatten().sort().values
        return t.dtype != torch.bool and not (flat.diff() < 1e-3).any()

    def fitting(self, shape):
        """A tensor that broadcasts with a shape (mostly)."""
        found = []
        for k, t in enumerate(self.theirs):
            try:
                result = np.broadcast_shapes(tuple(t.shape), tuple(shape))
            except ValueError:
                continue
            if math.prod(result) <= 200:
                found.append(k)
        return self.pick(found) if found and self.rng.random() < 0.97 else self.some()

    def operand(self, i, shape=None):
        """What is written into v[i], and whether to clone it (PyTorch leaves overlapping writes undefined)."""
        shape = self.theirs[i].shape if shape is None else shape
        found = []
        number = self.theirs[i].is_floating_point()
        for k, t in enumerate(self.theirs):
            if t.requires_grad and not number:  # PyTorch then marks the integer tensor as recorded, and trips over it
                continue
            try:
                if np.broadcast_shapes(tuple(t.shape), tuple(shape)) == tuple(shape):
                    found.append(k)
            except ValueError:
                continue
        j = self.pick(found) if found and self.rng.random() < 0.97 else self.some() if number else i
        a, b = self.theirs[i], self.theirs[j]
        return j, a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()

    def basic_index(self, shape):
        index = []
        for n in shape:
            kind = self.pick(["all", "part", "int", "step"])
            if kind == "int" and n:
                index.append(int(self.rng.integers(-n, n)))
            elif kind == "part":
                a = int(self.rng.integers(0, n + 1))
                index.append(slice(a, int(self.rng.integers(a, n + 1))))
            elif kind == "step":
                index.append(slice(None, None, 2))
            else:
                index.append(slice(None))
        return tuple(index[: int(self.rng.integers(1, len(shape) + 1))])


class Kinds(Tensors):
    """The kinds of steps: a dozen of operations, and all the ways into a view and through it."""

    def unary(self):
        i = self.some()
        name = self.pick("neg sin cos tanh sigmoid relu square abs clone detach exp".split())
        return Step(f"v{i}.{name}()", lambda lib, v: getattr(v[i], name)())

    def scalar(self):
        i, c = self.some(), float(self.values(()))
        name = self.pick(["add", "sub", "mul", "div", "pow"])
        if self.theirs[i].dtype == torch.bool and name == "sub":
            name = "add"  # PyTorch refuses to subtract from a bool tensor; here it counts as 0 and 1, as in sums
        c = 2 if name == "pow" else c or 0.5
        return Step(f"v{i}.{name}({c})", lambda lib, v: getattr(v[i], name)(c))

    def binary(self):
        i = self.some()
        j = self.fitting(self.theirs[i].shape)
        name = self.pick(["add", "sub", "mul", "div", "maximum", "minimum"])
        if name == "div":
            return Step(f"v{i} / (v{j}**2 + 1)", lambda lib, v: v[i] / (v[j] ** 2 + 1))
        return Step(f"v{i}.{name}(v{j})", lambda lib, v: getattr(v[i], name)(v[j]))

    def product(self):
        two = [i for i, t in enumerate(self.theirs) if t.ndim == 2]
        pairs = [(i, j) for i in two for j in two if self.theirs[i].shape[1] == self.theirs[j].shape[0]]
        if not pairs:
            return self.unary()
        i, j = self.pick(pairs)
        return Step(f"v{i} @ v{j}", lambda lib, v: v[i] @ v[j])

    def where(self):
        i = self.some()
        j = self.fitting(self.theirs[i].shape)
        return Step(f"where(v{i} > 0.1, v{i}, v{j})", lambda lib, v: lib.where(v[i] > 0.1, v[i], v[j]))

    def reduction(self):
        i = self.some()
        name = self.pick(["sum", "mean", "amax", "logsumexp"])
        n = self.theirs[i].ndim
        if not n:
            return self.unary()
        d, keep = int(self.rng.integers(-n, n)), bool(self.rng.random() < 0.5)
        return Step(f"v{i}.{name}({d}, {keep})", lambda lib, v: getattr(v[i], name)(d, keep))

    def view(self):
        i = self.some()
        t = self.theirs[i]
        kind = self.pick(
            ["slice", "select", "transpose", "reshape", "unsqueeze", "expand", "squeeze", "many", "none", "T"]
        )
        n = t.ndim
        if kind == "many" and n:
            d, how = int(self.rng.integers(n)), self.pick(["unbind", "split", "chunk"])
            if how == "unbind":
                return Step(f"v{i}.unbind({d})", lambda lib, v: v[i].unbind(d))
            return Step(f"v{i}.{how}(2, {d})", lambda lib, v: getattr(v[i], how)(2, d))
        if kind == "slice" and n:
            index = self.basic_index(t.shape)
            return Step(f"v{i}[{index}]", lambda lib, v: v[i][index])
        if kind == "select" and n and t.shape[0]:
            k = int(self.rng.integers(-t.shape[0], t.shape[0]))
            return Step(f"v{i}[{k}]", lambda lib, v: v[i][k])
        if kind == "transpose" and n > 1:
            a, b = (int(k) for k in self.rng.integers(0, n, 2))
            return Step(f"v{i}.transpose({a}, {b})", lambda lib, v: v[i].transpose(a, b))
        if kind == "T" and n == 2:
            return Step(f"v{i}.t()", lambda lib, v: v[i].t())
        if kind == "reshape":
            shape = self.pick([(-1,), tuple(reversed(t.shape)), (1, *t.shape)]) if t.numel() else tuple(t.shape)
            return Step(f"v{i}.reshape{shape}", lambda lib, v: v[i].reshape(shape), source=i)
        if kind == "unsqueeze":
            d = int(self.rng.integers(0, n + 1))
            return Step(f"v{i}.unsqueeze({d})", lambda lib, v: v[i].unsqueeze(d))
        if kind == "squeeze":
            return Step(f"v{i}.squeeze()", lambda lib, v: v[i].squeeze())
        if kind == "expand":
            return Step(f"v{i}.expand(2, ...)", lambda lib, v: v[i].expand(2, *[-1] * v[i].ndim))
        return Step(f"v{i}[None]", lambda lib, v: v[i][None])

    def gather(self):
        i = self.some()
        if not self.theirs[i].ndim or not self.theirs[i].shape[0]:
            return self.unary()
        if self.rng.random() < 0.3:
            return Step(f"v{i}[v{i} > 0]", lambda lib, v: v[i][v[i] > 0])
        index = [int(k) for k in self.rng.integers(0, self.theirs[i].shape[0], 3)]
        return Step(f"v{i}[{index}]", lambda lib, v: v[i][lib.tensor(index)])

    def join(self):
        i = self.some()
        j = self.pick([k for k, t in enumerate(self.theirs) if t.shape == self.theirs[i].shape])
        name = self.pick(["stack", "cat"]) if self.theirs[i].ndim else "stack"
        return Step(f"{name}([v{i}, v{j}])", lambda lib, v: getattr(lib, name)([v[i], v[j]]))

    def inplace(self):
        i = self.written()
        name = self.pick("neg_ sin_ tanh_ sigmoid_ relu_ square_ exp_ zero_ abs_ clamp_ fill_ add_ mul_ div_".split())
        args = {"clamp_": (-0.5, 0.5), "fill_": (0.7,), "add_": (0.3,), "mul_": (-0.8,), "div_": (1.5,)}.get(name, ())
        return Step(f"v{i}.{name}{args}", lambda lib, v: self.nothing(getattr(v[i], name)(*args)))

    def inplace_binary(self):
        i = self.written()
        j, fresh = self.operand(i)
        name = self.pick(["add_", "sub_", "mul_", "copy_", "masked_fill_", "operator"])
        get = (lambda v: v[j].clone()) if fresh else (lambda v: v[j])
        shown = f"v{j}.clone()" if fresh else f"v{j}"
        if name == "operator":
            op = self.pick(["__iadd__", "__imul__", "__isub__"])
            return Step(f"v{i}.{op}({shown})", lambda lib, v: self.nothing(getattr(v[i], op)(get(v))))
        if name == "masked_fill_":
            return Step(
                f"v{i}.masked_fill_(v{i} > 0.2, 0.4)", lambda lib, v: self.nothing(v[i].masked_fill_(v[i] > 0.2, 0.4))
            )
        return Step(f"v{i}.{name}({shown})", lambda lib, v: self.nothing(getattr(v[i], name)(get(v))))

    def setitem(self):
        i = self.written()
        t = self.theirs[i]
        if not t.ndim:
            return self.inplace()
        kind = self.pick(["basic", "basic", "integers", "mask"])
        if kind == "basic":
            index, key = self.basic_index(t.shape), None
            key = lambda lib, v: index  # noqa: E731
        elif kind == "integers":
            chosen = [int(k) for k in self.rng.permutation(t.shape[0])[:2]]
            index = chosen
            key = lambda lib, v: lib.tensor(chosen)  # noqa: E731
        else:
            index, key = "v > 0.0123", lambda lib, v: v[i] > 0.0123
        if kind == "mask" or self.rng.random() < 0.5:
            return Step(f"v{i}[{index}] = 0.6", lambda lib, v: v[i].__setitem__(key(lib, v), 0.6))
        try:
            target = t.detach()[key(torch, self.theirs)].shape
        except IndexError:
            target = ()
        j, fresh = self.operand(i, target)
        if kind == "integers" and self.theirs[j].dtype != t.dtype:  # cast here, and by PyTorch at basic indices alone
            return self.inplace()
        get = (lambda v: v[j].clone()) if fresh else (lambda v: v[j])
        return Step(f"v{i}[{index}] = v{j}", lambda lib, v: v[i].__setitem__(key(lib, v), get(v)))

    def unrecorded(self):
        """A step under no_grad, as an optimizer's update, or a write through detach().

        Views made under no_grad are PyTorch's own puzzle, and its ``.data`` hides a write that is noticed here.
        """
        inner = self.pick([self.inplace, self.inplace_binary, self.setitem, self.unary])()
        if self.rng.random() < 0.4:
            i = self.written()
            return Step(f"v{i}.detach().add_(0.1)", lambda lib, v: self.nothing(v[i].detach().add_(0.1)))

        def run(lib, v):
            with lib.no_grad():
                return inner.run(lib, v)

        return Step(f"no_grad: {inner.text}", run)
