"""`why_no_grad` names the reason, and the line where one is known."""

from __future__ import annotations

import pytest

import chainrule as cr
from chainrule.autograd import record_locations


def leaf(*values):
    return cr.tensor(values or (1.0, 2.0), requires_grad=True)


def test_integers_frozen_tensors_and_results():
    assert "int64 tensors carry no gradient" in cr.why_no_grad(cr.tensor([1]))
    assert "frozen" in cr.why_no_grad(cr.ones(2))
    y = leaf() * 2
    y.sum().backward()
    assert "result of mul, not a leaf" in cr.why_no_grad(y)
    assert "retain_grad()" in cr.why_no_grad(y)


def test_nothing_is_wrong():
    w = leaf()
    (w * 2).sum().backward()
    assert cr.why_no_grad(w) == "it has a gradient that is not zero."


def test_backward_has_not_run():
    w = leaf()
    loss = (w * 2).sum()
    assert "no backward pass has run" in cr.why_no_grad(w, loss)
    assert "no backward pass has reached it" in cr.why_no_grad(w)


def test_not_in_the_graph():
    w, v = leaf(), leaf()
    assert "not in the graph of the result" in cr.why_no_grad(w, (v * 2).sum())


def test_detached_at_a_line():
    w, v = leaf(), leaf()
    with record_locations():
        h = (w * 3).detach()  # the cut
        loss = (h * v).sum()
    loss.backward()
    for said in (cr.why_no_grad(w, loss), cr.why_no_grad(w), cr.why_no_grad(h)):
        assert "detach() at test_why_no_grad.py:" in said
    line = int(cr.why_no_grad(w).rsplit(":", 1)[1].rstrip("."))
    with open(__file__) as file:
        assert "# the cut" in file.readlines()[line - 1]


def test_computed_under_no_grad():
    w = leaf()
    with record_locations():
        with cr.no_grad():
            h = w * 3
        loss = h.sum()
    assert "mul ran under no_grad() at test_why_no_grad.py:" in cr.why_no_grad(w, loss * leaf()[0])
    assert "has no graph" in cr.why_no_grad(w, loss)
    assert "mul ran under no_grad() at" in cr.why_no_grad(h)


@pytest.mark.parametrize(
    ("cut", "name"),
    [
        (lambda w: (w > 0).float(), "gt"),
        (lambda w: w.long().float(), "int64"),
        (lambda w: w.argmax().float(), "argmax"),
    ],
)
def test_an_operation_without_a_gradient(cut, name):
    w, v = leaf(), leaf()
    with record_locations():
        loss = (cut(w) * v).sum()
    said = cr.why_no_grad(w, loss)
    assert name in said
    assert "has no gradient" in said
    assert "test_why_no_grad.py:" in said


def test_all_masked():
    w = cr.tensor([-1.0, -2.0], requires_grad=True)
    with record_locations():
        loss = (cr.relu(w * 2) * 3).sum()
    loss.backward(retain_graph=True)
    said = cr.why_no_grad(w, loss)
    assert "it became zero in relu (test_why_no_grad.py:" in said
    assert "where it became zero" in cr.why_no_grad(w)


def test_a_freed_graph_is_not_walked():
    w = cr.tensor([-1.0, -2.0], requires_grad=True)
    loss = cr.relu(w * 2).sum()
    loss.backward()
    assert "freed by a backward pass" in cr.why_no_grad(w, loss)


def test_contributions_that_cancel():
    w = leaf()
    loss = (w - w).sum()
    loss.backward(retain_graph=True)
    assert "cancel" in cr.why_no_grad(w, loss)


def test_cuts_are_not_kept_outside_recording_and_hold_nothing_alive():
    from chainrule.autograd.cuts import cuts

    before = len(cuts)
    w = leaf()
    with cr.no_grad():
        _ = w * 2
    _ = w.detach()
    assert len(cuts) == before


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="t must be a Tensor"):
        cr.why_no_grad(3)
    with pytest.raises(TypeError, match="result must be a Tensor"):
        cr.why_no_grad(cr.ones(1), 3)
