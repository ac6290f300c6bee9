"""From what was asked for to a backbone: a name of the catalogue, one's own model, or a preset of KerasHub."""

import os
from dataclasses import replace
from pathlib import Path

from ..errors import UnknownBackbone, UnsuitableSetting
from .backbone import Backbone
from .backbones import find_backbone
from .hub import HUB, hub_backbone
from .own import own_backbone
from .uncatalogued import safe_name


def resolve_backbone(
    name: str, *, input_size: tuple[int, int] | None = None, preprocessing: str | None = None
) -> Backbone:
    """Return the backbone that a name, a file or a preset stands for.

    Parameters
    ----------
    name : str
        A name of the catalogue (`xception`), a file that Keras saved (`models/flowers.keras`), or
        `hub:` and a preset of KerasHub (`hub:vit_base_patch16_224_imagenet`, `hub:presets/vit`).
    input_size : (int, int), optional
        Height and width, pixels; the backbone's own where not stated.
    preprocessing : str, optional
        For one's own model only; see `own.PREPROCESSINGS`.

    Raises
    ------
    UnknownBackbone
        There is no backbone or preset of that name.
    MissingWeights
        There is no such file, or the preset cannot be downloaded.
    BadWeights
        The file or the preset cannot be loaded.
    UnsuitableSetting
        The model is not fit for a backbone, or input size or preprocessing does not go with it.
    """
    if _is_model_file(name):
        return own_backbone(name, input_size=input_size, preprocessing=preprocessing)
    if preprocessing is not None:
        raise UnsuitableSetting(
            f"the preprocessing of {name} travels with it: leave --preprocessing {preprocessing} out; "
            "only one's own model, a .keras file, needs it"
        )
    if name.startswith(HUB):
        return hub_backbone(name.removeprefix(HUB), input_size=input_size)
    backbone = find_backbone(name)
    return backbone if input_size is None else replace(backbone, input_size=input_size)


def found_again(name: str) -> str:
    """Return by what a backbone is found again from any folder: a file by its whole path, others as they are."""
    return str(Path(name).expanduser().resolve()) if _is_model_file(name) else name


def stored_name(name: str) -> str:
    """Return under which name the features of a backbone are kept, whatever it was called; nothing is loaded.

    >>> stored_name("EfficientNetV2B0"), stored_name("models/My Flowers.keras"), stored_name("hub:vit_tiny")
    ('efficientnet-v2-b0', 'own-my-flowers', 'hub-vit-tiny')
    """
    if _is_model_file(name):
        return safe_name("own", Path(name).stem)
    if name.startswith(HUB):
        return safe_name("hub", name.removeprefix(HUB))
    try:
        return find_backbone(name).name
    except UnknownBackbone:
        return name


def _is_model_file(name: str) -> bool:
    separated = any(separator in name for separator in filter(None, (os.sep, os.altsep)))
    return not name.startswith(HUB) and (name.endswith(".keras") or (separated and ".keras" in name))
