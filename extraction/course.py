"""A training's state, kept after each epoch, so that one that was cut off goes on as if it had not been."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch


class Part(Protocol):
    """What has a state: torch's modules, optimisers and schedules, :class:`extraction.adapters.AdaptedEncoder` …"""

    def state_dict(self) -> dict[str, Any]:
        """The state, in tensors and plain values."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Take it on."""


@dataclass(frozen=True, slots=True)
class Chance:
    """Where torch's random numbers, and another generator's, have come to."""

    numbers: random.Random

    def state_dict(self) -> dict[str, Any]:
        """Both."""
        import torch

        return {"torch": torch.get_rng_state(), "numbers": self.numbers.getstate()}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Go on from there."""
        import torch

        torch.set_rng_state(state_dict["torch"].cpu())
        self.numbers.setstate(state_dict["numbers"])


@dataclass(frozen=True, slots=True)
class Tensors:
    """Tensors that change in place, an average of weights say."""

    values: Sequence[torch.Tensor]

    def state_dict(self) -> dict[str, Any]:
        """By their numbers."""
        return {str(n): value for n, value in enumerate(self.values)}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Overwrite them."""
        import torch

        with torch.no_grad():
            for n, value in enumerate(self.values):
                value.copy_(state_dict[str(n)])


@dataclass(frozen=True, slots=True)
class Course:
    """One training."""

    parts: Mapping[str, Part]
    file: Path | None
    """Where its state is kept; None for nowhere."""
    mark: str
    """Of what it is a training: the state of another one is not gone on from."""

    def keep(self, epochs: int) -> None:
        """Write the state after so many epochs; the file is the old one or the new one, never half of either."""
        if self.file is None:
            return
        import torch

        state = {name: part.state_dict() for name, part in self.parts.items()}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        new = self.file.with_suffix(".new")
        torch.save({"mark": self.mark, "epochs": epochs, "state": state}, new)
        new.replace(self.file)

    def resume(self, device: torch.device) -> int:
        """Set the state to what the file holds, if it is of this training; gives the finished epochs."""
        if self.file is None or not self.file.is_file():
            return 0
        import torch

        try:
            content: dict[str, Any] = torch.load(self.file, weights_only=True, map_location=device)
        except Exception:  # whatever is wrong with it, the training can begin anew
            return 0
        if content.get("mark") != self.mark:
            return 0
        for name, part in self.parts.items():
            part.load_state_dict(content["state"][name])
        return int(content["epochs"])
