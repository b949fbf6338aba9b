"""Triplets learned by an adapted encoder: a small world in which the right answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from extraction.benchmarks import MarkedSentence, Triplet
from extraction.calibration import Platt
from extraction.encoder import Encoder
from extraction.evaluation import triplet_calibration_errors
from extraction.tripletnet import words_of
from extraction.triplets import Epoch, ReadTriplet, Recipe, TripletModel, best_threshold, once, split
from kg.errors import ExtractionError
from tests.extraction.conftest import spoken

RECIPE = Recipe(rank=8, first_layer=5, epochs=12, batch=6, rate=3e-3)
ODD = (
    ("🎸", "\u200b", "\u202e", "x" * 10_000),
    (),
    ("MATCH", "(n)", "DETACH", "DELETE", "n"),
    ("一", "<b>", "\x00", "\ud800"),
)


@pytest.fixture(scope="module")
def model() -> TripletModel:
    torch.set_num_threads(1)
    return TripletModel.train(spoken(), recipe=RECIPE, device="cpu")


def test_triplets_are_learned(model: TripletModel) -> None:
    assert model.answer([("the", "display", "is", "poor", ",", "great", "sound", "."), ()]) == [
        (Triplet((1,), (3,), "NEG"), Triplet((6,), (5,), "POS")),
        (),
    ]


@pytest.mark.parametrize("finished", [3, RECIPE.epochs])
def test_a_training_that_was_cut_off_goes_on(model: TripletModel, tmp_path: Path, finished: int) -> None:
    class CutOffError(Exception):
        pass

    def cut_off(epoch: Epoch) -> None:
        if epoch.number == finished:
            raise CutOffError

    file = tmp_path / "unfinished.pt"
    with pytest.raises(CutOffError):
        TripletModel.train(spoken(), recipe=RECIPE, device="cpu", checkpoint=file, progress=cut_off)
    epochs: list[int] = []
    resumed = TripletModel.train(
        spoken(), recipe=RECIPE, device="cpu", checkpoint=file, progress=lambda epoch: epochs.append(epoch.number)
    )
    assert epochs == list(range(finished + 1, RECIPE.epochs + 1))
    # Not only alike: what chance decides goes on, too.
    assert all(torch.equal(w, resumed.net.state_dict()[n]) for n, w in model.net.state_dict().items())
    assert all(torch.equal(w, resumed.encoder.state_dict()[n]) for n, w in model.encoder.state_dict().items())
    # Of other sentences the same file is no beginning.
    epochs.clear()
    TripletModel.train(
        spoken()[:-1], recipe=RECIPE, device="cpu", checkpoint=file, progress=lambda epoch: epochs.append(epoch.number)
    )
    assert epochs[0] == 1


def test_confidences_are_probabilities(model: TripletModel) -> None:
    for read in model.read([s.tokens for s in spoken()]):
        assert read.triplets
        assert all(0.0 < t.confidence < 1.0 for t in read.triplets)


def test_the_states_of_words_stay_those_of_the_encoder_as_it_is(
    model: TripletModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The adapter has moved the states of what was learned, and the head leads them back.
    sentences = [s.tokens for s in spoken()]
    plain = np.vstack(Encoder(device="cpu", exact=True).encode_words(sentences))

    def astray() -> float:
        found = np.vstack([one.words for one in model.read(sentences)])
        return float((np.linalg.norm(found - plain, axis=1) / np.linalg.norm(plain, axis=1)).mean())

    led_back = astray()
    monkeypatch.setattr(model.net, "plain", words_of)
    assert led_back < 0.3
    assert led_back < 0.9 * astray()


def test_the_same_seed_gives_the_same_model(model: TripletModel) -> None:
    again = TripletModel.train(spoken(), recipe=RECIPE, device="cpu")
    assert again.answer([s.tokens for s in spoken()]) == model.answer([s.tokens for s in spoken()])
    for one, other in zip(again.net.state_dict().values(), model.net.state_dict().values(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_model_is_its_files(model: TripletModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    copy = TripletModel.load(tmp_path, device="cpu")
    sentences = [s.tokens for s in spoken()]
    assert copy.answer(sentences) == model.answer(sentences)
    assert (copy.exact, copy.fact) == (model.exact, model.fact)
    (tmp_path / "head.safetensors").write_bytes(b"half a fi")
    with pytest.raises(ExtractionError, match="Train again"):
        TripletModel.load(tmp_path, device="cpu")


def test_nothing_breaks_on_odd_words(model: TripletModel) -> None:
    for words, read in zip(ODD, model.read(ODD), strict=True):
        assert len(read.words) == len(words)
        assert all(max(t.triplet.aspect + t.triplet.opinion) < len(words) for t in read.triplets)


def test_of_two_markings_the_fullest_is_learned() -> None:
    bare, full = (
        MarkedSentence(("Great", "sound"), ()),
        MarkedSentence(("great", "sound"), (Triplet((1,), (0,), "POS"),)),
    )
    assert once([bare, full, bare]) == [full]


def test_the_threshold_with_the_best_f1() -> None:
    # Of five stated: three found above 1.0, all right, two below, both wrong.
    judged = [(2.0, True), (1.5, True), (1.0, True), (0.4, False), (0.2, False)]
    assert best_threshold(judged, 5) == 0.5
    assert best_threshold([], 5) == 0.0


def test_equal_sentences_are_not_parted() -> None:
    sentences = [*spoken(), *spoken()]
    learned, kept_out = split(sentences, 0.3, seed=2)
    assert len(learned) + len(kept_out) == len(sentences)
    assert len(kept_out) == 10
    assert not {s.tokens for s in learned} & {s.tokens for s in kept_out}


def test_confidence_is_the_share_that_was_right() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(1.0, 2.0, 4000)
    # The truth is half as sure as the logits say, and less often right.
    right = rng.random(4000) < 1 / (1 + np.exp(-(0.5 * logits - 0.4)))
    fitted = Platt.fit(logits.tolist(), right.tolist())
    assert fitted.slope == pytest.approx(0.5, abs=0.05)
    assert fitted.shift == pytest.approx(-0.4, abs=0.1)


def test_too_few_mistakes_calibrate_nothing() -> None:
    assert Platt.fit([1.0] * 20, [True] * 20) == Platt()


def test_a_fact_is_right_where_its_triplet_is_one_word_off() -> None:
    stated = MarkedSentence(("The", "bridge", "pickup", "sounds", "warm"), (Triplet((1, 2), (4,), "POS"),))
    exact = ReadTriplet(Triplet((1, 2), (4,), "POS"), 0.9, 0.95)
    near = ReadTriplet(Triplet((2,), (4,), "POS"), 0.4, 0.7)
    turned = ReadTriplet(Triplet((1, 2), (4,), "NEG"), 0.3, 0.4)
    elsewhere = ReadTriplet(Triplet((3,), (4,), "POS"), 0.1, 0.2)
    assert [any(map(one.triplet.says_like, stated.triplets)) for one in (exact, near, turned, elsewhere)] == [
        True,
        True,
        False,
        False,
    ]
    errors = triplet_calibration_errors({"set": [stated]}, {"set": [[exact, near, turned, elsewhere]]})
    assert errors == (pytest.approx((0.1 + 0.4 + 0.3 + 0.1) / 4), pytest.approx((0.05 + 0.3 + 0.4 + 0.2) / 4))


def test_a_fact_is_at_least_as_sure_as_its_triplet(model: TripletModel) -> None:
    exact, fact = model.calibrations(spoken())
    assert all(fact(logit) >= exact(logit) for logit in (0.0, 1.0, 3.0))
