"""The head that ships with the project: where it lies, and how it is made again.

    python -m extraction.shipping        # `make adapters`; some minutes of one core

It reads opinions where a home has learned none of its own. It is trained on
sentences that this project composed (:mod:`extraction.composed`) and on nothing
else, so that it may be shipped; ``shipped/MODEL_CARD.md`` says how good it is.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path
from typing import Final

from extraction.calibration import Platt
from extraction.composed import Wording, compose
from extraction.encoder import Encoder
from extraction.training import write_shipped
from extraction.triplets import Epoch, Recipe, TripletModel

SHIPPED: Final = Path(str(resources.files("extraction").joinpath("shipped")))
"""Folder of the shipped head, laid out like that of a home."""
SENTENCES: Final = 9_000
"""Composed sentences; the patterns repeat themselves long before that, the words in them do not."""
RECIPE: Final = Recipe(rank=16, first_layer=3, epochs=3, batch=32, kept_out=0.05)
EXACT: Final = Platt(0.47, -1.13)
"""Log-odds to the confidence that a triplet is exactly right. What is kept out of composed sentences makes a head far
too sure of real ones, so these few numbers are measured on real ones, the training parts of ASTE-V2: see
``kg benchmark extraction-shipped``. No sentence of theirs was learned."""
FACT: Final = Platt(0.39, -0.09)
"""Log-odds to the confidence that aspect and sentiment are right; measured in the same way."""
SEED: Final = 0


def make(folder: Path, *, sentences: int = SENTENCES, recipe: Recipe = RECIPE) -> str:
    """Train the head anew and write it into ``folder``; gives its version."""
    import torch

    # One thread adds in one order: the same processor gives the same bytes.
    torch.set_num_threads(1)
    encoder = Encoder(device="cpu")
    marked = compose(Wording.load(), sentences, SEED)
    model = TripletModel.train(marked, encoder.folder, recipe=recipe, device="cpu", progress=_told)
    model.exact, model.fact = EXACT, FACT
    return write_shipped(folder, model, encoder)


def _told(epoch: Epoch) -> None:
    sys.stderr.write(f"epoch {epoch.number}: loss {epoch.loss:.3f}\n")


if __name__ == "__main__":
    sys.stdout.write(f"{make(SHIPPED)} in {SHIPPED}\n")
