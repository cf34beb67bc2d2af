"""More kinds of steps for the programs of test_programs.py: most operators, their in-place twins, conversions."""

from __future__ import annotations

import numpy as np
from program_steps import Kinds, Step, torch


class V:
    """Stands for a tensor of the program in the arguments of a step."""

    def __init__(self, i, clone=False):
        self.i, self.clone = i, clone

    def __repr__(self):
        return f"v{self.i}.clone()" if self.clone else f"v{self.i}"


def resolve(lib, v, argument):
    """An argument of a step as one library takes it."""
    if isinstance(argument, V):
        return v[argument.i].clone() if argument.clone else v[argument.i]
    if isinstance(argument, np.ndarray):
        return lib.tensor(argument)
    if isinstance(argument, tuple | list):
        return type(argument)(resolve(lib, v, a) for a in argument)
    return argument


def shown(argument):
    return str(argument.tolist()) if isinstance(argument, np.ndarray) else repr(argument)


def method(i, name, *args, source=None, **kwargs):
    """The step ``v[i].name(*args, **kwargs)``; what an in-place method returns is the tensor itself."""

    def run(lib, v):
        result = getattr(v[i], name)(*[resolve(lib, v, a) for a in args], **kwargs)
        return None if name.endswith("_") else result

    text = ", ".join([*map(shown, args), *(f"{k}={a!r}" for k, a in kwargs.items())])
    return Step(f"v{i}.{name}({text})", run, source)


def function(name, *args, **kwargs):
    """The step ``lib.name(*args, **kwargs)``."""
    text = ", ".join([*map(shown, args), *(f"{k}={a!r}" for k, a in kwargs.items())])
    return Step(f"{name}({text})", lambda lib, v: getattr(lib, name)(*[resolve(lib, v, a) for a in args], **kwargs))


class ManyKinds(Kinds):
    """The kinds of steps of Kinds, and these."""

    def dim(self, t):
        """A dimension of a tensor; of a 0-d one 0 or -1, as PyTorch has it."""
        n = max(t.ndim, 1)
        return int(self.rng.integers(-n, n))

    def flag(self):
        return bool(self.rng.integers(2))

    def mask(self, shape):
        return self.values(tuple(shape)) > 0

    def index(self, n, shape):
        """Positions among ``n``, with repetitions."""
        return np.asarray((np.abs(self.values(tuple(shape))) * 1000).astype(np.int64) % max(n, 1))

    def positions(self, n, count):
        """Positions among ``n`` without repetitions: a write to one place twice is undefined in PyTorch."""
        return np.array([int(k) for k in self.rng.permutation(n)[:count]], np.int64)

    def same_storage(self, i, j):
        return self.theirs[i].untyped_storage().data_ptr() == self.theirs[j].untyped_storage().data_ptr()

    def partner(self, i):
        """A tensor that broadcasts with v[i] (mostly)."""
        return V(self.fitting(self.theirs[i].shape))

    def cumulative(self):
        i = self.some()
        names = ["cumsum", "cumprod", "logcumsumexp", "cumsum"]
        if self.distinct(i):
            names += ["cummax", "cummin"]
        return method(i, self.pick(names), self.dim(self.theirs[i]))

    def ordered(self):
        i = self.some()
        t = self.theirs[i]
        if not self.distinct(i):  # which of two equal elements comes first is each library's choice
            return self.statistic()
        d, name = self.dim(t), self.pick("sort argsort topk median nanmedian kthvalue max min argmax".split())
        n = t.shape[d] if t.ndim else 1
        if name in ("sort", "argsort"):
            return method(i, name, d, self.flag())
        if name == "topk":
            return method(i, name, int(self.rng.integers(0, n + 1)), d, self.flag())
        if not t.numel() and not t.is_floating_point():  # PyTorch's median of no integers is the smallest int64
            return self.cumulative()
        if name == "kthvalue":
            return method(i, name, int(self.rng.integers(1, n + 2)), d, self.flag())
        if self.flag():
            return method(i, name)
        return method(i, name, d, self.flag())

    def statistic(self):
        i = self.some()
        t = self.theirs[i]
        d, keep = self.dim(t), self.flag()
        name = self.pick("var std norm prod softmax log_softmax mean amin nansum all any count_nonzero var_mean "
                         "logsumexp".split())  # fmt: skip
        if name in ("var", "std"):
            return method(i, name, d, correction=self.pick([0, 1]), keepdim=keep)
        if name == "var_mean":
            return function(name, V(i), d)
        if name == "norm":
            return method(i, name, self.pick([1, 2, 3]), d, keep)
        if name in ("softmax", "log_softmax"):
            if not t.is_floating_point():  # refused; PyTorch lets empty ones pass
                return self.mixed()
            return method(i, name, d)
        if name == "count_nonzero":
            return method(i, name, d)
        if name in ("prod", "all", "any", "mean", "nansum") and self.flag():
            return method(i, name)
        return method(i, name, d, keep)

    def algebra(self):
        i = self.some()
        t = self.theirs[i]
        if not t.is_floating_point():  # sums of products of bools are counted here; PyTorch gives bools or refuses
            return self.mixed()
        # of one dtype: whether PyTorch minds depends on the way it takes through the product
        same = [j for j, o in enumerate(self.theirs) if o.dtype == t.dtype and o.shape[-1:] == t.shape[-1:]]
        j = self.pick(same)
        a, b = V(i), V(j)
        m = self.theirs[j].ndim
        if t.ndim == 1 and m == 1:
            name = self.pick(["outer", "dot", "einsum", "tensordot"])
            if name == "einsum":
                return function("einsum", self.pick(["i,i->i", "i,j->ij", "i,i", "i,j->ji", "i,j->j"]), a, b)
            return function(name, a, b, *([1] if name == "tensordot" else []))
        if t.ndim == 2 and m == 1:
            return function(self.pick(["mv", "matmul"]), a, b)
        if t.ndim == 2 and m == 2:
            name = self.pick(["einsum", "tensordot", "mm", "trace", "addmm"])
            if name == "einsum":
                return function(name, self.pick(["ik,jk->ij", "ik,jk", "ik,jk->k", "ki,kj->ij", "...k,jk->...j"]), a, b)
            if name == "tensordot":
                return function(name, a, b, ((1,), (1,)))
            if name == "mm":
                return Step(f"v{i} @ v{j}.t()", lambda lib, v: lib.mm(v[i], v[j].t()))
            if name == "addmm":
                c = self.some()
                return Step(f"addmm(v{c}, v{i}, v{j}.t())",
                            lambda lib, v: lib.addmm(v[c], v[i], v[j].t(), beta=0.5, alpha=-1.5))  # fmt: skip
            return function(name, a)
        if t.ndim == 3 and m == 3:
            if self.flag():
                return function("einsum", self.pick(["bik,bjk->bij", "bik,ajk->ba", "bii->bi"]), a, b)
            return Step(f"bmm(v{i}, v{j}.mT)", lambda lib, v: lib.bmm(v[i], v[j].mT))
        return function("matmul", a, b)

    def rearranged(self):
        i = self.some()
        t = self.theirs[i]
        d = self.dim(t)
        name = self.pick("roll flip rot90 tile repeat tril triu diff diag_embed repeat_interleave tensor_split".split())
        if name == "roll":
            # a 0-d tensor has no dimension to roll along in PyTorch; it has 0 and -1 everywhere else, and here
            return method(i, name, int(self.rng.integers(-3, 4)), *([d] if self.flag() and t.ndim else []))
        if name == "flip":
            return method(i, name, (d,))
        if name == "rot90":
            return method(i, name, int(self.rng.integers(-1, 4)), (0, 1))
        if name in ("tile", "repeat"):
            return method(i, name, self.pick([(2,), (2, 1), (1, 2), (1, 1, 2), (0, 1)]))
        if name in ("tril", "triu"):
            return method(i, name, int(self.rng.integers(-1, 2)))
        if name == "diff" and not t.numel():  # PyTorch makes a new leaf of an empty one
            name = "repeat_interleave"
        if name == "diff":
            return method(i, name, int(self.rng.integers(0, 3)), d)
        if name == "diag_embed":
            return method(i, name, int(self.rng.integers(-1, 2)))
        if name == "tensor_split":
            return method(i, name, 2, d)
        return method(i, name, 2, *([d] if t.ndim else []))  # PyTorch refuses the dimensions of a 0-d one

    def gathered(self):
        i = self.some()
        t = self.theirs[i]
        d = self.dim(t)
        n = t.shape[d] if t.ndim else 1
        name = self.pick("gather take_along_dim index_select take masked_select integers".split())
        if name == "masked_select":
            return method(i, name, self.mask(t.shape))
        if name == "take_along_dim" and not t.ndim:  # PyTorch says that a 0-d tensor has no dimensions
            name = "gather"
        if name == "take":
            return method(i, name, self.index(t.numel(), (3,)))
        if name == "index_select":
            return method(i, name, d, self.index(n, (3,)))
        if name == "integers":  # an integer tensor of the program as an index: may be out of range, or no index at all
            wanted = [k for k, o in enumerate(self.theirs) if not o.dtype.is_floating_point]
            if wanted:
                j = self.pick(wanted)
                if not t.numel():  # PyTorch does not look whether the positions exist
                    return self.cumulative()
                return Step(f"v{i}[v{j}]", lambda lib, v: v[i][v[j]])
        return method(i, "gather" if name == "integers" else name, *self.along(t, d)[::-1][: 2] if name ==
                      "take_along_dim" else self.along(t, d))  # fmt: skip

    def along(self, t, d):
        """A dimension, and an index for gather and its kin."""
        shape = list(t.shape)
        if t.ndim:
            shape[d] = int(self.rng.integers(0, 4)) if shape[d] else 0
        return d, self.index(t.shape[d] if t.ndim else 1, shape)

    def scattered(self, twin=None):
        """Writes at indices: out of place, or in place (``twin``)."""
        twin = self.flag() if twin is None else twin
        i = self.written() if twin else self.some()
        t = self.theirs[i]
        if not t.numel():  # PyTorch returns at once: it checks no positions and records nothing
            return self.more_views()
        d = self.dim(t)
        n = t.shape[d] if t.ndim else 1
        name = self.pick("scatter scatter_add index_add index_copy index_fill index_put masked_scatter masked_fill "
                         "scatter_reduce accumulate".split())  # fmt: skip
        end = "_" if twin else ""
        if name == "masked_fill":
            return method(i, name + end, self.mask(t.shape), 0.4)
        if name == "masked_scatter":
            big = [k for k, o in enumerate(self.theirs) if o.numel() >= t.numel()]
            j = self.pick(big)
            return method(i, name + end, self.mask(t.shape), V(j, self.same_storage(i, j)))
        if name == "index_fill":
            return method(i, name + end, d, self.positions(n, 2), 0.3)
        if name in ("index_add", "index_copy"):
            if t.dtype == torch.bool:  # 2 times a bool is one in PyTorch, and refused here
                name = "index_copy"
            index = self.positions(n, 2) if name == "index_copy" else self.index(n, (2,))
            shape = list(t.shape)
            if t.ndim:
                shape[d] = len(index)
            j, fresh = self.operand(i, tuple(shape))
            if name == "index_copy" and not self.theirs[j].ndim and t.ndim > 1:  # one number for all: refused there
                return self.more_views()
            return method(i, name + end, d, index, V(j, fresh), **({} if name == "index_copy" else {"alpha": 2}))
        if name in ("index_put", "accumulate"):
            if not t.ndim:
                return self.ternary()
            index = self.index(t.shape[0], (3,)) if name == "accumulate" else self.positions(t.shape[0], 2)
            j, fresh = self.operand(i, (len(index), *t.shape[1:]))
            return method(i, f"index_put{end}", (index,), V(j, fresh), accumulate=name == "accumulate")
        same = [k for k, o in enumerate(self.theirs) if o.shape == t.shape and o.dtype == t.dtype]
        j = self.pick(same)
        source = V(j, self.same_storage(i, j))
        if name == "scatter":  # each place at most once: a permutation of each line, the same for all of them
            order = self.positions(n, n)
            index = np.zeros(tuple(t.shape), np.int64)
            if t.ndim:
                index[...] = order.reshape([-1 if k == d % t.ndim else 1 for k in range(t.ndim)])
            return method(i, name + end, d, index, source if self.flag() else 0.7)
        index = self.index(n, t.shape)
        if name == "scatter_add":
            return method(i, name + end, d, index, source)
        return method(i, name + end, d, index, source, "sum" if self.flag() else "mean", include_self=self.flag())

    def more_views(self):
        i = self.some()
        t = self.theirs[i]
        d = self.dim(t)
        n = t.shape[d] if t.ndim else 1
        name = self.pick("diagonal movedim unfold narrow select swapaxes permute squeeze flatten view_as mT "
                         "tensor_split expand_as unflatten ravel hsplit".split())  # fmt: skip
        if name == "diagonal":
            return method(i, name, int(self.rng.integers(-1, 2)))
        if name in ("movedim", "swapaxes"):
            return method(i, name, d, self.dim(t))
        if name == "unfold":
            return method(i, name, d, int(self.rng.integers(1, 4)), int(self.rng.integers(1, 3)))
        if name == "narrow":
            a = int(self.rng.integers(0, n + 1))
            return method(i, name, d, a, int(self.rng.integers(0, n - a + 1)))
        if name == "select":
            return method(i, name, d, int(self.rng.integers(-n, n)) if n else 0)
        if name == "permute":
            return method(i, name, tuple(int(k) for k in self.rng.permutation(t.ndim)))
        if name == "squeeze":
            return method(i, name, d)
        if name in ("flatten", "ravel"):
            return method(i, name, source=i)
        if name == "mT" and t.ndim:  # of a 0-d one deprecated there, refused here
            return Step(f"v{i}.mT", lambda lib, v: v[i].mT)
        if name == "view_as":  # a result of something transposed is transposed there, and in order here
            return method(i, name if t.is_contiguous() else "reshape_as", self.partner(i), source=i)
        if name == "expand_as":
            return method(i, name, self.partner(i))
        if name == "unflatten":
            return method(i, name, d, (1, -1) if n else (1, 0))
        return method(i, name, 2)

    def ternary(self):
        """Elementwise, of one to three tensors; out of place or in place."""
        twin = self.flag()
        i = self.written() if twin else self.some()
        name = self.pick("clamp lerp lerp_tensor addcmul addcdiv atan2 hypot logaddexp copysign fmod remainder fmax "
                         "fmin clamp_min pow log1p sqrt reciprocal floor sign erf sinh softplus xlogy true_divide "
                         "floor_divide".split())  # fmt: skip
        if name == "logaddexp":
            twin = False
        end = "_" if twin else ""

        def other():
            if not twin:
                return self.partner(i)
            return V(*self.operand(i))

        if name == "clamp":
            return method(i, name + end, *self.pick([(-0.5123, 0.6123), (None, 0.3123), (-0.2123,)]))
        if name == "clamp_min":
            return method(i, name + end, self.pick([-0.3123, other()]))
        if name == "lerp":
            return method(i, name + end, other(), 0.3)
        if name == "lerp_tensor":
            end_point, weight = other(), other()
            if not self.theirs[weight.i].ndim:  # PyTorch lets a 0-d weight have another dtype
                return method(i, "lerp" + end, end_point, 0.4)
            return method(i, "lerp" + end, end_point, weight)
        if name == "addcmul":
            return method(i, name + end, other(), other(), value=self.pick([1, 2]))
        if name in ("fmod", "remainder", "floor_divide"):
            return method(i, name + end, self.pick([0.7123, -1.3123, 2]))
        if name in ("floor", "sign", "erf", "sinh"):
            return method(i, name + end)
        if name == "softplus" or (name in ("fmax", "fmin", "xlogy", "true_divide") and twin):
            return Step(f"nn.functional.softplus(v{i})", lambda lib, v: lib.nn.functional.softplus(v[i]))
        # these have edges at 0, where a tensor of a program often lies: step away from it
        j = other()
        if name in ("log1p", "sqrt", "reciprocal"):
            return Step(f"(v{i}**2 + 0.3).{name}()", lambda lib, v: getattr(v[i] ** 2 + 0.3, name)())
        if name in ("addcdiv", "atan2", "true_divide", "hypot", "xlogy", "pow", "copysign"):
            args = {"addcdiv": lambda x, y: (x, y), "hypot": lambda x, y: (y,)}.get(name, lambda x, y: (y,))
            if name == "pow":
                return Step(f"(v{i}**2 + 0.3).pow(v{j.i})", lambda lib, v: (v[i] ** 2 + 0.3).pow(resolve(lib, v, j)))
            return Step(
                f"v{i}.{name}{end}({j}, {j}**2 + 0.4)",
                lambda lib, v: self.result(
                    end, getattr(v[i], name + end)(*args(resolve(lib, v, j), resolve(lib, v, j) ** 2 + 0.4))
                ),
            )
        return method(i, name + end, j)

    @staticmethod
    def result(end, value):
        return None if end else value

    def more_in_place(self):
        i = self.written()
        t = self.theirs[i]
        d = self.dim(t)
        name = self.pick("cumsum_ cumprod_ tril_ triu_ index_add_ clamp_max_ pow_ floor_ sigmoid_ cos_ erf_ "
                         "true_divide_ rsub lerp_ scatter addcmul_ reciprocal_ fill_diagonal_ bool"
                         .split())  # fmt: skip
        if name in ("cumsum_", "cumprod_"):
            if t.dtype == torch.bool:  # the sums are integers, which PyTorch writes into bools unasked
                return method(i, "fill_", 1)
            return method(i, name, d)
        if name in ("tril_", "triu_"):
            return method(i, name, int(self.rng.integers(-1, 2)))
        if name == "clamp_max_":
            return method(i, name, 0.4123)
        if name == "pow_":
            return method(i, name, self.pick([2, 3, 0]))
        if name == "true_divide_":
            return method(i, name, 1.7)
        if name == "fill_diagonal_":
            return method(i, name, 0.8)
        if name == "lerp_":
            return method(i, name, V(*self.operand(i)), -0.7)
        if name == "addcmul_":
            return method(i, name, V(*self.operand(i)), V(*self.operand(i)))
        if name == "bool":
            other = V(*self.operand(i))
            # a comparison ends the graph here; PyTorch keeps that of the overwritten values, or of the other tensor
            if t.requires_grad or self.theirs[other.i].requires_grad:
                return method(i, "neg_")
            return method(i, self.pick(["logical_and_", "logical_or_", "bitwise_xor_", "ne_", "gt_"]), other)
        if name in ("rsub", "scatter", "index_add_", "reciprocal_"):
            return self.scattered(twin=True)
        return method(i, name)

    def in_place_view(self):
        """The tensor itself becomes another view of its memory."""
        i = self.some()
        t = self.theirs[i]
        # a leaf that requires grad with views is refused here, where PyTorch leaves its views without a way to it
        if t.is_leaf and t.requires_grad:
            return self.more_views()
        name = self.pick(["squeeze_", "unsqueeze_", "transpose_", "t_", "swapaxes_"])
        d = self.dim(t)
        if name == "t_":
            return method(i, name)
        if name in ("transpose_", "swapaxes_"):
            return method(i, name, d, self.dim(t))
        return method(i, name, d)

    def conversion(self):
        i = self.some()
        name = self.pick("double float double float long bool type_as gt eq isfinite int round_trip".split())
        if name in ("gt", "eq"):
            return method(i, name, self.pick([0.1123, self.partner(i)]))
        if name == "type_as":
            return method(i, name, self.partner(i))
        if name == "round_trip":
            return Step(f"v{i}.float().double()", lambda lib, v: v[i].float().double())
        if name in ("long", "int"):  # rounding must not decide
            return Step(f"(v{i} * 2 + 0.0123).{name}()", lambda lib, v: getattr(v[i] * 2 + 0.0123, name)())
        return method(i, name, source=i if name != "isfinite" else None)

    def mixed(self):
        """Two tensors of whatever dtypes, with an operator."""
        i = self.some()
        j = self.fitting(self.theirs[i].shape)
        name = self.pick("__add__ __sub__ __mul__ __and__ __or__ __xor__ __lt__ __eq__ __invert__ __neg__ __radd__ "
                         "__rsub__ logical_not".split())  # fmt: skip
        if name in ("__invert__", "__neg__", "logical_not"):
            return method(i, name)
        return Step(f"v{i}.{name}(v{j})", lambda lib, v: getattr(v[i], name)(v[j]))

    def kinds(self):
        return [
            self.unary, self.scalar, self.binary, self.binary, self.product, self.where, self.reduction,
            self.view, self.view, self.view, self.view, self.gather, self.join, self.inplace, self.inplace,
            self.inplace_binary, self.inplace_binary, self.setitem, self.setitem, self.unrecorded,
            self.cumulative, self.ordered, self.statistic, self.algebra, self.algebra, self.rearranged, self.gathered,
            self.scattered, self.scattered, self.more_views, self.more_views, self.more_views, self.ternary,
            self.ternary, self.more_in_place, self.more_in_place, self.in_place_view, self.conversion, self.mixed,
        ]  # fmt: skip
