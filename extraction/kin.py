"""How like attributes are by their names, and what is known of values by these names.

An attribute that was never looked for is asked of its likes: what a text must say to be its value, the attributes
with like names tell (:mod:`extraction.memory`), and the signs that a name alone gives (:mod:`extraction.kinds`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from extraction.kinds import SIGNS, SILENCES, Kinds, Signs, Vectors
from extraction.spans import Text


class Kin:
    """How like attributes are by their names.

    Args:
        encode: texts to unit vectors; or ``None``: then no attribute is like another.
        kinds: what is known of values by the names of their attributes.
        descriptions: sentences that say more of some attributes than their names do.
    """

    POWER: Final = 4
    """Cosines between any two names are 0.2 to 0.4: the fourth power leaves of that 0.01."""

    def __init__(
        self, encode: Vectors | None, kinds: Kinds | None = None, descriptions: Mapping[str, str] | None = None
    ) -> None:
        self._encode = encode
        self._kinds = kinds
        self._descriptions = descriptions or {}
        self._seen: dict[str, NDArray[np.float32]] = {}
        self._sum: tuple[tuple[str, ...], NDArray[np.float32]] | None = None

    def vector(self, attribute: str) -> NDArray[np.float32]:
        """Vector of an attribute's name, and of its description where it has one."""
        self.read([attribute])
        return self._seen[attribute]

    def read(self, attributes: Iterable[str]) -> None:
        """Encode those that are new, all at once."""
        new = [a for a in dict.fromkeys(attributes) if a not in self._seen]
        if not new:
            return
        if self._encode is None:
            self._seen.update((a, np.zeros(1, dtype=np.float32)) for a in new)
            return
        self._seen.update(zip(new, self._encode([self._said(a) for a in new]), strict=True))

    def _said(self, attribute: str) -> str:
        said = self._descriptions.get(attribute)
        return attribute if said is None else f"{attribute}: {said}"

    def prepare(self, texts: Iterable[Text]) -> None:
        """Get ready for questions about these texts: one pass of the encoder instead of one for each text."""
        if self._kinds is not None:
            self._kinds.prepare(texts)

    def signs(
        self,
        text: Text,
        runs: NDArray[np.int32],
        attribute: str,
        known: Iterable[str] | None,
        makers: NDArray[np.float32],
    ) -> Signs:
        """The signs by which an attribute's values are told without an example of them.

        Args:
            known: the known attributes, to whose names words may be more like; ``None``: likeness is not asked.
            makers: see :attr:`extraction.memory.Reading.makers`.
        """
        if self._kinds is None:
            return Signs(np.zeros((len(runs), len(SIGNS)), np.float32), np.zeros(len(SILENCES), np.float32))
        usual = None if known is None else self._usual(attribute, tuple(known))
        return self._kinds.signs(text, runs, attribute, self.vector(attribute), usual, makers)

    def _usual(self, attribute: str, known: tuple[str, ...]) -> NDArray[np.float32]:
        """The mean of the vectors of the other attributes' names; zeros where there are none."""
        own = self.vector(attribute)
        others = len(known) - (attribute in known)
        if not others:
            return np.zeros_like(own)
        if self._sum is None or self._sum[0] != known:
            self.read(known)
            total: NDArray[np.float32] = np.stack([self._seen[a] for a in known]).sum(axis=0)
            self._sum = (known, total)
        return np.asarray((self._sum[1] - own * (attribute in known)) / others, dtype=np.float32)

    def weights(self, attribute: str, known: Mapping[str, int]) -> NDArray[np.float32]:
        """Weight of each known attribute for one that is taken for new, ``[attributes]``; its own is 0."""
        self.read([attribute, *known])
        own = self._seen[attribute]
        return np.array(
            [0.0 if other == attribute else max(0.0, float(own @ self._seen[other])) ** self.POWER for other in known],
            dtype=np.float32,
        )
