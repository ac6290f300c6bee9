"""What a narrower type gains and loses, as benchmarks/precision.py has measured, and the test that it must pass.

A verdict holds for the network that it was measured with: these weights, at this input size, pooled at the end.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from ..backbones.backbone import Backbone
from ..backbones.taps import Tap
from .engines import ENGINES

TAP = Tap()
"""Where networks are tapped in the trials."""
SAME = 0.99
"""Least share of pictures that keep their nearest neighbour, and of the ten nearest that stay among them.

Of 1,000 pictures, ten may have another one: few enough that lists of neighbours, and what an audit makes of them,
read alike. float32 on another engine changes none at all.
"""
MARGIN = 0.01
"""What a head's accuracy must be shown not to lose: a point, as in `judge_equivalence`."""
FASTER = 1.2
"""Least gain in speed: for less, nobody should have to keep two kinds of features apart."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A narrower type against float32, on some pictures."""

    dataset: str
    pictures: int
    classes: int
    same_nearest: float
    """Share of pictures whose nearest other one is the same."""
    same_ten: float
    """Share of the ten nearest of each picture that are among its ten nearest in float32."""
    accuracy: float
    """Of a logistic head, over five folds."""
    accuracy_float32: float
    difference: float
    """Of the two on the same pictures."""
    interval: tuple[float, float]
    """95 %, of the difference."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a narrower type on an engine gains and loses, for one network."""

    backbone: str
    weights: str
    """Digest of the weight arrays."""
    input_size: tuple[int, int]
    precision: str
    engine: str
    speed: float
    """How many times as fast as float32 the network is, where float32 has its usual engine."""
    trials: tuple[Trial, ...]

    @property
    def objections(self) -> list[str]:
        """What speaks against it; empty where it passes."""
        nearest = 1 - min(trial.same_nearest for trial in self.trials)
        ten = 1 - min(trial.same_ten for trial in self.trials)
        low, high = (min(trial.interval[end] for trial in self.trials) for end in (0, 1))
        found = []
        if nearest > 1 - SAME + 1e-9:
            found.append(f"{nearest:.1%} of pictures get another nearest neighbour")
        elif ten > 1 - SAME + 1e-9:
            found.append(f"{ten:.1%} of the ten nearest neighbours are others")
        if high < 0:
            found.append("a head loses accuracy")
        elif low <= -MARGIN:
            found.append(f"a head may lose {-100 * low:.1f} points")
        if self.speed < FASTER:
            found.append("it is no faster" if self.speed <= 1 else "it is hardly faster")
        return found

    @property
    def passes(self) -> bool:
        """Whether it is worth having and loses nothing measurable."""
        return not self.objections

    def __str__(self) -> str:
        """Return it in a phrase, such as `bfloat16 on openvino: 1.8x, loses nothing measurable`."""
        told = "loses nothing measurable" if self.passes else f"but {', '.join(self.objections)}"
        return f"{self.precision} on {self.engine}: {self.speed:.1f}x, {told}"

    @property
    def computes_here(self) -> bool:
        """Whether this machine has the engine and the type."""
        engine = ENGINES[self.engine]
        return engine.installed and engine.kind.computes_in(self.precision)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Verdict":
        """Return what stands in the shipped table."""
        trials = tuple(Trial(**{**trial, "interval": tuple(trial["interval"])}) for trial in value["trials"])
        # In words it follows from the figures.
        figures = {name: figure for name, figure in value.items() if name != "verdict"}
        return cls(**{**figures, "input_size": tuple(value["input_size"]), "trials": trials})


def find_verdicts(backbone: Backbone, weights: str | None = None) -> tuple[Verdict, ...]:
    """Return the verdicts on narrower types for a backbone at its input size, the fastest first.

    Parameters
    ----------
    backbone : Backbone
    weights : str, optional
        Only those that were reached with weights of this digest.
    """
    found = [
        verdict
        for verdict in _measured()
        if (verdict.backbone, verdict.input_size) == (backbone.name, backbone.input_size)
        and weights in (None, verdict.weights)
    ]
    return tuple(sorted(found, key=lambda verdict: -verdict.speed))


@cache
def _measured() -> tuple[Verdict, ...]:
    content = json.loads((files("demijohn.models.engines") / "precision_verdicts.json").read_text("utf-8"))
    return tuple(Verdict.from_json(value) for value in content["verdicts"])
