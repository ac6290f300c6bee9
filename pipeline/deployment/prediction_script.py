"""The script beside an exported model: it reads pictures as extraction does, and needs no demijohn.

Antialiased resizing cannot be converted to ONNX or LiteRT, so it stays outside of the model, in
lines of Pillow that anybody can read. The script that is written is the one that the parity gate runs.
"""

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, Protocol, cast

import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from ...cache.recipe import Recipe
from ...models.networks.artefacts import Artefact
from ..pictures.images import ReadingPolicy
from ..pictures.resizing import FILL

SCRIPT = "predict.py"
UNREAD = "gray of more than 8 bits, and HEIC, for which Pillow needs pillow-heif"
"""What extraction reads and the script does not; it says so with an error."""
_TEMPLATE = "predict.py.jinja"


class Loaded(NamedTuple):
    """An artefact in its own runtime."""

    classes: list[str]
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    """Pixels (1, h, w, 3) to probabilities (1, c)."""


class Script(Protocol):
    """What the script can do."""

    def read_picture(self, path: str) -> NDArray[np.uint8]:
        """Return what the network sees of a picture: (1, h, w, 3)."""

    def load_model(self, path: str) -> Loaded:
        """Return an artefact in its own runtime."""


def render_script(recipe: Recipe, artefacts: Sequence[Artefact], *, classes: int, hub: bool = False) -> str:
    """Return the script's text.

    Parameters
    ----------
    recipe : Recipe
        By which the pictures came to the network.
    artefacts : sequence of Artefact
        That the script can load.
    classes : int
        How many.
    hub : bool
        The network is made of KerasHub's layers.
    """
    height, width = recipe.input_size
    mode, _, kind = recipe.resize.partition("-")
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string((files("demijohn.pipeline.deployment") / _TEMPLATE).read_text("utf-8")).render(
        height=height,
        width=width,
        resize=recipe.resize,
        mode=mode,
        filter=kind.upper(),
        fill=FILL,
        accept=ReadingPolicy.of(recipe.decoder).truncated == "accept",
        files=[artefact.file for artefact in artefacts],
        formats={artefact.format for artefact in artefacts},
        runtimes=list(dict.fromkeys(artefact.runtime for artefact in artefacts)),
        classes=classes,
        hub=hub,
    )


def load_script(folder: Path, text: str) -> Script:
    """Write the script into a folder and return it as a module."""
    path = folder / SCRIPT
    path.write_text(text, "utf-8")
    module = ModuleType("predict")
    # Not imported, since that would leave compiled code beside it.
    exec(compile(text, path, "exec"), module.__dict__)
    return cast(Script, module)
