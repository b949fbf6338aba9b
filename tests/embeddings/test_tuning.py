from __future__ import annotations

from pathlib import Path

import pytest
import torch

from embeddings import tuning
from embeddings.settings import TrainSettings, changed
from embeddings.tuning import Bench, as_options, search
from kg.errors import EmbeddingError
from tests.embeddings.worlds import QUICK, checkerboard, exported

pytest.importorskip("optuna", reason="the extra 'tune' is not installed")


@pytest.fixture(scope="module")
def bench() -> Bench:
    data, _ = exported(checkerboard()[0])
    return Bench.of(data, QUICK, device=torch.device("cpu"), seed=0, report=lambda *_: None)


def test_a_search_begins_with_the_default_and_goes_on_where_it_was_cut_off(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = lambda *_: None  # noqa: E731
    measured: list[TrainSettings] = []
    measure = Bench.measure

    def counted(self: Bench, settings: TrainSettings) -> tuning.Measured:
        measured.append(settings)
        if len(measured) == 3:
            raise KeyboardInterrupt
        return measure(self, settings)

    monkeypatch.setattr(Bench, "measure", counted)
    with pytest.raises(KeyboardInterrupt):
        search(bench, tmp_path, trials=4, seconds=None, progress=silent)
    assert measured[0] == QUICK
    found = search(bench, tmp_path, trials=4, seconds=None, progress=silent)
    # Two had ended, the one that was cut off counts for nothing, and no trial is one that was there before.
    assert (len(measured), found.trials) == (5, 4)
    assert len(set(measured)) == 5
    assert found.best >= found.default > 0.0
    assert found.difference == pytest.approx(found.best - found.default, abs=1e-5)
    # There are as many as were asked for: nothing more is tried.
    assert search(bench, tmp_path, trials=4, seconds=None, progress=silent) == found
    assert len(measured) == 5


def test_no_trial_begins_after_the_time_is_up(bench: Bench, tmp_path: Path) -> None:
    assert search(bench, tmp_path, trials=9, seconds=0.0, progress=lambda *_: None).trials == 1


def test_what_was_found_can_be_given_to_a_training() -> None:
    options = as_options({"temperatures": [0.25], "layers": 3, "loss": "bpr", "learning_rate": 0.012345678})
    assert options == "--set temperatures=0.25 --set layers=3 --set loss=bpr --set learning_rate=0.01235"
    given = dict(option.split("=") for option in options.removeprefix("--set ").split(" --set "))
    assert changed(TrainSettings(), given).temperatures == (0.25,)


def test_too_few_users_to_choose_by_is_said() -> None:
    data, _ = exported([("anna", "S1"), ("anna", "S2")])
    with pytest.raises(EmbeddingError, match="Too few users"):
        Bench.of(data, QUICK, device=torch.device("cpu"), seed=0, report=lambda *_: None)
