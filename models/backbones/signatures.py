"""Tells what a file is by what stands in it, whatever it is called, and why it cannot be read."""

import lzma
import re
import zipfile
import zlib
from pathlib import Path

HDF5 = "an HDF5 file"
KERAS_ARCHIVE = "a Keras archive (.keras)"
PICKLE = "a pickle, as PyTorch writes checkpoints (.pth)"
ARCHIVED_WEIGHTS = "model.weights.h5"
"""Name of the HDF5 file within a Keras archive."""

_BEGINNINGS = (
    (rb"\Z", "an empty file"),
    (rb"\x89HDF\r\n\x1a\n", HDF5),
    (rb"\x80[\x02-\x05]", PICKLE),
    (rb"\x1f\x8b", "a gzip archive: unpack it first"),
    (rb"(?s:.{4})TFL3", "a TensorFlow Lite model"),
    (rb"version https://git-lfs", "a Git LFS pointer that stands for the file: run git lfs pull"),
    (rb"model_checkpoint_path:", "a list of TensorFlow checkpoints"),
    (rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml)", "a web page, which a download gave instead of the file"),
)
_TENSORFLOW_INDEX = bytes.fromhex("57fb808b247547db")
"""Ends the table of contents of a TensorFlow checkpoint."""
UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
"""What loaders of weights stumble over in damaged files."""


def kind_of_file(path: Path) -> str:
    """Return what a file looks like, in words: `HDF5`, `KERAS_ARCHIVE`, `PICKLE` or something else.

    Raises
    ------
    OSError
        It cannot be read.
    """
    if path.is_dir():
        return "a TensorFlow SavedModel (a folder)" if (path / "saved_model.pb").exists() else "a folder"
    with path.open("rb") as file:
        head = file.read(512)
        size = file.seek(0, 2)
        file.seek(max(0, size - len(_TENSORFLOW_INDEX)))
        tail = file.read()
    kind = next((kind for beginning, kind in _BEGINNINGS if re.match(beginning, head)), "nothing that is known")
    if head.startswith(b"PK"):
        kind = _kind_of_archive(path)
    elif head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
        kind = "a safetensors file"
    elif tail == _TENSORFLOW_INDEX or re.search(r"\.data-\d{5}-of-\d{5}$", path.name):
        kind = "a part of a TensorFlow checkpoint"
    return kind


def _kind_of_archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile):
        return "a zip archive that is damaged or cut off"
    if ARCHIVED_WEIGHTS in names:
        return KERAS_ARCHIVE
    if any(name.endswith("data.pkl") for name in names):
        return "a zipped PyTorch checkpoint (.pth)"
    if any(name.endswith(".npy") for name in names):
        return "a NumPy archive (.npz)"
    return f"a zip archive without {ARCHIVED_WEIGHTS}"


def reason_of(error: Exception) -> str:
    """Return in one line why a file could not be read."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return error.strerror
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if cut := re.search(r"truncated file: eof = (\d+), .* stored_eof = (\d+)", reason):
        return f"it is cut off, {int(cut[1]):,} of {int(cut[2]):,} bytes are there"
    return reason
