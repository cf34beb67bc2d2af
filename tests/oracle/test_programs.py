"""Random programs of 1 to 30 operations, in place and through views, run by PyTorch and by chainrule.

Each step either succeeds in both or raises in both. At the end all tensors have the same values, and a backward
pass through some of them gives the same gradients or raises in both; in a third of the programs the gradients are
differentiated again. Hypothesis chooses the programs and shrinks one that fails; `make nightly` runs 10,000.

What the programs are made of stands in program_steps.py and program_kinds.py.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")
pytest.importorskip("hypothesis", reason="Hypothesis chooses the programs (extra `test`)")
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from program_kinds import ManyKinds  # noqa: E402
from program_steps import Choices, Step  # noqa: E402

pytestmark = pytest.mark.oracle

ERRORS = (RuntimeError, ValueError, TypeError, IndexError)
# What PyTorch's kernels lack for a dtype and the ones here have ends a program: one side may have been written to.
# It also refuses every subtraction with a bool tensor, which counts as 0 and 1 here (of two bools it is refused).
HOLES = ("not implemented for", "a bool tensor is not supported", "does not support bool", "derivative for")
LARGE = 1e4  # elements beyond this, or not finite, end a program: rounding would decide the rest


class LacksIt(Exception):
    """PyTorch cannot do what chainrule can."""


class Program(ManyKinds):
    """A program that is written and run step by step."""

    def step(self):
        """Write and run one step; returns whether the program can go on."""
        step = self.pick(self.kinds())()
        (theirs, error), (ours, our_error) = attempt(step, torch, self.theirs), attempt(step, cr, self.ours)
        self.log.append(f"{step.text}   # {'raises: ' + str(error)[:80] if error else 'ok'}")
        if error is not None and any(hole in str(error) for hole in HOLES):
            raise LacksIt  # whether or not it is refused here too: PyTorch may have written half of the result
        assert (error is None) == (our_error is None), f"chainrule: {our_error!r}\ntorch: {error!r}"
        if error is not None or theirs is None:
            self.replayed.append(lambda lib, v: attempt(step, lib, v) and None)
            self.replace_unusable()
            return self.tame(self.theirs)
        theirs, ours = ([r] if not isinstance(r, (tuple, list)) else list(r) for r in (theirs, ours))
        assert len(theirs) == len(ours)
        kept = [k for k, a in enumerate(theirs) if a.numel() <= 200 and self.tame([a])]
        if step.source is not None:
            source = self.theirs[step.source]
            shared = theirs[0].untyped_storage().data_ptr() == source.untyped_storage().data_ptr()
            ours_shared = ours[0]._view is not None or ours[0] is self.ours[step.source]
            if shared != ours_shared:
                self.log.append("    a view on one side only: left out")
                kept = []

        def replay(lib, v):
            result, error = attempt(step, lib, v)
            assert error is None
            result = [result] if not isinstance(result, (tuple, list)) else result
            v.extend(result[k] for k in kept)

        self.replayed.append(replay)
        for k in kept:
            self.log.append(f"    v{len(self.theirs)} of shape {tuple(theirs[k].shape)}, {theirs[k].dtype}")
            self.theirs.append(theirs[k])
            self.ours.append(ours[k])
            self.compare(len(self.theirs) - 1)
        self.replace_unusable()
        return True

    def tame(self, tensors):
        return all(bool((t.detach().abs() < LARGE).all()) for t in tensors if t.dtype != torch.bool)

    def replace_unusable(self):
        """PyTorch refuses to look at some views after a write to their base; here they are just brought up to date."""
        for k, t in enumerate(self.theirs):
            try:
                _ = t.requires_grad, t.is_leaf
            except RuntimeError:
                self.replace(k, self.values(tuple(t.shape)))

    def replace(self, k, array):
        def fresh(lib, v):
            v[k] = lib.tensor(array)

        fresh(torch, self.theirs)
        fresh(cr, self.ours)
        self.replayed.append(fresh)
        self.log.append(f"    v{k} is of no more use: now a fresh tensor")

    def rtol(self):
        """Single precision anywhere in the program makes all of it coarse."""
        whole = any(not t.is_floating_point() for t in self.theirs)  # these become float32 next to a number
        coarse = (".float()", "float32", *(["**2 +"] if whole else []))
        return 1e-3 if any(word in line for line in self.log for word in coarse) else 1e-8

    def compare(self, i):
        a, b = self.theirs[i], self.ours[i]
        assert str(a.dtype).removeprefix("torch.") == str(b.dtype).rpartition(".")[2], f"v{i} has dtype {b.dtype}"
        expected, got = a.detach().numpy(), b.numpy(force=True)
        np.testing.assert_allclose(got, expected, rtol=self.rtol(), atol=self.rtol(), err_msg=f"v{i}")
        if a.is_floating_point():  # PyTorch marks an integer tensor that a recorded value was written into
            assert a.requires_grad == b.requires_grad, f"v{i}.requires_grad: chainrule {b.requires_grad}"

    def check_values(self):
        for i, (a, b) in enumerate(zip(self.theirs, self.ours, strict=True)):
            self.compare(i)
            if a.is_floating_point():
                assert a.is_leaf == b.is_leaf, f"v{i}.is_leaf: chainrule {b.is_leaf}"

    def check_gradients(self):
        tracked = [i for i, t in enumerate(self.theirs) if t.requires_grad and not t.is_leaf]
        if not tracked:
            return "nothing to differentiate"
        chosen = sorted({self.pick(tracked) for _ in range(3)} | {tracked[-1]})
        weights = {i: self.values(tuple(self.theirs[i].shape)) for i in chosen}
        leaves = [i for i, t in enumerate(self.theirs) if t.requires_grad and t.is_leaf]
        twice = self.rng.integers(3) == 0
        self.log.append(f"backward through {chosen} to the leaves {leaves}{', twice' if twice else ''}")

        def differentiate(lib, v):
            total = sum((v[i] * lib.tensor(weights[i])).sum() for i in chosen)
            if not twice:
                total.backward()
                return [v[i].grad for i in leaves]
            first = lib.autograd.grad(total, [v[i] for i in leaves], create_graph=True, allow_unused=True)
            # the squares of the leaves give every one a gradient: a zero and no gradient at all are the same here
            again = sum((g**2).sum() for g in first if g is not None) + sum((v[i] ** 2).sum() for i in leaves)
            again.backward()
            return [*first, *(v[i].grad for i in leaves)]

        step = Step("", differentiate)
        (theirs, error), (ours, our_error) = attempt(step, torch, self.theirs), attempt(step, cr, self.ours)
        if error is not None and our_error is None and any(hole in str(error) for hole in HOLES):
            raise LacksIt
        if error is not None and our_error is None and "modified by an inplace operation" in str(error):
            # PyTorch saves a tensor that the rule here does without (or has none of): what would the gradient be?
            with torch.autograd.graph.allow_mutation_on_saved_tensors():
                again = []
                for replay in self.replayed:
                    replay(torch, again)
                theirs, error = attempt(step, torch, again)
            if error is not None:
                return "PyTorch alone raises"
        assert (error is None) == (our_error is None), f"backward: chainrule: {our_error!r}\ntorch: {error!r}"
        if error is not None:
            return "raises"
        for i, a, b in zip([*leaves, *leaves], theirs, ours, strict=False):
            some = a is not None and a.numel() > 0  # an empty gradient and none at all are the same
            assert some == (b is not None and b.numel() > 0), f"v{i}.grad: chainrule {b}, torch {a}"
            if some:
                self.compare_gradients(f"v{i}.grad", a.detach().numpy(), b.numpy(force=True))
        return "agrees"

    def compare_gradients(self, name, expected, got):
        """Where PyTorch's gradient is a number, ours is the same one (up to rounding of the largest)."""
        sure = np.isfinite(expected)
        scale = 1 + np.abs(expected[sure]).max(initial=0)
        np.testing.assert_allclose(got[sure], expected[sure], rtol=self.rtol(), atol=self.rtol() * scale, err_msg=name)


def attempt(step, library, variables):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return step.run(library, variables), None
        except ERRORS as error:
            return None, error


def run_program(data, outcomes=None):
    program = Program(Choices(data))
    try:
        for _ in range(program.rng.integers(1, 4)):
            program.leaf()
        for _ in range(program.rng.integers(1, 31)):
            if not program.step():
                break
        program.check_values()
        outcome = program.check_gradients()
    except LacksIt:
        outcome = "PyTorch lacks it"
    except AssertionError as error:
        raise AssertionError("\n".join([*program.log, str(error)])) from None
    if outcomes is not None:
        outcomes.append(outcome)


def programs(count):
    """The same programs in every run; a failure prints the smallest one found."""
    return settings(
        max_examples=count, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )


def test_programs_agree_with_torch():
    outcomes = []

    @programs(300)
    @given(st.data())
    def run(data):
        run_program(data, outcomes)

    run()
    # enough of them get as far as gradients, or the comparison shows little
    assert outcomes.count("agrees") >= 75
    assert outcomes.count("raises") >= 3


@pytest.mark.slow
@programs(10_000)
@given(st.data())
def test_ten_thousand_programs_agree_with_torch(data):
    run_program(data)
