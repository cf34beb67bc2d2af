"""The peer benchmark: its rows run, are compared before they are timed, and fail where libraries disagree."""

from __future__ import annotations

import json

import pytest

from chainrule.benchmarks import peers
from chainrule.benchmarks.peer_rows import PeerRow, rows

pytestmark = pytest.mark.host


class _Stub:
    """A library that takes so many seconds for a step and has these losses."""

    def __init__(self, name, seconds, losses):
        self.name, self.seconds, self.losses = name, seconds, losses

    def ask(self, method, *arguments):
        return {"build": self.losses, "block": self.seconds}[method]


ROW = PeerRow("row", "a row", lambda lib, quick: lambda: None)


def test_rounds_are_paired_and_ratios_are_ours_over_torchs():
    found = peers.measure(ROW, [_Stub("chainrule", 1.0, [2.0]), _Stub("torch", 4.0, [2.0])], peers.QUICK)
    assert found == {"chainrule": [1.0, 1.0], "torch": [4.0, 4.0]}
    result = peers.Result("row", "a row", False, found, {"chainrule": 1.0, "torch": None})
    ratio = ["0.25", "0.25 to 0.25"]
    assert result.cells() == ["row", "", "1 s", "4 s", "", "", "", *ratio, "", "1.0 MiB", "", ""]
    both = peers.Result("row", "a row", False, {**found, "chainrule[fast]": [0.5, 1.5]}, {})
    assert both.ratios("chainrule[fast]") == [0.125, 0.375]
    assert both.ratios("chainrule") == [0.25, 0.25]


def test_what_is_not_the_same_is_not_timed():
    with pytest.raises(RuntimeError, match="row: results differ"):
        peers.measure(ROW, [_Stub("chainrule", 1.0, [2.0]), _Stub("torch", 4.0, [2.1])], peers.QUICK)


def test_every_name_once():
    names = [row.name for row in rows()]
    assert len(set(names)) == len(names) >= 25


def test_our_side_runs_in_a_process(capsys, tmp_path):
    path, table = tmp_path / "peers.json", tmp_path / "peers.md"
    chosen = ["xor_sgd", "hvp", "indexing", "adam_50x4096"]
    where = ["--json", str(path), "--markdown", str(table)]
    assert peers.main(["--quick", "--no-torch", "--no-jax", "--rows", ",".join(chosen), *where]) == 0
    saved = json.loads(path.read_text())
    assert saved["kind"] == "peers"
    assert {row["row"] for row in saved["rows"]} == set(chosen)
    assert all(len(row["seconds"]["chainrule"]) == peers.QUICK.rounds for row in saved["rows"])
    assert set(saved["geometric_means"].values()) == {None}
    assert table.read_text().startswith("| row |")
    assert "xor_sgd" in capsys.readouterr().out


def test_a_row_that_fails_is_reported_and_the_others_run(capsys, monkeypatch):
    def ask(self, method, *arguments):
        if method == "build" and arguments == ("xor_sgd",):
            raise RuntimeError("chainrule: no such thing")
        answers = {"build": [1.0], "block": 1.0, "memory": None, "describe": "chainrule", "names": ["xor_sgd", "hvp"]}
        return answers[method]

    monkeypatch.setattr(peers.Peer, "ask", ask)
    assert peers.main(["--quick", "--no-torch", "--no-jax", "--rows", "xor_sgd", "--rows", "hvp"]) == 1
    out, err = capsys.readouterr()
    assert "xor_sgd: chainrule: no such thing" in err
    assert "hvp" in out


def test_unknown_rows_are_an_error(capsys):
    with pytest.raises(SystemExit):
        peers.main(["--rows", "nothing"])
    assert "no row matches" in capsys.readouterr().err
