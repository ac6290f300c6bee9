"""The dense head: a small Keras network of Dense layers with Dropout and BatchNormalization between.

Features are standardised by the first layer, whose constants are the training rows' mean and
deviation and are saved with the network. Training stops early on the validation loss, and the best
weights are restored; loss and accuracy of both splits are kept for every epoch.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from ..backend import import_keras, import_tensorflow
from ..errors import UnsuitableSetting
from ..solvers.streaming import Matrix, rows_at_once
from ..solvers.weighting import Weighting
from .estimator import Validation
from .scaling import make_scaler
from .trial import Rows, check_features, check_rows, hold_out
from .tuning import ALIKE

_ROWS = 4096
_STEPS = 32
"""Steps of the optimiser that are one call (docs/decisions/0010-heads.md)."""


class DenseHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Dense layers on standardised features; the last one gives a logit per class."""

    suffix = ".keras"

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] = (256,),
        dropout: float = 0.5,
        batch_norm: bool = False,
        l2: float = 0.0,
        epochs: int = 100,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        patience: int = 10,
        balanced: bool = False,
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.l2 = l2
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.balanced = balanced
        self.seed = seed

    def fit(
        self,
        X: Matrix,
        y: NDArray[Any],
        *,
        sample_weight: NDArray[np.floating[Any]] | None = None,
        validation: Validation | None = None,
    ) -> Self:
        """Train on X of shape (n, d), float32, and y of shape (n,); stop early on `validation`.

        Without validation rows all epochs are trained, with a warning.

        Raises
        ------
        UnsuitableRows, UnsuitableSetting
            X, y or weights cannot be learned from; a setting has no such value, or training diverged.
        """
        self._check_settings()
        rows = check_rows(self, X, y, sample_weight=sample_weight, balanced=self.balanced)
        self.classes_ = rows.classes
        self.warnings_: list[str] = []
        import_keras().utils.set_random_seed(self.seed)
        trial = hold_out(self, rows, validation)
        weighting = trial.weightings[0] if trial.weightings else rows.weighting
        self.network_ = self._build(make_scaler(np.asarray(weighting.mean), np.asarray(weighting.scale)))
        self.history_ = self._descend(trial.rows, weighting)
        if weighting.held_out is None:
            self.warnings_.append(f"no validation pictures to stop early with: all {self.epochs} epochs are trained")
        if not all(np.isfinite(value) for point in self.history_ for value in point.values()):
            raise UnsuitableSetting(
                f"training diverged at a learning rate of {self.learning_rate:g}: choose a smaller --learning-rate"
            )
        if weighting.held_out is not None and self.facts_["best_epoch"] == self.epochs:
            self.warnings_.append(f"training was still improving after {self.epochs} epochs: try more with --epochs")
        return self

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities of shape (n, c), in the order of `classes_`."""
        check_is_fitted(self)
        return probabilities(self.network_, check_features(self, X))

    def predict(self, X: NDArray[np.float32]) -> NDArray[Any]:
        """Return the class of each row, shape (n,)."""
        check_is_fitted(self)
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def save(self, path: Path) -> None:
        """Write the network, standardisation included, as a `.keras` file."""
        keras = import_keras()
        # Without the optimiser, whose state is twice the size of the weights.
        keras.Model(self.network_.input, self.network_.output, name="dense_head").save(path)

    @property
    def streams(self) -> bool:
        """Whether it learns from rows that are streamed."""
        return True

    @property
    def facts_(self) -> dict[str, Any]:
        """What training found: epochs trained, and the one whose weights were kept."""
        return {"epochs": len(self.history_), "best_epoch": self._best_epoch}

    @property
    def chosen_(self) -> dict[str, Any]:
        """As many epochs as were best."""
        return {"epochs": self.facts_["best_epoch"]}

    def _descend(self, rows: Rows, weighting: Weighting) -> list[dict[str, float]]:
        """Train the network and return its curves, a point per epoch."""
        keras = import_keras()
        random, lent = np.random.default_rng(self.seed), [rows.X]
        training = _feed(lent, rows.codes, weighting.weights, batch_size=self.batch_size, random=random)
        stopping, held_out = None, None
        if weighting.held_out is not None:
            # Where classes weigh alike in training, they do in what stops it.
            held_out = _feed(lent, rows.codes, weighting.held_out, batch_size=self.batch_size)
            stopping = keras.callbacks.EarlyStopping(
                monitor="val_loss", min_delta=ALIKE, patience=self.patience, restore_best_weights=True
            )
        try:
            fitted = self.network_.fit(
                training,
                shuffle=False,
                epochs=self.epochs,
                validation_data=held_out,
                callbacks=[] if stopping is None else [stopping],
                verbose=0,
            )
        finally:
            # TensorFlow keeps what a data set calls, and all that it knows, while the process lives.
            lent.clear()
        self._best_epoch = self.epochs if stopping is None else stopping.best_epoch + 1
        curves = {name: [float(value) for value in values] for name, values in fitted.history.items()}
        return [
            {"epoch": epoch + 1, **{name: values[epoch] for name, values in curves.items()}}
            for epoch in range(len(curves["loss"]))
        ]

    def _check_settings(self) -> None:
        expected = {
            "hidden": ("positive widths, or none", all(width >= 1 for width in self.hidden)),
            "dropout": ("a share from 0, below 1", 0 <= self.dropout < 1),
            "l2": ("0 or more", self.l2 >= 0),
            "epochs": ("1 or more", self.epochs >= 1),
            "batch_size": ("1 or more", self.batch_size >= 1),
            "learning_rate": ("more than 0", self.learning_rate > 0),
            "patience": ("1 or more", self.patience >= 1),
        }
        for name, (wanted, fits) in expected.items():
            if not fits:
                raise UnsuitableSetting(
                    f"--{name.replace('_', '-')} is {getattr(self, name)}, expected {wanted}: choose another value"
                )

    def _build(self, scaler: Any) -> Any:
        keras = import_keras()
        layers = keras.layers
        penalty = keras.regularizers.L2(self.l2) if self.l2 else None
        features = keras.Input((len(scaler.mean_),), name="features")
        x = layers.Normalization(mean=scaler.mean_, variance=scaler.scale_**2, name="standardise")(features)
        for width in self.hidden:
            x = layers.Dense(width, use_bias=not self.batch_norm, kernel_regularizer=penalty)(x)
            if self.batch_norm:
                x = layers.BatchNormalization()(x)
            x = layers.ReLU()(x)
            if self.dropout:
                x = layers.Dropout(self.dropout)(x)
        x = layers.Dense(len(self.classes_), kernel_regularizer=penalty, name="logits")(x)
        network = keras.Model(features, x, name="dense_head")
        network.compile(
            optimizer=keras.optimizers.Adam(self.learning_rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            weighted_metrics=["accuracy"],
            steps_per_execution=_STEPS,
            jit_compile=False,
        )
        return network


def probabilities(network: Any, X: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the softmax of a network's logits, shape (n, c), computed in float64."""
    # Called, not `predict`: that would trace a graph anew for every head.
    blocks = [network(X[start : start + _ROWS], training=False) for start in range(0, len(X), _ROWS)]
    logits = np.concatenate([np.asarray(block, dtype=np.float64) for block in blocks])
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _feed(
    lent: list[Matrix],
    codes: NDArray[np.intp],
    weights: NDArray[np.floating[Any]],
    *,
    batch_size: int,
    random: np.random.Generator | None = None,
) -> Any:
    """Return batches of the rows of a lent matrix that count, as a data set of features, codes and weights.

    With `random`, all rows are shuffled anew each time. Some batches are read at once, so that X need not
    be in memory; where it is, this is no slower than Keras' own way.
    """
    tf = import_tensorflow()
    counting, weights = np.flatnonzero(weights), weights.astype(np.float32)
    at_once = max(1, rows_at_once(lent[0]) // batch_size) * batch_size

    def read() -> Iterator[tuple[Any, ...]]:
        order = counting if random is None else random.permutation(counting)
        for start in range(0, len(order), at_once):
            rows = order[start : start + at_once]
            yield lent[0][rows], codes[rows], weights[rows]

    kinds = (
        tf.TensorSpec((None, lent[0].shape[1]), tf.float32),
        tf.TensorSpec((None,), tf.int64),
        tf.TensorSpec((None,), tf.float32),
    )
    batches = tf.data.Dataset.from_generator(read, output_signature=kinds).rebatch(batch_size)
    count = -(-len(counting) // batch_size)
    return batches.apply(tf.data.experimental.assert_cardinality(count)).prefetch(1)
