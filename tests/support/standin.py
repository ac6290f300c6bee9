"""A three-layer stand-in for a backbone: real code paths, milliseconds instead of seconds.

Run as a script it is `demijohn` with the stand-in registered, for tests that need a process of
their own: `python tests/support/standin.py extract-features photos --backbone tiny --weights random`.
DEMIJOHN_TEST_DELAY makes every batch take so many seconds longer.
"""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from demijohn.models.backbones.backbone import Backbone, Preprocessing
from demijohn.models.backbones.backbones import BACKBONES

SIZE, WIDTH = 16, 8


def build(*, top: bool, input_size: tuple[int, int] = (SIZE, SIZE)) -> Any:
    """Return a convolution and a batch normalisation: (b, 16, 16, 3) to (b, 16, 16, 8)."""
    from demijohn.models.backend import import_keras

    keras = import_keras()
    image = keras.Input((*input_size, 3))
    x = keras.layers.Conv2D(WIDTH, 3, padding="same", name="conv")(image)
    x = keras.layers.BatchNormalization(name="bn")(x)
    x = keras.layers.ReLU(name="relu")(x)
    if top:
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        x = keras.layers.Dense(1000, activation="softmax")(x)
    return keras.Model(image, x, name="tiny")


def build_twofold(*, top: bool, input_size: tuple[int, int] = (SIZE, SIZE)) -> Any:
    """Return the stand-in with a second block behind it, of a residual convolution: for what cuts a network in two."""
    from demijohn.models.backend import import_keras

    keras = import_keras()
    first = build(top=False, input_size=input_size)
    x = keras.layers.Conv2D(WIDTH, 3, padding="same", name="block2_conv")(first.output)
    x = keras.layers.BatchNormalization(name="block2_bn")(x)
    x = keras.layers.Add(name="block2_add")([x, first.output])
    return keras.Model(first.input, x, name="twofold")


def load(model: Any, path: Path) -> None:
    """Load a Keras weights file."""
    from demijohn.models.backbones.weights_files import load_keras_weights

    load_keras_weights(model, path)


TINY = Backbone(
    name="tiny",
    build=build,
    load=load,
    input_size=(SIZE, SIZE),
    width=WIDTH,
    preprocessing=Preprocessing((127.5,) * 3, (127.5,) * 3),
    resize="squash-bilinear",
    megabytes=0.1,
    parameters=0.001,
    depth=3,
    source="the tests",
    licence="none",
)

TWOFOLD = replace(TINY, name="twofold", build=build_twofold)


def main() -> None:
    """Run `demijohn` with the stand-in."""
    from demijohn.models.engines.engine import Engine
    from demijohn.pipeline import cli

    BACKBONES.update({TINY.name: TINY, TWOFOLD.name: TWOFOLD})
    delay = float(os.environ.get("DEMIJOHN_TEST_DELAY", "0"))
    extract = Engine.extract

    def slowly(self: Engine, images: Any) -> Any:
        time.sleep(delay)
        return extract(self, images)

    if delay:
        Engine.extract = slowly  # type: ignore[method-assign]
    cli.main()


if __name__ == "__main__":
    main()
