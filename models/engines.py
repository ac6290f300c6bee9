"""What executes a frozen backbone: one compiled function with one static batch shape.

The variables are folded into the graph as constants, so that batch normalisation melts into the
convolutions; nothing that training would change is left in it. The last batch is padded: there is
one shape, hence one graph, and a picture's features do not depend on who shares its batch.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .backbones import Backbone
from .backend import device_name, import_tensorflow
from .errors import ModelError

BATCH_SIZE = 24
"""Pinned in a feature set when it is begun; see recipe.json.

Matrix products are computed in blocks of 12, 24 or 48 rows, by the width of the processor's
registers. Where the rows of a batch are no multiple of that, the rest is summed in another order, and
the last picture's features differ in the last digit (seen with batches of 32 on AVX-512).
"""


class TensorFlowEngine:
    """Pixels to features on TensorFlow, in IEEE float32."""

    name = "tensorflow"

    def __init__(self, backbone: Backbone, network: Any, *, batch_size: int) -> None:
        self.batch_size = batch_size
        self.device = device_name()
        self._backbone = backbone
        self._shape = (batch_size, *backbone.input_size, 3)
        self._forward = _freeze(backbone, network, self._shape)

    def extract(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of up to a batch of pictures.

        Parameters
        ----------
        images : ndarray of shape (b, h, w, 3), uint8
            RGB pixels in 0..255 at the backbone's input size; b at most the batch size.

        Returns
        -------
        ndarray of shape (b, d), float32

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
        features: NDArray[np.float32] = self._forward(images)[:count]
        if not np.isfinite(features).all():
            raise ModelError(f"{self._backbone.name} gave a feature that is not finite: check its weights")
        return features


def _freeze(backbone: Backbone, network: Any, shape: tuple[int, ...]) -> Any:
    tf = import_tensorflow()
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    preprocessing = backbone.preprocessing
    mean = tf.constant(preprocessing.mean, tf.float32)
    scale = tf.constant(preprocessing.scale, tf.float32)

    def forward(images: Any) -> Any:
        x = tf.cast(images, tf.float32)  # (b, h, w, 3)
        if preprocessing.channels == "bgr":
            x = x[..., ::-1]
        return network((x - mean) / scale, training=False)  # (b, d)

    concrete = tf.function(forward).get_concrete_function(tf.TensorSpec(shape, tf.uint8))
    frozen = convert_variables_to_constants_v2(concrete)

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        (result,) = frozen(tf.constant(images))
        return np.asarray(result)

    return run
