"""What a fit says of itself, without a bar."""

import sys
from types import SimpleNamespace

import pytest

from sklsh._utils.progress import EpochProgress


@pytest.mark.parametrize(("score", "said"), [({}, "P@1"), ({"score": "nDCG@20"}, "nDCG@20")])
def test_the_score_has_a_name(monkeypatch, capsys, score, said):
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    with EpochProgress(True, 2, **score) as progress:
        progress(0, SimpleNamespace(losses=[0.5], validation_scores=[0.25]))
        progress(1, SimpleNamespace(losses=[0.5, 0.4], validation_scores=[]))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"epoch 1/2: loss 0.5000, validation {said} 0.2500, ")
    assert second.startswith("epoch 2/2: loss 0.4000, ") and "validation" not in second
