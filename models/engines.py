"""What executes a frozen backbone: one compiled function with one static batch shape.

The variables are folded into the graph as constants, so that batch normalisation melts into the
convolutions; nothing that training would change is left in it. The last batch is padded: there is
one shape, hence one graph, and a picture's features do not depend on who shares its batch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backbone import Backbone
from .backend import device_name, import_tensorflow
from .errors import ModelError
from .taps import Tap, find_tensor, pool

BATCH_SIZE = 24
"""Pinned in a feature set when it is begun; see recipe.json.

Matrix products are computed in blocks of 12, 24 or 48 rows, by the width of the processor's
registers. Where the rows of a batch are no multiple of that, the rest is summed in another order, and
the last picture's features differ in the last digit (seen with batches of 32 on AVX-512).
"""


class TensorFlowEngine:
    """Pixels to features on TensorFlow; in float32 it is IEEE float32."""

    name = "tensorflow"

    def __init__(self, backbone: Backbone, network: Any, *, batch_size: int, taps: Sequence[Tap] = (Tap(),)) -> None:
        self.batch_size = batch_size
        self.device = device_name()
        self._backbone = backbone
        self._shape = (batch_size, *network.input_shape[1:])
        self.input_size: tuple[int, int] = self._shape[1:3]
        self._taps = tuple(taps)
        tensors = [find_tensor(backbone, network, tap.layer) for tap in self._taps]
        self.shapes = tuple(tuple(tensor.shape[1:]) for tensor, _ in tensors)
        """Of what each tap gives for one picture, before pooling: (h, w, c), (tokens, d) or (d,)."""
        self._forward = self._freeze(network, tensors)

    def extract(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """Return the features of up to a batch of pictures, an array per tap.

        Parameters
        ----------
        images : ndarray of shape (b, h, w, 3), uint8
            RGB pixels in 0..255 at the network's input size; b at most the batch size.

        Returns
        -------
        tuple of ndarrays of shape (b, d), float32

        Raises
        ------
        ModelError
            A feature is not finite: the weights or the arithmetic are broken.
        """
        count = len(images)
        if count > self.batch_size or images.shape[1:] != self._shape[1:] or images.dtype != np.uint8:
            raise ModelError(
                f"{self._backbone.name} takes up to {self._shape} uint8, received {images.shape} {images.dtype}"
            )
        if count < self.batch_size:
            padded = np.zeros(self._shape, dtype=np.uint8)
            padded[:count] = images
            images = padded
        features = tuple(values[:count] for values in self._forward(images))
        for tap, values in zip(self._taps, features, strict=True):
            if not np.isfinite(values).all():
                raise ModelError(
                    f"{self._backbone.name} gave a feature that is not finite ({tap}): check its weights, "
                    "and compute in --precision float32"
                )
        return features

    def _freeze(self, network: Any, tensors: Sequence[tuple[Any, Any]]) -> Any:
        """Return the compiled function: uint8 pixels to one array per tap."""
        tf = import_tensorflow()
        import keras
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        preprocessing = self._backbone.preprocessing
        mean = tf.constant(preprocessing.mean, tf.float32)
        scale = tf.constant(preprocessing.scale, tf.float32)
        # By name, since Keras unpacks a list of one.
        tapped = keras.Model(network.inputs, {str(place): tensor for place, (tensor, _) in enumerate(tensors)})
        ends = [(tap.pooling, norm) for tap, (_, norm) in zip(self._taps, tensors, strict=True)]

        def forward(images: Any) -> Any:
            x = tf.cast(images, tf.float32)  # (b, h, w, 3)
            if preprocessing.channels == "bgr":
                x = x[..., ::-1]
            values = tapped((x - mean) / scale, training=False)
            return [pool(values[str(place)], *end) for place, end in enumerate(ends)]

        concrete = tf.function(forward, autograph=False).get_concrete_function(tf.TensorSpec(self._shape, tf.uint8))
        frozen = convert_variables_to_constants_v2(concrete)

        def run(images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
            return [np.asarray(result) for result in frozen(tf.constant(images))]

        return run
