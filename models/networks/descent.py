"""Gradient descent on a network that was cut in two: the trunk is computed, the top is trained.

Backbone and head have an optimiser each (AdamW, Loshchilov and Hutter 2019,
https://arxiv.org/abs/1711.05101), whose rates rise over the first tenth of all steps and then fall along a
cosine; gradients are clipped by their norm over both. Everything that a continued training needs is in
`state`, the states of random layers included, so that it goes on as if it had never been interrupted.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backend import import_keras, import_tensorflow

_WARM_UP = 0.1
"""Share of all steps in which the rates rise."""
_NO_DECAY = ["bias", "gamma", "beta"]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a network is trained."""

    learning_rate: float = 3e-5
    """Of the unfrozen part of the backbone, at its highest."""
    head_learning_rate: float = 1e-4
    """Of the head, at its highest."""
    weight_decay: float = 1e-2
    """Share of each kernel that goes per step, times the learning rate."""
    clip: float = 1.0
    """Greatest norm of all gradients together."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What a network learns from or is judged by."""

    load: Callable[[int], NDArray[Any]]
    """Returns picture i as pixels (h, w, 3) uint8, or as what the top takes, float32; called from several threads."""
    labels: NDArray[np.int32]
    """(n,)."""
    weights: NDArray[np.float32]
    """(n,) by which losses are multiplied in training."""
    shape: tuple[int, ...]
    """Of what `load` returns."""
    dtype: str


class Descent:
    """A training from its first step to its last.

    Parameters
    ----------
    stem : Keras model or None
        From pixels to what the top takes, run in inference mode; None where the material is that already.
    top : Keras model
        To logits (n, c); its layers are set to be trained or not.
    backbone : sequence of Keras variables
        Those of the trainable ones of `top` that are not the head's.
    distortion : Keras model or None
        From pixels to other pixels, applied in training.
    pace : Pace
    steps : int
        Of the whole training.
    strategy : tf.distribute.Strategy
        Under which the models were built.
    """

    def __init__(
        self,
        stem: Any,
        top: Any,
        backbone: Sequence[Any],
        *,
        distortion: Any = None,
        pace: Pace,
        steps: int,
        strategy: Any,
    ) -> None:
        keras = import_keras()
        self.top = top
        self._stem, self._distortion, self._strategy, self._clip = stem, distortion, strategy, pace.clip
        own = {id(variable) for variable in backbone}
        head = [variable for variable in top.trainable_variables if id(variable) not in own]
        groups = [(list(backbone), pace.learning_rate), (head, pace.head_learning_rate)]
        self._groups = [(variables, rate) for variables, rate in groups if variables]
        self._optimizers = []
        with strategy.scope():
            for variables, rate in self._groups:
                optimizer = keras.optimizers.AdamW(_schedule(keras, rate, steps), weight_decay=pace.weight_decay)
                optimizer.exclude_from_weight_decay(var_names=_NO_DECAY)
                optimizer.build(variables)
                self._optimizers.append(optimizer)
        # Traced once, for batches of any size, when the material is known.
        self._traced: dict[str, Any] = {}

    def train(self, material: Samples, order: NDArray[np.intp], batch_size: int) -> Iterator[tuple[int, float, int]]:
        """Train on some pictures once, in an order; yield per step the pictures, their summed loss and the hits."""
        with _feeding(material, order, batch_size) as batches:
            spread = self._strategy.experimental_distribute_dataset(batches)
            step = self._trace("step", self._distributed_step, spread.element_spec)
            for batch in spread:
                count, loss, hits = step(batch)
                yield int(count), float(loss), int(hits)

    def judge(self, material: Samples, chosen: NDArray[np.intp], batch_size: int) -> NDArray[np.float32]:
        """Return the logits of some pictures, shape (n, c), in inference mode and without distortion."""
        with _feeding(material, chosen, batch_size) as batches:
            infer = self._trace("infer", self._logits, batches.element_spec[0])
            blocks = [infer(x).numpy() for x, _, _ in batches]
        return np.concatenate(blocks) if blocks else np.zeros((0, self.top.output_shape[-1]), np.float32)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that changes in training, by names that are the same in every process."""
        return {name: np.asarray(variable).copy() for name, variable in self._variables()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Set what `state` returned."""
        for name, variable in self._variables():
            variable.assign(state[name])

    def weights(self) -> list[NDArray[Any]]:
        """Return copies of the top's weights."""
        return [np.asarray(variable).copy() for variable in self.top.variables]

    def set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """Set what `weights` returned."""
        for variable, value in zip(self.top.variables, weights, strict=True):
            variable.assign(value)

    def _variables(self) -> Iterator[tuple[str, Any]]:
        distorting = self._distortion.variables if self._distortion is not None else []
        parts = {"top": self.top.variables, "distortion": distorting}
        parts |= {f"optimizer{number}": each.variables for number, each in enumerate(self._optimizers)}
        for part, variables in parts.items():
            for number, variable in enumerate(variables):
                yield f"{part}/{number}", variable

    def _trace(self, name: str, function: Callable[[Any], Any], signature: Any) -> Any:
        if name not in self._traced:
            tf = import_tensorflow()
            self._traced[name] = tf.function(function, input_signature=[signature], autograph=False)
        return self._traced[name]

    def _logits(self, x: Any) -> Any:
        return self.top(self._stem(x, training=False) if self._stem is not None else x, training=False)

    def _distributed_step(self, batch: Any) -> Any:
        parts = self._strategy.run(self._replica_step, args=batch)
        return [self._strategy.reduce("SUM", part, axis=None) for part in parts]

    def _replica_step(self, x: Any, labels: Any, weights: Any) -> Any:
        tf, keras = import_tensorflow(), import_keras()
        replica = tf.distribute.get_replica_context()
        if self._distortion is not None:
            x = self._distortion(x, training=True)
        if self._stem is not None:
            x = self._stem(x, training=False)
        count = tf.shape(labels)[0]
        everywhere = tf.cast(replica.all_reduce("SUM", count), tf.float32)
        variables = [variables for variables, _ in self._groups]
        with tf.GradientTape() as tape:
            logits = self.top(x, training=True)
            losses = weights * keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
            loss = tf.reduce_sum(losses) / everywhere
        gradients = tape.gradient(loss, [[each.value for each in group] for group in variables])
        flat = replica.all_reduce("SUM", tf.nest.flatten(gradients))
        flat, _ = tf.clip_by_global_norm(flat, self._clip)
        # Each optimiser adds up those of all replicas once more.
        flat = [gradient / replica.num_replicas_in_sync for gradient in flat]
        for optimizer, group, own in zip(
            self._optimizers, variables, tf.nest.pack_sequence_as(gradients, flat), strict=True
        ):
            optimizer.apply(own, group)
        hits = tf.reduce_sum(tf.cast(tf.argmax(logits, 1, tf.int32) == labels, tf.int32))
        return count, tf.reduce_sum(losses), hits


def begin(seed: int) -> Any:
    """Return how training is spread: over all GPUs where there are several; chance begins at a seed."""
    tf, keras = import_tensorflow(), import_keras()
    keras.utils.set_random_seed(seed)
    several = len(tf.config.list_logical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


def _schedule(keras: Any, rate: float, steps: int) -> Any:
    warm = int(_WARM_UP * steps)
    rising = {"initial_learning_rate": rate / (warm + 1), "warmup_target": rate, "warmup_steps": warm}
    return keras.optimizers.schedules.CosineDecay(
        decay_steps=max(1, steps - warm), **(rising if warm else {"initial_learning_rate": rate})
    )


@contextmanager
def _feeding(material: Samples, order: NDArray[np.intp], batch_size: int) -> Iterator[Any]:
    """Give batches of (values, labels, weights) in an order; pictures are loaded ahead, several at once."""
    tf = import_tensorflow()
    failed: list[Exception] = []

    def load(place: int) -> NDArray[Any]:
        try:
            return material.load(place)
        except Exception as error:
            # TensorFlow would tell it in words of its own.
            failed.append(error)
            raise

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def fetch(place: Any, label: Any, weight: Any) -> Any:
        value = tf.numpy_function(load, [place], material.dtype, stateful=False)
        return tf.ensure_shape(value, material.shape), label, weight

    rows = (order, material.labels[order], material.weights[order])  # (n,) each
    places = tf.data.Dataset.from_tensor_slices(rows)
    loaded = places.map(fetch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    try:
        yield loaded.batch(batch_size).prefetch(tf.data.AUTOTUNE)
    except tf.errors.OpError:
        if failed:
            raise failed[0] from None
        raise
