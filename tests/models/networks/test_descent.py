"""Descent: two rates, clipped gradients, a state from which it goes on; on two devices as on one."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.models.backend import import_keras
from demijohn.models.networks.descent import Descent, Pace, Samples, begin
from demijohn.models.networks.distortion import build_distortion
from numpy.typing import NDArray

COUNT, SIDE = 24, 8


def make_material() -> Samples:
    random = np.random.default_rng(0)
    labels = (np.arange(COUNT) % 2).astype(np.int32)
    pixels = random.integers(0, 120, (COUNT, SIDE, SIDE, 3)) + 100 * labels[:, None, None, None]
    pixels = pixels.astype(np.uint8)
    return Samples(lambda place: pixels[place], labels, np.ones(COUNT, np.float32), (SIDE, SIDE, 3), "uint8")


def make_descent(*, dropout: float = 0.0, distort: bool = False, steps: int = 8, **pace: float) -> Descent:
    """Return a descent from a seed: a frozen convolution as the stem, a trained one and a head as the top."""
    strategy, keras = begin(1), import_keras()
    with strategy.scope():
        image = keras.Input((SIDE, SIDE, 3))
        stem = keras.Model(image, keras.layers.Conv2D(4, 3, name="frozen")(keras.layers.Rescaling(1 / 255)(image)))
        maps = keras.Input(stem.output_shape[1:])
        x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(maps)
        x = keras.layers.Dropout(dropout)(keras.layers.GlobalAveragePooling2D()(x))
        top = keras.Model(maps, keras.layers.Dense(2, name="head")(x))
        distortion = build_distortion(("flip", "contrast"), (SIDE, SIDE)) if distort else None
    backbone = top.get_layer("conv").trainable_variables
    return Descent(stem, top, backbone, distortion=distortion, pace=Pace(**pace), steps=steps, strategy=strategy)


def run(descent: Descent, material: Samples, epoch: int) -> list[tuple[int, float, int]]:
    order = np.random.default_rng(epoch).permutation(COUNT)
    return list(descent.train(material, order, 10))


def change(descent: Descent, before: list[NDArray[Any]]) -> list[float]:
    """Return the greatest change of the trained kernel and of the head's."""
    moved = [float(np.abs(a - b).max()) for a, b in zip(descent.weights(), before, strict=True)]
    return [moved[0], moved[2]]


def test_it_learns_counts_and_leaves_the_stem_alone() -> None:
    material, descent = make_material(), make_descent(steps=36, learning_rate=0.05, head_learning_rate=0.05)
    stem = [array.copy() for array in descent._stem.get_weights()]
    epochs = [run(descent, material, number) for number in range(12)]
    assert [pictures for pictures, _, _ in epochs[0]] == [10, 10, 4]
    first, last = (sum(loss for _, loss, _ in epoch) / COUNT for epoch in (epochs[0], epochs[-1]))
    assert last < first / 2
    assert sum(hits for _, _, hits in epochs[-1]) == COUNT
    logits = descent.judge(material, np.arange(COUNT), 7)
    assert (logits.argmax(axis=1) == material.labels).all()
    for before, after in zip(stem, descent._stem.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_backbone_and_head_have_rates_of_their_own() -> None:
    descent = make_descent(steps=1, learning_rate=1e-4, head_learning_rate=1e-2, weight_decay=0.0)
    before = descent.weights()
    list(descent.train(make_material(), np.arange(COUNT), COUNT))
    # The first step of Adam moves every weight by the rate.
    assert change(descent, before) == pytest.approx([1e-4, 1e-2], rel=0.05)


@pytest.mark.slow
def test_the_rate_rises_and_falls() -> None:
    descent, material = make_descent(steps=20, learning_rate=1e-3, head_learning_rate=1e-3), make_material()
    rates = []
    for _ in range(20):
        rates.append(float(descent._optimizers[0].learning_rate))
        list(descent.train(material, np.arange(4), 4))
    assert np.argmax(rates) == 2
    assert max(rates) == pytest.approx(1e-3)
    assert (np.diff(rates[2:]) <= 0).all()
    assert rates[-1] < 2e-5


@pytest.mark.slow
def test_gradients_are_clipped_and_kernels_decay() -> None:
    # Below Adam's epsilon, a clipped gradient moves next to nothing.
    descent = make_descent(steps=1, learning_rate=1e-2, clip=1e-11, weight_decay=0.0)
    before = descent.weights()
    list(descent.train(make_material(), np.arange(COUNT), COUNT))
    assert max(change(descent, before)) < 1e-5
    descent = make_descent(steps=1, learning_rate=1e-2, clip=1e-11, weight_decay=0.5)
    before = descent.weights()
    list(descent.train(make_material(), np.arange(COUNT), COUNT))
    np.testing.assert_allclose(descent.weights()[0], before[0] * (1 - 0.5 * 1e-2), rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_it_goes_on_from_its_state_as_if_nothing_had_happened() -> None:
    material = make_material()
    whole = make_descent(dropout=0.5, distort=True)
    run(whole, material, 0)
    state = {name: array.copy() for name, array in whole.state().items()}
    expected = run(whole, material, 1)
    again = make_descent(dropout=0.5, distort=True)
    # Chance has moved on in this process, as it has not in another.
    run(again, material, 7)
    again.restore(state)
    assert run(again, material, 1) == [pytest.approx(step, rel=1e-5) for step in expected]
    for one, other in zip(whole.weights(), again.weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_weights_multiply_losses() -> None:
    material = make_material()
    none = Samples(material.load, material.labels, np.zeros(COUNT, np.float32), material.shape, material.dtype)
    descent = make_descent(weight_decay=0.0)
    before = descent.weights()
    assert sum(loss for _, loss, _ in run(descent, none, 0)) == 0
    assert change(descent, before) == [0, 0]


@pytest.mark.parametrize("use", ["train", "judge"])
def test_what_goes_wrong_while_loading_is_told_as_it_is(use: str) -> None:
    material = make_material()

    def load(place: int) -> NDArray[Any]:
        if place == 13:
            raise LookupError("picture 13 has gone")
        return material.load(place)

    broken = Samples(load, material.labels, material.weights, material.shape, material.dtype)
    descent = make_descent()
    calls: dict[str, Callable[[], Any]] = {
        "train": lambda: run(descent, broken, 0),
        "judge": lambda: descent.judge(broken, np.arange(COUNT), 8),
    }
    with pytest.raises(LookupError, match="picture 13 has gone"):
        calls[use]()


def test_no_picture_is_no_logit() -> None:
    assert make_descent().judge(make_material(), np.arange(0), 8).shape == (0, 2)


TWO = """
import sys
import numpy as np
sys.path.insert(0, {tests!r})
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import importlib.util
spec = importlib.util.spec_from_file_location("here", {here!r})
here = importlib.util.module_from_spec(spec)
spec.loader.exec_module(here)
def train():
    descent, material = here.make_descent(learning_rate=0.01, clip=0.1), here.make_material()
    steps = here.run(descent, material, 0) + here.run(descent, material, 1)
    return steps, descent.weights()
one = train()
def begin(seed, begin=here.begin):
    begin(seed)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
here.begin = begin
two = train()
assert here.begin(0).num_replicas_in_sync == 2
np.testing.assert_allclose(one[0], two[0], rtol=1e-4)
for a, b in zip(one[1], two[1], strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
"""


@pytest.mark.slow
def test_two_devices_do_what_one_does() -> None:
    code = TWO.format(tests=str(Path(__file__).parents[2]), here=__file__)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
