"""How sure an answer is: from a model's log-odds to how often such answers are right.

Platt, "Probabilistic outputs for support vector machines and comparisons to regularized likelihood methods", 1999.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

_LEAST: Final = 5
"""Right answers, and wrong ones, below which there is too little to learn from."""
_FARTHEST: Final = 30.0
"""Log-odds beyond which nothing is told apart."""


@dataclass(frozen=True, slots=True)
class Platt:
    """Log-odds to confidence: ``1 / (1 + exp(-(slope * logit + shift)))``."""

    slope: float = 1.0
    shift: float = 0.0

    def __call__(self, logit: float) -> float:
        """The confidence, between 0 and 1."""
        return 1.0 / (1.0 + math.exp(-max(-_FARTHEST, min(_FARTHEST, self.slope * logit + self.shift))))

    @classmethod
    def fit(cls, logits: Sequence[float], right: Sequence[bool]) -> Self:
        """Maximise the likelihood of what was right; the identity where there is too little to learn from."""
        from scipy.optimize import minimize

        if min(sum(right), len(right) - sum(right)) < _LEAST:
            return cls()
        x, y = np.array(logits), np.array(right, dtype=np.float64)

        def cost(w: Any) -> float:
            z = w[0] * x + w[1]
            # A weak pull to the identity keeps few examples from saying too much.
            return float((np.logaddexp(0, z) - y * z).sum() + (w[0] - 1) ** 2 + w[1] ** 2)

        slope, shift = minimize(cost, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(0.05, 5), (-5, 5)]).x
        return cls(float(slope), float(shift))


def logit(probability: float) -> float:
    """The log-odds of a probability, those of 0 and 1 being as far as one in a million."""
    return math.log(max(probability, 1e-6) / max(1.0 - probability, 1e-6))
