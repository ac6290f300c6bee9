"""Presets of KerasHub as backbones: the network and the arithmetic of the pixels come from the preset.

Pictures are decoded and resized by demijohn, as for every backbone. What of the preset's own image
converter cannot be said in demijohn's terms is refused. Needs the extra `hub`.
"""

import contextlib
import difflib
import io
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..backend import import_keras
from ..errors import BadWeights, MissingWeights, ModelError, UnknownBackbone, UnsuitableSetting
from .backbone import Backbone, Preprocessing
from .uncatalogued import digest_architecture, refuse_other_precision, refusing_fresh_weights, safe_name

HUB = "hub:"
"""What a preset's name begins with where a backbone is asked for."""

Size = tuple[int, int]


def hub_backbone(preset: str, *, input_size: Size | None = None) -> Backbone:
    """Return the record of a preset; its weights are not loaded yet.

    The tap `last` is what a linear classifier customarily stands on: the last map of a
    convolutional network, the class token of a vision transformer (ViT, DeiT, DINOv2, DINOv3), all
    tokens of Swin, the attention pool of SigLIP, and of CLIP and MetaCLIP 2 the class token before
    its projection beside the texts, as in https://arxiv.org/abs/2103.00020, section 3.2.

    Parameters
    ----------
    preset : str
        A name that KerasHub knows (`resnet_50_imagenet`), a handle (`kaggle://...`, `hf://...`),
        or a folder that `save_to_preset` wrote.
    input_size : (int, int), optional
        Height and width, pixels; those of the preset's image converter where not stated.

    Raises
    ------
    UnknownBackbone
        KerasHub knows no preset of that name; the message offers near matches.
    MissingWeights
        KerasHub is not installed, or the preset is not there and cannot be downloaded.
    BadWeights
        The folder holds no preset.
    UnsuitableSetting
        The preset is no image backbone, or its pixels cannot be prepared exactly.
    """
    hub = _import_hub()
    local = Path(preset).expanduser().is_dir()
    preset = str(Path(preset).expanduser()) if local else preset
    _refuse_unknown(hub, preset, local)
    with _loading(preset):
        network = hub.models.Backbone.from_preset(preset, load_weights=False)
    kind = type(network).__name__
    if kind not in _FEATURES:
        known = ", ".join(each.removesuffix("Backbone") for each in _FEATURES)
        raise UnsuitableSetting(f"{preset} is a {kind}, which gives no features of pictures: expected one of {known}")
    converter = _load_converter(hub, preset)
    saved = _image_shape(network)[:2]
    height, width = input_size or converter.image_size or saved
    if height is None or width is None:
        raise UnsuitableSetting(f"{preset} states no input size: expected one, with --input-size")
    config = network.get_config()
    name = safe_name("hub", Path(preset).resolve().name if local else preset)

    def build(*, top: bool, input_size: Size) -> Any:
        if top:
            raise UnsuitableSetting(f"{name} has no ImageNet classifier: only the backbone of a preset is used")
        other = {} if input_size == saved else _other_size(name, config, input_size)
        with _loading(preset, f"for pictures of {input_size[0]}x{input_size[1]}" if other else None):
            loaded = _import_hub().models.Backbone.from_preset(preset, **other)
        built = _extractor(loaded)
        refuse_other_precision(name, built)
        return built

    features = _extractor(network)
    return Backbone(
        name=name,
        build=build,
        load=_load_nothing,
        complete=True,
        architecture=digest_architecture({"kind": kind, "config": config}),
        input_size=(height, width),
        width=features.output_shape[-1],
        preprocessing=translate_arithmetic(preset, converter),
        resize=translate_resize(preset, converter),
        megabytes=round(4 * features.count_params() / 2**20, 1),
        parameters=round(features.count_params() / 1e6, 3),
        source=f"KerasHub, preset {preset}",
        licence="that of the preset",
        extra="demijohn[hub]",
    )


def translate_arithmetic(preset: str, converter: Any) -> Preprocessing:
    """Return what an image converter does with resized pixels: x * scale + offset is (x - mean) / deviation.

    Raises
    ------
    UnsuitableSetting
        The converter does something else.
    """
    if type(converter).call is not _import_hub().layers.ImageConverter.call:
        raise UnsuitableSetting(
            f"{preset} prepares pictures with {type(converter).__name__}: expected scale and offset"
        )
    scale = _per_channel(1.0 if converter.scale is None else converter.scale)
    offset = _per_channel(0.0 if converter.offset is None else converter.offset)
    if len(scale) != 3 or len(offset) != 3 or 0 in scale:
        raise UnsuitableSetting(f"{preset} scales by {scale} and adds {offset}: expected a number per channel, not 0")
    # Nine digits, more than float32 has, so that 123.675 reads 123.675 again.
    mean = [float(f"{-added / by:.9g}") + 0.0 for by, added in zip(scale, offset, strict=True)]
    deviation = [float(f"{1 / by:.9g}") for by in scale]
    return Preprocessing((mean[0], mean[1], mean[2]), (deviation[0], deviation[1], deviation[2]))


def translate_resize(preset: str, converter: Any) -> str:
    """Return mode and filter of an image converter; whether it antialiases does not count, demijohn always does.

    Raises
    ------
    UnsuitableSetting
        It pads, which demijohn does with gray and KerasHub with black, or has another filter.
    """
    if converter.pad_to_aspect_ratio:
        raise UnsuitableSetting(f"{preset} pads pictures with black: expected one that crops or squashes them")
    if converter.interpolation not in ("bilinear", "bicubic"):
        raise UnsuitableSetting(f"{preset} resizes with {converter.interpolation}: expected bilinear or bicubic")
    return f"{'crop' if converter.crop_to_aspect_ratio else 'squash'}-{converter.interpolation}"


def _import_hub() -> Any:
    import_keras()
    if find_spec("keras_hub") is None:
        raise MissingWeights("presets need KerasHub, which is not installed: pip install 'demijohn[hub]'")
    try:
        import keras_hub
    except ImportError as error:
        raise MissingWeights(f"KerasHub cannot be imported ({error}): pip install --upgrade 'demijohn[hub]'") from error
    return keras_hub


def _refuse_unknown(hub: Any, preset: str, local: bool) -> None:
    if local or "://" in preset:
        return
    if os.sep in preset or (os.altsep and os.altsep in preset):
        raise MissingWeights(f"there is no preset folder {preset}: expected one that save_to_preset wrote")
    if preset not in (known := hub.models.Backbone.presets):
        near = " or ".join(difflib.get_close_matches(preset, known, n=3))
        raise UnknownBackbone(
            f"KerasHub knows no preset {preset!r}: {f'did you mean {near}?' if near else 'see https://keras.io/keras_hub'}"
        )


@contextlib.contextmanager
def _loading(preset: str, changed: str | None = None) -> Iterator[None]:
    """Make of whatever goes wrong within a line that says what to do."""
    try:
        # Downloads show their progress on stdout, which belongs to the answer.
        with contextlib.redirect_stdout(io.StringIO()), refusing_fresh_weights():
            yield
    except ModelError:
        raise
    except Exception as error:
        # KerasHub, Kaggle and Hugging Face raise of every kind.
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        if changed is not None and isinstance(error, ValueError | TypeError | UserWarning):
            raise UnsuitableSetting(
                f"{preset} cannot be built {changed}: leave --input-size out; its weights do not fit ({reason})"
            ) from error
        if Path(preset).is_dir():
            raise BadWeights(
                f"{preset} is no preset of an image backbone ({reason}): expected what save_to_preset writes, "
                "config.json, image_converter.json and model.weights.h5"
            ) from error
        raise MissingWeights(
            f"the preset {preset} is not on this machine and cannot be downloaded ({reason}): bring its folder and "
            "name that, --backbone hub:FOLDER; --backbone efficientnet-lite0 needs no download"
        ) from error


def _load_converter(hub: Any, preset: str) -> Any:
    with _loading(preset):
        converter = hub.layers.ImageConverter.from_preset(preset)
    if converter is None:
        raise UnsuitableSetting(f"{preset} does not say how its pixels are prepared: expected an image converter")
    return converter


def _load_nothing(model: Any, path: Path) -> None:
    """Leave a model as it is: it was built with its weights."""


def _image_shape(network: Any) -> tuple[int | None, ...]:
    """Return height, width and channels of the pictures."""
    return tuple(getattr(network, "vision_encoder", network).inputs[0].shape[1:])


def _other_size(name: str, config: dict[str, Any], size: Size) -> dict[str, Any]:
    """Return the argument that makes a backbone for another input size."""
    for argument in ("image_shape", "input_shape"):
        if argument in config:
            return {argument: (*size, 3)}
    raise UnsuitableSetting(f"{name} takes pictures of its own size only: leave --input-size {size[0]}x{size[1]} out")


def _extractor(network: Any) -> Any:
    """Return the Keras model from pictures to features."""
    pictures = getattr(network, "vision_encoder", network).inputs[0]
    return import_keras().Model(pictures, _FEATURES[type(network).__name__](network), name=network.name)


def _per_channel(value: Any) -> list[float]:
    return [float(each) for each in value] if isinstance(value, list | tuple) else [float(value)] * 3


def _output(network: Any) -> Any:
    return network.outputs[0]


def _class_token(network: Any) -> Any:
    return network.outputs[0][:, 0]


def _vit(network: Any) -> Any:
    return _class_token(network) if network.use_class_token else _output(network)


def _last_stage(network: Any) -> Any:
    """Return the last map of HGNetV2, which gives one per stage."""
    return network.output[max(network.output, key=network.stage_names.index)]


def _clip(network: Any) -> Any:
    output = network.vision_encoder.output
    return (output["sequence_output"] if isinstance(output, dict) else output)[:, 0]


def _metaclip2(network: Any) -> Any:
    # A layer of its own: that of the backbone stands in another graph.
    saved = network.vision_post_layer_norm
    norm = type(saved).from_config(saved.get_config())
    normalised = norm(_clip(network))
    norm.set_weights(saved.get_weights())
    return normalised


def _siglip(network: Any) -> Any:
    return network.vision_encoder.outputs[0]


_FEATURES: dict[str, Callable[[Any], Any]] = {
    "CSPNetBackbone": _output,
    "DenseNetBackbone": _output,
    "EfficientNetBackbone": _output,
    "HGNetV2Backbone": _last_stage,
    "MiTBackbone": _output,
    "MobileNetBackbone": _output,
    "MobileNetV5Backbone": _output,
    "ResNetBackbone": _output,
    "VGGBackbone": _output,
    "XceptionBackbone": _output,
    "SwinTransformerBackbone": _output,
    "ViTBackbone": _vit,
    "DeiTBackbone": _class_token,
    "DINOV2Backbone": _class_token,
    "DINOV3Backbone": _class_token,
    "CLIPBackbone": _clip,
    "MetaCLIP2Backbone": _metaclip2,
    "SigLIPBackbone": _siglip,
}
"""Per class of KerasHub, what gives its features; others segment, detect, speak or write."""
