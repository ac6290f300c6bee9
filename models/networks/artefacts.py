"""A network as a file that other programs run: Keras, SavedModel, ONNX, LiteRT.

Each artefact holds the classes, so that nobody has to find out their order: in `demijohn.json` in the
file, which is a zip archive to whoever reads it so (Keras, LiteRT), or in the folder (SavedModel); or
as properties (ONNX).
"""

import json
import math
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..backend import import_keras, import_tensorflow, quiet_libraries
from ..errors import UnsuitableSetting
from ..heads.temperature import SURE

ABOUT = "demijohn.json"
"""What is told of an artefact within it."""
INPUT, OUTPUT = "images", "probabilities"
About = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Artefact:
    """One file, or folder, that a network can be written as."""

    format: str
    file: str
    """Its name."""
    runtime: str
    """The package that runs it."""
    write: Callable[[Any, Path, About], None]
    """`write(network, path, about)`; see `write_artefact`."""
    tolerance: float
    """By how much a probability may differ from demijohn's own."""
    packages: tuple[str, ...] = ()
    """What is imported to write or run it, beyond what demijohn needs."""
    extra: str | None = None
    """What to install for it; None where demijohn itself is enough."""

    def runtime_version(self) -> str:
        """Return the runtime with its version."""
        try:
            return f"{self.runtime} {version(self.runtime)}"
        except PackageNotFoundError:
            # Built from source, for example.
            return self.runtime


def choose_artefacts(formats: Sequence[str]) -> tuple[Artefact, ...]:
    """Return what some formats are written as, in the order of `ARTEFACTS`.

    Raises
    ------
    UnsuitableSetting
        There is no such format, or something is not installed that it needs.
    """
    known = list(dict.fromkeys(artefact.format for artefact in ARTEFACTS))
    for name in formats:
        if name not in known:
            raise UnsuitableSetting(f"there is no format {name!r}: expected some of {','.join(known)}")
    if not formats:
        raise UnsuitableSetting(f"no format is asked for: expected some of {','.join(known)}")
    chosen = tuple(artefact for artefact in ARTEFACTS if artefact.format in formats)
    for artefact in chosen:
        lacking = [package for package in artefact.packages if find_spec(package) is None]
        if lacking:
            raise UnsuitableSetting(
                f"the format {artefact.format} needs {' and '.join(lacking)}, not installed here: "
                f"pip install '{artefact.extra}', or leave it out of --format"
            )
    return chosen


def finish_network(network: Any, *, temperature: float = 1.0, are_probabilities: bool = False) -> Any:
    """Return a network with calibrated probabilities in place of logits.

    Parameters
    ----------
    network : Keras model
        (n, h, w, 3) uint8 pixels to logits (n, c); it is not changed, but for names of layers.
    temperature : float
        That its logits are divided by.
    are_probabilities : bool
        Whether the softmax of its logits is what the head says, which is calibrated as `to_logits` has it.

    Returns
    -------
    Keras model
        From the one input `images` to the one output `probabilities`, (n, c) float32.
    """
    keras = import_keras()
    layers, x = keras.layers, network.output
    if temperature != 1 and are_probabilities:
        x = keras.ops.maximum(layers.Activation("log_softmax", name="sure")(x), math.log(SURE))
    if temperature != 1:
        x = layers.Rescaling(1 / temperature, name="temperature")(x)
    finished = keras.Model(network.input, {OUTPUT: layers.Softmax(name=OUTPUT)(x)}, name="classifier")
    if not _name_plainly(finished):
        return finished
    # Variables keep the name that their layer had when it was built.
    renamed = keras.models.clone_model(finished)
    renamed.set_weights(finished.get_weights())
    return renamed


def write_artefact(artefact: Artefact, network: Any, path: Path, about: About) -> None:
    """Write a network as an artefact.

    Parameters
    ----------
    artefact : Artefact
    network : Keras model
        From the one input `images`, (n, h, w, 3) uint8, to the one output `probabilities`, (n, c).
    path : Path
        A file or a folder that is not there yet.
    about : mapping
        JSON values that are kept within the artefact; `classes` is a list of c names.

    Raises
    ------
    UnsuitableSetting
        The network cannot be converted.
    """
    try:
        with quiet_libraries():
            artefact.write(network, path, about)
    except Exception as error:
        # Converters raise whatever they stumble over.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise UnsuitableSetting(
            f"the network cannot be written as {artefact.format}: {reason} -- leave it out of --format"
        ) from error


def _name_plainly(network: Any) -> bool:
    """Take underscores from the beginning of layers' names, which TensorFlow refuses; return whether there were any."""
    found = False
    for layer in network.layers:
        if layer.name.startswith("_"):
            layer.name, found = f"layer{layer.name}", True
        if isinstance(layer, import_keras().Model):
            found |= _name_plainly(layer)
    return found


def _write_keras(network: Any, path: Path, about: About) -> None:
    network.save(path)
    _append_about(path, about)


def _write_savedmodel(network: Any, path: Path, about: About) -> None:
    _export(network, path)
    # TensorFlow leaves this folder of a SavedModel to others.
    folder = path / "assets.extra"
    folder.mkdir()
    (folder / ABOUT).write_text(_text(about), "utf-8")


def _write_onnx(network: Any, path: Path, about: About) -> None:
    tf = import_tensorflow()
    import onnx
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    def forward(images: Any) -> Any:
        return tf.identity(network(images, training=False)[OUTPUT], name=OUTPUT)

    # Not Keras' own way, which makes inputs of what layers keep as arrays and not as variables.
    signature = tf.TensorSpec((None, *network.input_shape[1:]), tf.uint8, name=INPUT)
    frozen = convert_variables_to_constants_v2(tf.function(forward, autograph=False).get_concrete_function(signature))
    names = {f"{INPUT}:0": INPUT, frozen.outputs[0].name: OUTPUT}
    model, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        name=network.name,
        input_names=[f"{INPUT}:0"],
        output_names=[frozen.outputs[0].name],
        tensors_to_rename=names,
        custom_op_handlers={"Erfc": (_write_erfc, [])},
    )
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "n"
    for name, value in about.items():
        model.metadata_props.add(key=name, value=value if isinstance(value, str) else json.dumps(value))
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _write_erfc(graph: Any, node: Any, name: str, arguments: Any) -> None:  # noqa: ARG001 - as tf2onnx calls it
    """Write erfc, which GELU is made of and which ONNX has not, as 1 - erf."""
    kinds = {"shapes": node.output_shapes, "dtypes": node.output_dtypes}
    graph.remove_node(node.name)
    one = graph.make_const(f"{node.name}_one", np.ones((), np.float32))
    erf = graph.make_node("Erf", node.input, name=f"{node.name}_erf")
    graph.make_node("Sub", [one.output[0], erf.output[0]], outputs=node.output, name=node.name, **kinds)


def _write_litert(network: Any, path: Path, about: About, *, half: bool) -> None:
    tf = import_tensorflow()
    with tempfile.TemporaryDirectory(prefix="demijohn-litert-", ignore_cleanup_errors=True) as folder:
        _export(network, Path(folder, "network"))
        converter = tf.lite.TFLiteConverter.from_saved_model(str(Path(folder, "network")))
        if half:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        path.write_bytes(converter.convert())
    _append_about(path, about)


def _export(network: Any, path: Path) -> None:
    signature = import_keras().InputSpec(shape=(None, *network.input_shape[1:]), dtype="uint8", name=INPUT)
    network.export(str(path), format="tf_saved_model", input_signature=[signature], verbose=False)


def _append_about(path: Path, about: About) -> None:
    # What is no zip archive yet becomes one at its end, where the runtime does not look.
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(ABOUT, _text(about))


def _text(about: About) -> str:
    return json.dumps(about, indent=2)


ARTEFACTS = (
    Artefact("keras", "model.keras", "keras", _write_keras, 1e-3),
    Artefact("savedmodel", "savedmodel", "tensorflow", _write_savedmodel, 1e-3),
    Artefact(
        "onnx", "model.onnx", "onnxruntime", _write_onnx, 1e-3, ("onnx", "onnxruntime", "tf2onnx"), "demijohn[onnx]"
    ),
    Artefact(
        "litert",
        "model.tflite",
        "ai-edge-litert",
        partial(_write_litert, half=False),
        1e-3,
        ("ai_edge_litert",),
        "demijohn[litert]",
    ),
    Artefact(
        "litert",
        "model-float16.tflite",
        "ai-edge-litert",
        partial(_write_litert, half=True),
        5e-2,
        ("ai_edge_litert",),
        "demijohn[litert]",
    ),
)
"""Every artefact, by format."""
