"""Schedules without PyTorch: rates, warnings, bad input; averages of models."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.optim import lr_scheduler as schedules
from chainrule.optim import swa_utils


def optimizer_of(name="SGD", groups=1, **options):
    params = [{"params": [cr.tensor([1.0], requires_grad=True)]} for _ in range(groups)]
    return getattr(cr.optim, name)(params, lr=1.0, **options)


def schedule_of(name, *args, **options):
    return getattr(schedules, name)(optimizer_of(), *args, **options)


def chained(optimizer):
    return [schedules.ExponentialLR(optimizer, 0.5), schedules.ConstantLR(optimizer, 0.5, 2)]


RATES = [
    (lambda: schedule_of("StepLR", 2, gamma=0.5), [1.0, 1.0, 0.5, 0.5, 0.25]),
    (lambda: schedule_of("MultiStepLR", [1, 3], gamma=0.5), [1.0, 0.5, 0.5, 0.25, 0.25]),
    (lambda: schedule_of("ExponentialLR", 0.5), [1.0, 0.5, 0.25, 0.125, 0.0625]),
    (lambda: schedule_of("LambdaLR", lambda epoch: 1 / (1 + epoch)), [1.0, 1 / 2, 1 / 3, 1 / 4, 1 / 5]),
    (lambda: schedule_of("MultiplicativeLR", lambda epoch: 1 / (1 + epoch)), [1.0, 1 / 2, 1 / 6, 1 / 24, 1 / 120]),
    (lambda: schedule_of("CosineAnnealingLR", 2, eta_min=0.5), [1.0, 0.75, 0.5, 0.75, 1.0]),
    (lambda: schedule_of("CosineAnnealingWarmRestarts", 2), [1.0, 0.5, 1.0, 0.5, 1.0]),
    (lambda: schedule_of("ConstantLR", 0.5, 2), [0.5, 0.5, 1.0, 1.0, 1.0]),
    (lambda: schedule_of("ConstantLR", 0.0, 2), [0.0, 0.0, 1.0, 1.0, 1.0]),
    (lambda: schedule_of("LinearLR", 0.5, total_iters=2), [0.5, 0.75, 1.0, 1.0, 1.0]),
    (lambda: schedule_of("PolynomialLR", 4, power=2.0), [1.0, 9 / 16, 4 / 16, 1 / 16, 0.0]),
    (lambda: schedule_of("CyclicLR", 0.0, 1.0, 2, cycle_momentum=False), [0.0, 0.5, 1.0, 0.5, 0.0]),
    (lambda: schedule_of("OneCycleLR", 1.0, 5, pct_start=0.4, anneal_strategy="linear", cycle_momentum=False),
     [0.04, 1.0, 2 / 3, 1 / 3, 4e-6]),
    (lambda: schedules.ChainedScheduler(chained(optimizer_of())), [0.5, 0.25, 0.25, 0.125, 0.0625]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "rates"), RATES)
def test_rates(make, rates):
    if make is RATES[-1][0]:
        optimizer = optimizer_of()
        schedule = schedules.ChainedScheduler(chained(optimizer))
    else:
        schedule = make()
    seen = [schedule.get_last_lr()[0]]
    for _ in rates[1:]:
        schedule.optimizer.step()
        schedule.step()
        seen.append(schedule.optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(seen, rates, atol=1e-5)


def test_state():
    schedule = schedule_of("StepLR", 2)
    schedule.optimizer.step()
    schedule.step()
    state = schedule.state_dict()
    assert "optimizer" not in state and state["last_epoch"] == 1
    other = schedule_of("StepLR", 5)
    other.load_state_dict(state)
    other.step()
    assert other.get_last_lr() == [pytest.approx(0.1)]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(copied):
    schedule = schedule_of("ExponentialLR", 0.5)
    schedule.optimizer.step()
    schedule.step()
    other = copied(schedule)
    other.optimizer.step()
    other.step()
    assert other.get_last_lr() == [0.25] == [other.optimizer.param_groups[0]["lr"]]
    assert schedule.optimizer.param_groups[0]["lr"] == 0.5


# ---- warnings -------------------------------------------------------------------------------------------------------


def test_the_wrong_order_is_warned_of_once():
    schedule = schedule_of("StepLR", 2)
    with pytest.warns(UserWarning, match=r"called before optimizer.step\(\)"):
        schedule.step()
    schedule.step()  # a warning would be an error here


def test_a_step_before_the_schedule_was_made_does_not_count():
    optimizer = optimizer_of()
    optimizer.step()
    schedule = schedules.StepLR(optimizer, 2)
    with pytest.warns(UserWarning, match="called before"):
        schedule.step()


@pytest.mark.parametrize("name", ["LBFGS", "Adam"])
def test_every_step_counts(name):
    optimizer = optimizer_of(name)
    schedule = schedules.StepLR(optimizer, 2)
    optimizer.step(lambda: cr.zeros(()))
    schedule.step()


def test_a_replaced_step_is_not_judged():
    optimizer = optimizer_of()
    optimizer.step = lambda: None
    schedule = schedules.StepLR(optimizer, 2)
    schedule.step()


def test_other_warnings():
    schedule = schedule_of("StepLR", 2)
    schedule.optimizer.step()
    with pytest.warns(UserWarning, match="'epoch' is deprecated"):
        schedule.step(5)
    with pytest.warns(UserWarning, match="use get_last_lr"):
        schedule.get_lr()


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: schedules.StepLR(1, 2), TypeError, "expected an Optimizer, got int"),
        (lambda: schedules.ReduceLROnPlateau(1), TypeError, "expected an Optimizer, got int"),
        (lambda: schedules.CyclicLR(1, 0.1, 1.0), TypeError, "expected an Optimizer, got int"),
        (lambda: schedule_of("StepLR", 0), ValueError, "step_size"),
        (lambda: schedule_of("CosineAnnealingLR", 0), ValueError, "T_max"),
        (lambda: schedule_of("LambdaLR", []), ValueError, "expected 1 functions"),
        (lambda: schedule_of("LambdaLR", 0.5), TypeError, "expected a function, got float"),
        (lambda: schedule_of("MultiplicativeLR", [1]), TypeError, "expected a function, got int"),
        (lambda: schedule_of("StepLR", 2, last_epoch=3), KeyError, "initial_lr"),
        (lambda: schedule_of("ConstantLR", 1.5), ValueError, r"factor must be in \[0, 1\], got 1.5"),
        (lambda: schedule_of("LinearLR", 0.0), ValueError, "start_factor"),
        (lambda: schedule_of("LinearLR", 0.5, 2.0), ValueError, "end_factor"),
        (lambda: schedule_of("CosineAnnealingWarmRestarts", 2.5), ValueError, "T_0 must be a positive integer"),
        (lambda: schedule_of("CosineAnnealingWarmRestarts", 2, 0), ValueError, "T_mult"),
        (lambda: schedule_of("CyclicLR", 0.1, 1.0, mode="square"), ValueError, "mode must be .* got 'square'"),
        (lambda: schedule_of("CyclicLR", [0.1, 0.2], 1.0), ValueError, "base_lr must have 1 values"),
        (lambda: schedules.CyclicLR(optimizer_of("Adagrad"), 0.1, 1.0), ValueError, "cycle_momentum=False"),
        (lambda: schedule_of("OneCycleLR", 1.0), ValueError, "total_steps, or both"),
        (lambda: schedule_of("OneCycleLR", 1.0, -1), ValueError, "total_steps must be a positive integer, got -1"),
        (lambda: schedule_of("OneCycleLR", 1.0, 5, pct_start=2.0), ValueError, "pct_start"),
        (lambda: schedule_of("OneCycleLR", 1.0, 5, anneal_strategy="up"), ValueError, "anneal_strategy"),
        (lambda: schedules.OneCycleLR(optimizer_of("Adagrad"), 1.0, 5), ValueError, "cycle_momentum=False"),
        (lambda: schedule_of("ReduceLROnPlateau", factor=1.0), ValueError, "factor must be below 1"),
        (lambda: schedule_of("ReduceLROnPlateau", "best"), ValueError, "mode must be 'min' or 'max', got 'best'"),
        (lambda: schedule_of("ReduceLROnPlateau", threshold_mode="x"), ValueError, "threshold_mode"),
        (lambda: schedule_of("ReduceLROnPlateau", min_lr=[0.1, 0.2]), ValueError, "min_lr must have 1 values"),
        (lambda: schedule_of("SequentialLR", [], []), ValueError, "at least one"),
        (lambda: schedule_of("SequentialLR", [schedule_of("StepLR", 2)], []), ValueError, "another optimizer"),
        (lambda: schedules.ChainedScheduler([1]), TypeError, r"schedulers\[0\] must be a scheduler, got int"),
        (lambda: schedules.ChainedScheduler([schedule_of("ReduceLROnPlateau")]), ValueError, "needs a metric"),
        (lambda: swa_utils.SWALR(optimizer_of(), 0.1, -1), ValueError, "anneal_epochs"),
        (lambda: swa_utils.SWALR(optimizer_of(), 0.1, 1, "up"), ValueError, "anneal_strategy"),
        (lambda: swa_utils.get_ema_avg_fn(1.5), ValueError, "decay"),
        (lambda: swa_utils.get_ema_multi_avg_fn(-1), ValueError, "decay"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_refused_schedule_leaves_the_optimizer_alone():
    for make in (
        lambda o: schedules.OneCycleLR(o, 0.5, 5, pct_start=2.0),
        lambda o: schedules.CyclicLR(o, 0.1, 1.0),
        lambda o: schedules.OneCycleLR(o, 0.5, 5),
        lambda o: swa_utils.SWALR(o, 0.1, -1),
    ):
        optimizer = optimizer_of("Adagrad")
        before = optimizer.state_dict()["param_groups"]
        with pytest.raises(ValueError, match="SWALR|CycleLR|CyclicLR"):
            make(optimizer)
        assert optimizer.state_dict()["param_groups"] == before


def test_milestones_must_fit():
    optimizer = optimizer_of()
    parts = [schedules.StepLR(optimizer, 2), schedules.StepLR(optimizer, 3)]
    with pytest.raises(ValueError, match="2 schedulers need 1 milestones, got 2"):
        schedules.SequentialLR(optimizer, parts, [1, 2])


def test_states_that_do_not_fit():
    optimizer = optimizer_of()
    both = schedules.ChainedScheduler(chained(optimizer))
    one = schedules.ChainedScheduler(chained(optimizer_of())[:1])
    before = copy.deepcopy(both.state_dict())
    with pytest.raises(ValueError, match="the states of 2 schedulers, got 1"):
        both.load_state_dict(one.state_dict())
    assert both.state_dict() == before
    with pytest.raises(ValueError, match="expected 1 functions, got 2"):
        schedule_of("LambdaLR", float).load_state_dict({"lr_lambdas": [None, None]})


def test_one_cycle_ends():
    schedule = schedule_of("OneCycleLR", 1.0, 3, cycle_momentum=False)
    for _ in range(3):
        schedule.optimizer.step()
        schedule.step()
    with pytest.raises(ValueError, match="step 4 is after the last one: the cycle has 3 steps"):
        schedule.step()


def test_plateau_with_a_new_group():
    optimizer = optimizer_of()
    single = schedules.ReduceLROnPlateau(optimizer, patience=0, min_lr=0.5)
    listed = schedules.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.5])
    optimizer.add_param_group({"params": [cr.zeros(1, requires_grad=True)], "lr": 2.0})
    single.step(1.0), single.step(1.0)
    assert single.get_last_lr() == [0.5, 0.5]
    listed.step(1.0)
    with pytest.raises(RuntimeError, match="has 2 groups by now"):
        listed.step(1.0)


# ---- averages -------------------------------------------------------------------------------------------------------


def test_averaged_model_is_a_copy_that_averages():
    model = nn.Linear(2, 1)
    start = [p.detach().clone() for p in model.parameters()]
    average = swa_utils.AveragedModel(model)
    for _ in range(3):
        average.update_parameters(model)
        with cr.no_grad():
            for p in model.parameters():
                p.add_(3.0)
    for p, q in zip(average.module.parameters(), start, strict=True):
        np.testing.assert_allclose(p.numpy(force=True), q.numpy(force=True) + 3.0, rtol=1e-5)
    assert list(average.state_dict()) == ["n_averaged", "module.weight", "module.bias"]
    assert average.n_averaged.item() == 3
    assert average(cr.zeros(1, 2)).shape == (1, 1)


def test_an_average_of_another_model_changes_nothing():
    average = swa_utils.AveragedModel(nn.Linear(2, 1))
    before = average.module.weight.numpy(force=True).copy()
    with pytest.raises(ValueError, match=r"tensor 0 of the model has shape \(1, 3\), the average \(1, 2\)"):
        average.update_parameters(nn.Linear(3, 1))
    np.testing.assert_array_equal(average.module.weight.numpy(force=True), before)
    with pytest.raises(ValueError, match="got both"):
        swa_utils.AveragedModel(nn.Linear(2, 1), avg_fn=lambda *a: a[0], multi_avg_fn=lambda *a: None)


def test_update_bn_restores_the_model_when_a_batch_fails():
    model = nn.BatchNorm1d(2, momentum=0.25)
    model.eval()
    with pytest.raises((ValueError, RuntimeError)):
        swa_utils.update_bn([cr.ones(3, 2), cr.ones(3, 5)], model)
    assert model.momentum == 0.25 and not model.training
    swa_utils.update_bn([cr.ones(1, 1)], nn.Linear(1, 1))  # nothing to do
