"""Layers on arguments that PyTorch's database lacks: each is compared on at least six, here and there together."""

from __future__ import annotations

import zlib

import pytest

import chainrule as cr

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest", reason="PyTorch's module database needs expecttest (extra `oracle`)")
import moduleinfo  # noqa: E402
from module_cases import CASES, ENOUGH_IN_THE_DATABASE, IN_EVALUATION, NOT_CALLED, TOLERANCES, sample  # noqa: E402

pytestmark = pytest.mark.oracle

CLASSES = moduleinfo.public_classes()
LAYERS = sorted(n for n, c in CLASSES.items() if issubclass(c, torch.nn.Module) and hasattr(cr.nn, n))


def check(name, entries, dtype, training, rtol):
    cls = getattr(torch.nn, name)
    for number, entry in enumerate(entries):
        torch.manual_seed(zlib.crc32(f"{name} {number}".encode()))
        moduleinfo.compare(cls, sample(entry, dtype), dtype, training, rtol)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", [n for n in LAYERS if n in CASES])
def test_float64(name, mode):
    all_of_them = mode == "train" or "Norm" in name or "Dropout" in name
    entries = CASES[name] if all_of_them else CASES[name][::3]  # most layers do the same in both modes
    check(name, entries, torch.float64, mode == "train", TOLERANCES.get(name, (1e-9,))[0])


@pytest.mark.parametrize("name", [n for n in LAYERS if n in CASES])
def test_float32(name):
    check(name, CASES[name][::4], torch.float32, True, 1e-4)


@pytest.mark.parametrize("name", [n for n in LAYERS if n in IN_EVALUATION])
def test_random_layers_in_evaluation(name):
    check(name, IN_EVALUATION[name], torch.float64, False, 1e-9)


@pytest.mark.parametrize("name", LAYERS)
def test_there_are_six_cases_of_each_layer(name):
    infos = {info.module_cls.__name__: info for info in moduleinfo.load()}
    if name in NOT_CALLED:
        return
    own = len(CASES.get(name, ())) + len(IN_EVALUATION.get(name, ()))
    if name in ENOUGH_IN_THE_DATABASE:
        assert not own
    listed = len(moduleinfo.samples_of(infos[name], torch.float64, True, 6)) if name in infos else 0
    assert own + listed >= 6


def test_the_tables_name_layers():
    names = {*CASES, *IN_EVALUATION, *ENOUGH_IN_THE_DATABASE, *NOT_CALLED, *TOLERANCES}
    assert names <= set(moduleinfo.public_classes())
