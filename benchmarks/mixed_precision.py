"""Does mixed precision make a step of fine-tuning faster here? Keras' `mixed_bfloat16` against float32.

    python benchmarks/mixed_precision.py [BACKBONE...]

Of each backbone (random weights), the whole network and a head of ten classes are trained on one batch of noise,
a step in float32 and a step in which the backbone's layers compute in bfloat16, in turn. Printed are the medians
of five steps each, and their ratio.
"""

import platform
import statistics
import sys
import time
from typing import Any

import numpy as np
from demijohn.models import BACKBONES, load_extractor, locate_weights
from demijohn.models.backend import import_keras, import_tensorflow

PICTURES, CLASSES, REPEATS = 16, 10, 5


def main() -> None:
    """Print a line per backbone."""
    print(f"{platform.platform()}; batches of {PICTURES}")
    for name in sys.argv[1:] or ["efficientnet-lite0", "resnet50"]:
        steps = {policy: prepare(name, policy) for policy in ("float32", "mixed_bfloat16")}
        seconds: dict[str, list[float]] = {policy: [] for policy in steps}
        for repeat in range(REPEATS + 1):
            for policy, step in steps.items():
                started = time.perf_counter()
                step()
                # The first traces the graph.
                if repeat:
                    seconds[policy].append(time.perf_counter() - started)
        usual, mixed = (statistics.median(times) for times in seconds.values())
        print(f"{name}: {usual:.2f} s in float32, {mixed:.2f} s in bfloat16: {usual / mixed:.2f} times as fast")


def prepare(name: str, policy: str) -> Any:
    """Return a function that does one step on a network of its own."""
    tf, keras = import_tensorflow(), import_keras()
    backbone, random = BACKBONES[name], np.random.default_rng(0)
    extractor, _ = load_extractor(backbone, locate_weights(backbone, "random"))
    for layer in extractor.layers:
        for inner in layer._flatten_layers():
            inner.dtype_policy = policy
    pooled = keras.layers.GlobalAveragePooling2D()(extractor.output)
    network = keras.Model(extractor.input, keras.layers.Dense(CLASSES)(pooled))
    optimizer = keras.optimizers.AdamW(1e-5)
    optimizer.build(network.trainable_variables)
    images = tf.constant(random.normal(size=(PICTURES, *backbone.input_size, 3)).astype(np.float32))
    labels = tf.constant(np.arange(PICTURES) % CLASSES)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step() -> Any:
        with tf.GradientTape() as tape:
            logits = tf.cast(network(images, training=True), tf.float32)
            loss = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, [each.value for each in variables]), variables)
        return tf.reduce_mean(loss)

    return lambda: float(step())


if __name__ == "__main__":
    main()
