"""Every row of the peer benchmark computes the same under PyTorch and here."""

from __future__ import annotations

import pytest

import chainrule as cr
from chainrule.benchmarks.overhead import compare
from chainrule.benchmarks.peer_rows import rows

torch = pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")
pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: row.name)
def test_losses_agree(row):
    ours, theirs = row.build(cr, True), row.build(torch, True)
    compare(row.name, [ours().item() for _ in range(2)], [theirs().item() for _ in range(2)])
