"""Every layer that PyTorch's database knows and we have: results, gradients, buffers and printed forms on its samples.

A layer is picked up as soon as ``chainrule.nn`` has its class. Up to 16 samples each (all where there are fewer) are
compared in float64 within 1e-9 (gradients 1e-8), in training and, where that differs, in evaluation mode; else 4 are in
evaluation mode, as 4 are in float32 within 1e-4.
The tables below list what is compared otherwise, with the reasons.
"""

from __future__ import annotations

import pytest

import chainrule as cr

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's module database needs expecttest (extra `oracle`)")
import moduleinfo  # noqa: E402

pytestmark = pytest.mark.oracle

INFOS = {info.module_cls.__name__: info for info in moduleinfo.load()}
FOUND = sorted(name for name in INFOS if hasattr(cr.nn, name))

#: (name) -> (tolerance in float64, reason)
TOLERANCES: dict[str, tuple[float, str]] = {
    "CELU": (1e-7, "PyTorch computes with 1 / alpha in float32"),
}

#: results of which only shape and dtype are compared
ONLY_SHAPES: dict[str, str] = {}


def check(name, dtype, training, rtol, most):
    info = INFOS[name]
    samples = moduleinfo.samples_of(info, dtype, training, most)
    assert samples
    for sample in samples:
        moduleinfo.compare(info.module_cls, sample, dtype, training, rtol, name in ONLY_SHAPES)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", FOUND)
def test_float64(name, mode):
    most = 16 if mode == "train" or INFOS[name].train_and_eval_differ else 4
    check(name, torch.float64, mode == "train", TOLERANCES.get(name, (1e-9,))[0], most)


@pytest.mark.parametrize("name", FOUND)
def test_float32(name):
    check(name, torch.float32, True, 1e-4, 4)


def test_no_exception_is_stale():
    assert {*TOLERANCES, *ONLY_SHAPES} <= set(INFOS)
