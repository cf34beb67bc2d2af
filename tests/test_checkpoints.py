"""Checkpoints of training runs: all or nothing, the last ones kept, and runs that are killed and go on."""

from __future__ import annotations

import copy
import os
import random
import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.utils.checkpoints import Checkpoints, load_checkpoint, save_checkpoint


def make(groups=1, optimizer=cr.optim.Adam, scheduler=cr.optim.lr_scheduler.StepLR):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    params = list(model.parameters())
    params = params if groups == 1 else [{"params": params[:2]}, {"params": params[2:]}]
    opt = optimizer(params, lr=0.01)
    return model, opt, scheduler(opt, 2)


def train(model, optimizer, scheduler, count):
    losses = []
    for _ in range(count):
        loss = (model(cr.randn(6, 3)) ** 2).mean() * (1 + random.random()) * (1 + np.random.rand())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return losses


def everything(*objects):
    """The whole state as text, to see that nothing was changed."""
    states = [copy.deepcopy(o.state_dict()) for o in objects]
    return repr([*states, cr.get_rng_state(), random.getstate(), np.random.get_state()])


@pytest.fixture(autouse=True)
def _seeded():
    states = random.getstate(), np.random.get_state(), cr.get_rng_state()
    random.seed(0), np.random.seed(0), cr.manual_seed(0)
    yield
    random.setstate(states[0]), np.random.set_state(states[1]), cr.set_rng_state(states[2])


def test_a_run_goes_on_bit_for_bit(tmp_path):
    run = make()
    train(*run, 3)
    save_checkpoint(tmp_path / "x", *run, epoch=3, losses=[1.0], config={"lr": 0.01})
    expected = train(*run, 4)
    other = make()
    assert load_checkpoint(tmp_path / "x", *other) == {"epoch": 3, "losses": [1.0], "config": {"lr": 0.01}}
    assert train(*other, 4) == expected


@pytest.mark.parametrize("name", [n for n in dir(cr.optim) if isinstance(getattr(cr.optim, n), type)])
def test_every_optimizer_goes_on_bit_for_bit(name, tmp_path):
    kind = getattr(cr.optim, name)
    if not issubclass(kind, cr.optim.Optimizer) or kind is cr.optim.Optimizer:
        pytest.skip(f"{name} is no optimizer")

    def start():
        # without biases, because Muon takes matrices only
        model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.Tanh(), nn.Linear(8, 2, bias=False))
        return model, kind(model.parameters(), lr=0.01)

    def steps(model, optimizer, count):
        losses = []

        def closure():
            optimizer.zero_grad()
            loss = (model(cr.randn(5, 4)) ** 2).mean()
            loss.backward()
            losses.append(loss.item())
            return loss

        for _ in range(count):
            optimizer.step(closure)
        return losses

    run = start()
    steps(*run, 4)
    save_checkpoint(tmp_path / "x", *run)
    expected = steps(*run, 6)
    other = start()
    load_checkpoint(tmp_path / "x", *other)
    assert steps(*other, 6) == expected


def test_several_models_generators_and_parts(tmp_path):
    (g, g_opt, _), (d, d_opt, _) = make(), make()
    ours, numpys = cr.Generator().manual_seed(1), np.random.default_rng(1)
    save_checkpoint(tmp_path / "x", {"g": g, "d": d}, [g_opt, d_opt], sampler=ours, noise=numpys)
    expected = [cr.rand(2, generator=ours).tolist(), numpys.random()]
    a, b = make()[0], make()[0]
    load_checkpoint(tmp_path / "x", {"g": a, "d": b}, sampler=ours, noise=numpys)
    assert [cr.rand(2, generator=ours).tolist(), numpys.random()] == expected
    assert cr.equal(a[0].weight, g[0].weight) and cr.equal(b[0].weight, d[0].weight)
    load_checkpoint(tmp_path / "x", {"d": a}, random=False)
    assert cr.equal(a[0].weight, d[0].weight)


def wider():
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 2))
    optimizer = cr.optim.Adam(model.parameters(), lr=0.01)
    return model, optimizer, cr.optim.lr_scheduler.StepLR(optimizer, 2)


MISFITS = {
    "another model": (wider, r"(?s)model does not fit, and nothing was loaded.*shapes differ.*0\.weight"),
    "other groups": (lambda: make(2), "optimizer does not fit|scheduler does not fit"),
    "another optimizer": (
        lambda: make(optimizer=cr.optim.SGD), "optimizer is of type SGD, the one that was saved Adam"
    ),
    "another scheduler": (
        lambda: make(scheduler=cr.optim.lr_scheduler.CosineAnnealingLR),
        "scheduler is of type CosineAnnealingLR, the one that was saved StepLR",
    ),
    "an optimizer of other parameters": (
        lambda: (lambda m, o: (m[0], o[1], cr.optim.lr_scheduler.StepLR(o[1], 2)))(make(), wider()),
        "optimizer does not fit, and nothing was loaded",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_a_misfit_changes_nothing(name, tmp_path):
    run = make()
    train(*run, 2)
    save_checkpoint(tmp_path / "x", *run)
    other = MISFITS[name][0]()
    with_steps = other[0], other[1]
    before = everything(*other)
    with pytest.raises(RuntimeError, match=MISFITS[name][1]):
        load_checkpoint(tmp_path / "x", *other)
    assert everything(*other) == before
    assert with_steps[1].param_groups[0]["lr"] == 0.01


def test_random_states_that_do_not_fit_change_nothing(tmp_path):
    run = make()
    save_checkpoint(tmp_path / "x", *run)
    saved = cr.load(tmp_path / "x")
    saved["random"]["python"] = (3, (1, 2), None)
    cr.save(saved, tmp_path / "x")
    train(*run, 2)
    before = everything(*run)
    with pytest.raises(RuntimeError, match="python does not fit, and nothing was loaded"):
        load_checkpoint(tmp_path / "x", *run)
    assert everything(*run) == before


@pytest.mark.host
def test_refusals(tmp_path):
    model, optimizer, _ = make()
    path = tmp_path / "x"
    save_checkpoint(path, model)
    with pytest.raises(RuntimeError, match="has no 'optimizer'; it has 'model'"):
        load_checkpoint(path, model, optimizer)
    with pytest.raises(TypeError, match=r"\['config'\] cannot be loaded into"):
        load_checkpoint(path, model, config={"a": 1})
    with pytest.raises(TypeError, match="checkpoint: model must have state_dict.*got int"):
        save_checkpoint(path, 3)
    with pytest.raises(TypeError, match=r"obj\['values'\]\['f'\] is a function"):
        save_checkpoint(path, model, f=print)
    load_checkpoint(path, model)  # the failing saves left it
    cr.save(model.state_dict(), path)
    with pytest.raises(RuntimeError, match="is no file of save_checkpoint"):
        load_checkpoint(path, model)
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "none", model)
    for options, message in (({"keep": 0}, "keep must be positive"), ({"name": "a/b"}, "name must be a plain")):
        with pytest.raises(ValueError, match=message):
            Checkpoints(tmp_path, **options)
    with pytest.raises(ValueError, match="epoch must be a number of at least 0, got -1"):
        Checkpoints(tmp_path).save(-1)


@pytest.mark.host
def test_the_last_ones_are_kept(tmp_path):
    (tmp_path / "checkpoint-x.safetensors").write_text("not ours")
    (tmp_path / "checkpoint-000001.safetensors.bak").write_text("not ours")
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.latest() is None and checkpoints.load() is None
    for epoch in (1, 2, 10, 1_000_000):
        checkpoints.save(epoch)
    assert [p.name for p in checkpoints.paths()] == ["checkpoint-000010.safetensors", "checkpoint-1000000.safetensors"]
    assert checkpoints.load() == {"epoch": 1_000_000}
    checkpoints.save(5)  # a run that was started again from an older one
    assert [p.name[11:18] for p in checkpoints.paths()] == ["000005.", "1000000"]
    everyone = Checkpoints(tmp_path / "deep" / "er", keep=None)
    for epoch in range(5):
        everyone.save(epoch)
    assert len(everyone.paths()) == 5
    assert {"checkpoint-x.safetensors", "checkpoint-000001.safetensors.bak"} <= set(os.listdir(tmp_path))


PROGRAM = """
import os, random, signal, sys
import numpy as np
import chainrule as cr
from chainrule import nn
from chainrule.saving import container
from chainrule.utils.checkpoints import Checkpoints
from chainrule.utils.data import DataLoader, TensorDataset

folder, die_at, where = sys.argv[1], int(sys.argv[2]), sys.argv[3]
cr.manual_seed(0), random.seed(0), np.random.seed(0)
x = cr.randn(40, 5)
loader = DataLoader(TensorDataset(x, (x.sum(1, keepdim=True) > 0).float()), batch_size=8, shuffle=True)
model = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1))
optimizer = cr.optim.Adam(model.parameters(), lr=0.01)
scheduler = cr.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
checkpoints = Checkpoints(folder, keep=2)
found = checkpoints.load(model, optimizer, scheduler)
losses = found["losses"] if found else []

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

for epoch in range(found["epoch"] + 1 if found else 0, 8):
    for step, (a, b) in enumerate(loader):
        if (epoch, where, step) == (die_at, "training", 3):
            die()
        noise = random.random() * 0.1 + float(np.random.rand()) * 0.1
        loss = nn.functional.binary_cross_entropy_with_logits(model(a + noise), b)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    scheduler.step()
    if epoch == die_at and where == "saving":  # after a part of the tensors has been written
        fetch, calls = np.ascontiguousarray, []
        def late(array):
            calls.append(1)
            return fetch(array) if len(calls) < 8 else die()
        container.np = type(np)("np")
        container.np.__dict__.update(ascontiguousarray=late, uint8=np.uint8)
    if epoch == die_at and where == "renaming":
        os.replace = die
    checkpoints.save(epoch, model, optimizer, scheduler, losses=losses)
print([loss.hex() for loss in losses])
print(model[0].weight.sum().item().hex())
"""


@pytest.mark.host
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(tmp_path):
    def run(folder, die_at=-1, where="never"):
        command = [sys.executable, "-c", PROGRAM, str(folder), str(die_at), where]
        return subprocess.run(command, capture_output=True, text=True)

    whole = run(tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    killed = tmp_path / "killed"
    for die_at, where in ((2, "training"), (4, "saving"), (6, "renaming")):
        done = run(killed, die_at, where)
        assert done.returncode == -9, done.stderr
        assert int(Checkpoints(killed).latest().stem[-6:]) == die_at - 1
        assert any(name.endswith(".tmp") for name in os.listdir(killed)) == (where != "training")
    done = run(killed)
    assert done.stdout == whole.stdout, done.stderr
    assert sorted(os.listdir(killed)) == ["checkpoint-000006.safetensors", "checkpoint-000007.safetensors"]
