"""Early stopping, the progress bar, and seeds in one call."""

from __future__ import annotations

import io
import math
import random

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.training import EarlyStopping, progress, seed_everything


def stops_at(values, **settings):
    """The number of the check that says stop, or None."""
    stopping = EarlyStopping(**settings)
    for i, value in enumerate(values):
        if stopping.step(value):
            return i
    return None


@pytest.mark.parametrize(
    ("values", "settings", "expected"),
    [
        ([3, 2, 1, 0], {"patience": 1}, None),
        ([1, 2], {"patience": 1}, 1),
        ([1, 2], {"patience": 0}, 1),
        ([1, 2, 2, 2], {"patience": 3}, 3),
        ([1, 2, 0.5, 2, 2], {"patience": 2}, 4),
        ([1, 0.95, 0.94], {"patience": 2, "min_delta": 0.1}, 2),
        ([1, 0.9], {"patience": 1, "min_delta": 0.1}, 1),  # 0.9 < 0.9 is false
        ([1, 2, 3], {"patience": 1, "mode": "max"}, None),
        ([3, 2], {"patience": 1, "mode": "max"}, 1),
        ([math.nan, math.nan], {"patience": 2}, 1),
        ([math.nan, 1.0, math.nan, 0.5], {"patience": 2}, None),
        ([0.9, 0.8, 0.7], {"patience": 3, "baseline": 0.5}, 2),
        ([0.9, 0.4, 0.45], {"patience": 2, "baseline": 0.5}, None),
        ([cr.tensor(1.0), cr.tensor([2.0])], {"patience": 1}, 1),
    ],
)
def test_when_it_stops(values, settings, expected):
    assert stops_at(values, **settings) == expected


def train(stopping, model, losses):
    for i, loss in enumerate(losses):
        nn.init.constant_(model.weight, float(i))
        if stopping.step(loss, model):
            return i
    return None


def test_the_best_weights_come_back():
    model, stopping = nn.Linear(1, 1), EarlyStopping(patience=2)
    assert train(stopping, model, [3.0, 1.0, 2.0, 2.0, 0.0]) == 3
    assert model.weight.item() == 1.0 and (stopping.best, stopping.best_step, stopping.stopped) == (1.0, 1, True)

    kept, stopping = nn.Linear(1, 1), EarlyStopping(patience=2, restore_best_weights=False)
    assert train(stopping, kept, [3.0, 1.0, 2.0, 2.0]) == 3
    assert kept.weight.item() == 3.0 and stopping.restore(kept) is False

    ended, stopping = nn.Linear(1, 1), EarlyStopping(patience=5)
    assert train(stopping, ended, [3.0, 1.0, 2.0]) is None
    assert stopping.restore(ended) and ended.weight.item() == 1.0


def test_its_state_can_be_saved():
    model, first = nn.Linear(1, 1), EarlyStopping(patience=2)
    train(first, model, [3.0, 1.0, 2.0])
    state = first.state_dict()
    nn.init.constant_(model.weight, 9.0)
    second = EarlyStopping(patience=2)
    second.load_state_dict(state)
    assert second.step(5.0, model) and model.weight.item() == 1.0
    third = EarlyStopping()
    with pytest.raises(KeyError):
        third.load_state_dict({"best": 1.0, "best_state": None})
    assert third.best is None


@pytest.mark.parametrize("settings", [{"patience": -1}, {"min_delta": -0.1}, {"mode": "auto"}, {"min_delta": math.nan}])
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match=f"EarlyStopping: {next(iter(settings))}"):
        EarlyStopping(**settings)


def test_repr():
    expected = "EarlyStopping(patience=3, min_delta=0.0, mode='min', restore_best_weights=True, baseline=None)"
    assert repr(EarlyStopping(3)) == expected


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.host
def test_progress_shows_on_a_terminal_only():
    for stream, shown in [(io.StringIO(), False), (Terminal(), True)]:
        assert list(progress(range(3), "epochs", file=stream)) == [0, 1, 2]
        assert ("epochs" in stream.getvalue()) is shown
    stream = io.StringIO()
    bar = progress(total=2, file=stream, disable=False)
    bar.update(2)
    bar.close()
    assert "2/2" in stream.getvalue()


def test_seeds():
    def draw():
        return random.random(), np.random.rand(), cr.rand(1).item()

    assert seed_everything(5) == 5
    first, second = draw(), draw()
    assert cr.seed_everything(np.int64(5)) == 5
    assert draw() == first and draw() == second != first
    for bad, error in [(-1, ValueError), (2**32, ValueError), (1.0, TypeError), (True, TypeError)]:
        with pytest.raises(error, match="seed_everything: seed must be"):
            seed_everything(bad)
