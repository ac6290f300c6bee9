"""Bottleneck features in the scikit-learn shape: from the paths of pictures to an array, through the store.

This is the one module of the pipeline that knows scikit-learn: what it defines is a scikit-learn transformer.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ...cache.store import FeatureStore
from ...models.backbones.resolving import stored_name
from ..errors import InvalidRequest, UnreadableImage
from ..pictures.feed import Frame
from ..progress import SILENT
from .probing import Opener
from .request import Precision, Request, complete
from .supply import FeatureSupply
from .survey import recipes_of


class BottleneckFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The frozen convolutional part of a network as a transformer of picture files.

    Nothing is learned. A picture's features are looked up in the store, and made and kept where they are
    missing, so that cross-validation, a grid search or another notebook runs the network once per picture. It
    can be cloned and pickled, and no network goes with it.

    Parameters
    ----------
    backbone : str
        A name of `BACKBONES`, a `.keras` file, or `hub:` and a preset.
    store : path
        Folder that keeps everything; the command line uses the same.
    weights, layer, pooling, precision, input_size, preprocessing, resize
        As in `extract_feature_sets`.

    Attributes
    ----------
    n_features_out_ : int
        Features per picture.

    Examples
    --------
    `make_pipeline(BottleneckFeatures("efficientnet-lite0"), LogisticRegression())` is fitted on paths.
    """

    def __init__(
        self,
        backbone: str = "efficientnet-lite0",
        *,
        store: str | Path = "bottlenecks",
        weights: str = "imagenet",
        layer: str = "last",
        pooling: str = "avg",
        precision: Precision = "float32",
        input_size: tuple[int, int] | None = None,
        preprocessing: str | None = None,
        resize: str | None = None,
    ) -> None:
        self.backbone = backbone
        self.store = store
        self.weights = weights
        self.layer = layer
        self.pooling = pooling
        self.precision = precision
        self.input_size = input_size
        self.preprocessing = preprocessing
        self.resize = resize

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002
        """Find out how many features there are, from the first picture.

        Parameters
        ----------
        X : array-like of shape (n,), or (n, 1)
            Paths of pictures.
        y : ignored
        """
        paths = _paths_of(X)
        if not paths:
            raise InvalidRequest("expected paths of pictures, found none")
        self.n_features_out_ = self._read(paths[:1]).shape[1]
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return the features of some pictures, an array of shape (n, d), float32.

        Parameters
        ----------
        X : array-like of shape (n,), or (n, 1)
            Paths of pictures.

        Raises
        ------
        UnreadableImage
            A picture cannot be read; the message names the file.
        PipelineError, ModelError, CacheError
            The network cannot be had, or gives other numbers than those stored.
        """
        return self._read(_paths_of(X))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:  # noqa: ARG002
        """Return a name per feature, such as `xception_0`."""
        check_is_fitted(self, "n_features_out_")
        name = stored_name(self.backbone)
        return np.array([f"{name}_{number}" for number in range(self.n_features_out_)], dtype=object)

    def _read(self, paths: Sequence[str]) -> NDArray[np.float32]:
        """Return the rows of some files, made where they are missing."""
        blocks = []
        with self._supply() as supply:
            step = supply.rows_at_once
            # One round also where there is no path, for the width.
            for start in range(0, max(len(paths), 1), step):
                chunk = paths[start : start + step]
                supplied = supply.fetch(chunk)
                for path, reason in supplied.reasons.items():
                    raise UnreadableImage(f"cannot read {path}: {reason}; expected a picture, leave it out")
                blocks += supply.read([supplied.keys[path] for path in chunk])
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def _supply(self) -> FeatureSupply:
        """Return what looks up and makes features by the present parameters; loaded networks stay with it."""
        request = complete(self._request())
        kept: tuple[Request, FeatureSupply] | None = getattr(self, "_kept", None)
        if kept is None or kept[0] != request:
            store = FeatureStore(request["store"])
            [(frozen, tap, [features])] = recipes_of(store, request)
            # So that the next process knows the weights' digest without loading them.
            frozen.remember()
            frame = Frame.of(features.recipe)
            opener = Opener(store, frozen, taps=[tap], frames=[frame], request=request)
            kept = request, FeatureSupply(store, [[features]], lambda each: opener.open(each, frame))
            self._kept = kept
        return kept[1]

    def _request(self) -> Request:
        return {
            "backbones": (self.backbone,),
            "weights": self.weights,
            "layers": (self.layer,),
            "pooling": self.pooling,
            "precision": self.precision,
            "input_size": self.input_size,
            "preprocessing": self.preprocessing,
            "resize": self.resize,
            "store": self.store,
            "progress": SILENT,
        }

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: parameters, and what is known after fitting; no network."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_kept"}

    def __sklearn_tags__(self) -> Any:
        """Say to scikit-learn what goes in: text in one dimension, and nothing is learned."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        return tags


def _paths_of(X: Any) -> list[str]:
    """Return paths as text."""
    if isinstance(X, str | Path):
        raise InvalidRequest(f"expected a sequence of paths, found one: write [{str(X)!r}]")
    values = np.asarray(X, dtype=object)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise InvalidRequest(f"expected paths of pictures, of shape (n,) or (n, 1), found shape {values.shape}")
    for each in values:
        if not isinstance(each, str | Path):
            raise InvalidRequest(f"expected paths of pictures, found {type(each).__name__} {each!r:.80}")
    return [os.fspath(each) for each in values]
