"""What determines the numbers of a feature: one frozen record, and its digest.

Whatever changes a feature stands here; whatever does not (batch size, versions, the machine)
stands in the provenance beside it. The digest names the feature set, so a changed field can
only ever miss the cache, never hit it wrongly.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from .errors import DamagedFile, NewerFormat, OlderFormat

FORMAT = 3
"""See docs/format.md on when and how to raise it."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that determines the numbers of a feature."""

    backbone: str
    """Name of the network, for example `xception`."""
    weights: str
    """Digest of the weight arrays, or `random:SEED:keras-VERSION`."""
    input_size: tuple[int, int]
    """Height and width in pixels that the network sees."""
    decoder: str
    """What turns bytes into pixels, for example `pillow`."""
    colour: str
    """Policy for colour, depth and transparency, for example `rgb8-alpha-on-white`."""
    orientation: str
    """What is done with the EXIF orientation: `exif`, applied."""
    resize: str
    """Mode and filter, for example `squash-bicubic`."""
    preprocessing: str
    """Pixel arithmetic before the first layer, for example `(rgb - 127.5) / 127.5`."""
    layer: str
    """Where the network is tapped; `last` is the end of its convolutional part."""
    pooling: str
    """How the map becomes a vector: `avg`, the mean over height and width, `max`, both or `none`."""
    precision: str
    """Arithmetic of the forward pass: `float32`, or a narrower type and the engine."""
    view: int = 0
    """0 is the picture itself; others are deterministic augmentations."""
    augment: str = "none"
    """By which augmentations a view comes about; of view 0 `none`."""
    generation: int = 0
    """Counts up where another installation gave other numbers for the same recipe (`--new`)."""

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, 64 hexadecimal digits.

        >>> from dataclasses import replace
        >>> a = Recipe("xception", "ab", (299, 299), "pillow", "rgb8", "exif", "squash-bilinear",
        ...            "(rgb - 127.5) / 127.5", "last", "avg", "float32")
        >>> a.digest == replace(a).digest, a.digest == replace(a, view=1).digest
        (True, False)
        """
        canonical = json.dumps(
            {"format": FORMAT, **asdict(self)}, sort_keys=True, separators=(",", ":"), ensure_ascii=True
        )
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()

    @property
    def folder(self) -> str:
        """Name of the feature set's folder: backbone and the first twelve digits of the digest."""
        return f"{self.backbone}-{self.digest[:12]}"

    def of_view(self, view: int, augment: str) -> "Recipe":
        """Return the recipe of another view of the same family.

        A family is one generation of one recipe, in all its views.
        """
        return replace(self, view=view, augment=augment if view else "none")

    @property
    def label(self) -> str:
        """Return what tells this recipe from others of the backbone, in words for people; may be empty.

        >>> Recipe("x", "ab", (9, 9), "d", "c", "o", "r", "p", "block4", "max", "float32", 2, "flip").label
        'block4 max, view 2'
        """
        tap = "" if (self.layer, self.pooling) == ("last", "avg") else f"{self.layer} {self.pooling}"
        precision = "" if self.precision == "float32" else self.precision
        view = f"view {self.view}" if self.view else ""
        generation = f"generation {self.generation}" if self.generation else ""
        return ", ".join(filter(None, [tap, precision, view, generation]))

    def to_json(self) -> dict[str, Any]:
        """Return the fields as they stand in recipe.json."""
        return {"format": FORMAT, **asdict(self), "input_size": list(self.input_size)}

    @classmethod
    def from_json(cls, value: dict[str, Any], where: str = "recipe.json", mend: str = "remove it") -> "Recipe":
        """Return the recipe that `to_json` wrote; `where` names its file in errors, and `mend` ends those of damage.

        Raises
        ------
        NewerFormat, OlderFormat
            A later or an earlier demijohn wrote it.
        DamagedFile
            A field is missing or unknown.
        """
        found = value.get("format")
        if isinstance(found, int) and found > FORMAT:
            raise NewerFormat(
                f"{where} has format {found}, this demijohn reads up to {FORMAT}: install a newer demijohn"
            )
        if isinstance(found, int) and 0 < found < FORMAT:
            raise OlderFormat(
                f"{where} has format {found}, this demijohn reads {FORMAT}: run extract-features again, "
                "and demijohn cache remove for the old features"
            )
        expected = {field.name for field in fields(cls)}
        present = set(value) - {"format"}
        if found != FORMAT or present != expected:
            odd = ", ".join(sorted(expected ^ present)) or f"format {found}"
            raise DamagedFile(
                f"{where} is damaged: expected the fields of format {FORMAT}, it differs in {odd}; {mend}"
            )
        arguments = {name: value[name] for name in expected}
        arguments["input_size"] = tuple(value["input_size"])
        return cls(**arguments)


def differences(one: Recipe, other: Recipe) -> list[str]:
    """Return which fields differ and how, as `field: one -> other`, in the order of the record.

    >>> from dataclasses import replace
    >>> a = Recipe("xception", "ab", (299, 299), "pillow", "rgb8", "exif", "squash-bilinear",
    ...            "(rgb - 127.5) / 127.5", "last", "avg", "float32")
    >>> differences(a, replace(a, resize="crop-bilinear", input_size=(224, 224)))
    ['input_size: 299x299 -> 224x224', 'resize: squash-bilinear -> crop-bilinear']
    """
    return [
        f"{field.name}: {_shown(getattr(one, field.name))} -> {_shown(getattr(other, field.name))}"
        for field in fields(Recipe)
        if getattr(one, field.name) != getattr(other, field.name)
    ]


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    text = str(value)
    is_digest = len(text) == 64 and all(digit in "0123456789abcdef" for digit in text)
    return text[:12] if is_digest else text
