"""The reader of PyTorch's legacy checkpoints: reads plain tensors exactly, refuses everything else, runs nothing."""

import hashlib
import io
import pickle
import pickletools
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.models import BadWeights
from demijohn.models.backbones.checkpoint import read_checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

Encoder = Callable[..., bytes]
DTYPES = ("<f2", "<f4", "<f8", "<i4", "<i8")

same_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
"""Each example overwrites the file of the one before."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "weights.pth"


def read(file: Path, content: bytes) -> dict[str, NDArray[Any]]:
    file.write_bytes(content)
    return read_checkpoint(file)


def refuse(file: Path, content: bytes, match: str | None = None) -> None:
    with pytest.raises(BadWeights, match=match) as caught:
        read(file, content)
    assert str(file) in str(caught.value)


# The real file.


def test_the_real_file_is_the_one_that_its_name_says(lite0_file: Path) -> None:
    assert lite0_file.stem.endswith("57934424")
    assert hashlib.sha256(lite0_file.read_bytes()).hexdigest().startswith("57934424")


def test_the_real_file_reads_without_torch(lite0_file: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from demijohn.models.backbones.checkpoint import read_checkpoint;"
        "print(len(read_checkpoint(Path(sys.argv[1]))), any(n.split('.')[0] == 'torch' for n in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", script, str(lite0_file)], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["296", "False"]


def test_the_real_arrays_are_whole_and_finite(lite0_file: Path) -> None:
    state = read_checkpoint(lite0_file)
    assert len(state) == 296
    shapes = {
        "_conv_stem.weight": (32, 3, 3, 3),
        "_bn0.running_var": (32,),
        "_blocks.0._depthwise_conv.weight": (32, 1, 3, 3),
        "_blocks.1._expand_conv.weight": (96, 16, 1, 1),
        "_blocks.15._project_conv.weight": (320, 1152, 1, 1),
        "_conv_head.weight": (1280, 320, 1, 1),
        "_fc.weight": (1000, 1280),
        "_fc.bias": (1000,),
        "_bn1.num_batches_tracked": (),
    }
    assert {name: state[name].shape for name in shapes} == shapes
    for name, array in state.items():
        assert array.dtype == (np.int64 if name.endswith("num_batches_tracked") else np.float32), name
        assert np.isfinite(array).all(), name
        assert array.base is None, f"{name} keeps its storage alive"
    assert all((array >= 0).all() for name, array in state.items() if name.endswith("running_var"))


# Files made by hand.


@st.composite
def checkpoints(draw: st.DrawFn) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Draw storages of every kind, and windows onto them that overlap, jump, repeat and run through each other."""
    storages = {}
    for number, kind in enumerate(draw(st.lists(st.sampled_from(DTYPES), min_size=1, max_size=4))):
        random = np.random.default_rng(draw(st.integers(0, 9)))
        storages[str(number)] = random.integers(-99, 99, draw(st.integers(1, 30))).astype(kind)
    windows = {}
    for name in draw(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6, unique=True)):
        key = draw(st.sampled_from(sorted(storages)))
        offset = draw(st.integers(0, len(storages[key]) - 1))
        left, shape, strides = len(storages[key]) - 1 - offset, [], []
        for _ in range(draw(st.integers(0, 4))):
            stride = draw(st.integers(0, 5))
            steps = draw(st.integers(0, min(3, left // stride) if stride else 3))
            left -= steps * stride
            shape.append(steps + 1)
            strides.append(stride)
        windows[name] = (key, offset, tuple(shape), tuple(strides))
    return storages, windows


@pytest.mark.slow
@given(checkpoints())
@same_file
def test_every_tensor_is_its_window_onto_the_storage(
    tmp_path: Path, to_checkpoint: Encoder, drawn: tuple[dict[str, NDArray[Any]], dict[str, Any]]
) -> None:
    storages, windows = drawn
    state = read(tmp_path / "weights.pth", to_checkpoint(storages, windows))
    assert list(state) == list(windows), "the order of the file is kept"
    for name, (key, offset, shape, strides) in windows.items():
        array, elements = state[name], storages[key]
        assert array.shape == shape
        assert array.dtype == elements.dtype
        for index in np.ndindex(shape):
            assert array[index] == elements[offset + sum(i * step for i, step in zip(index, strides, strict=True))]


def test_arrays_are_their_own(file: Path, to_checkpoint: Encoder) -> None:
    windows = {"a": ("0", 0, (4,), (1,)), "b": ("0", 0, (2, 2), (1, 2))}
    state = read(file, to_checkpoint({"0": np.arange(4, dtype="<f4")}, windows))
    state["a"][:] = 9
    assert (state["b"] == [[0, 2], [1, 3]]).all()


def test_an_empty_tensor_is_empty(file: Path, to_checkpoint: Encoder) -> None:
    state = read(file, to_checkpoint({"0": np.zeros(0, "<f4")}, {"a": ("0", 0, (0,), (1,))}))
    assert state["a"].shape == (0,)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (7,), (1,)),
        (6, (1,), (1,)),
        (6, (), ()),
        (5, (2,), (1,)),
        (0, (2, 3), (4, 1)),
        (0, (2,), (6,)),
        (-1, (2,), (1,)),
        (3, (2,), (-1,)),
        (0, (-1,), (1,)),
        (0, (2**40,), (1,)),
        (2**40, (1,), (1,)),
        (0, (2, 2), (1,)),
        (0, (2,), (1, 1)),
        (0.0, (2,), (1,)),
        (0, (1.5,), (1,)),
        (0, ("2",), (1,)),
        (0, None, (1,)),
        (0, (1,) * 65, (1,) * 65),
    ],
)
def test_a_tensor_that_reaches_outside_its_storage_is_refused(
    file: Path, to_checkpoint: Encoder, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    refuse(file, to_checkpoint({"0": np.arange(6, dtype="<f4")}, {"a": ("0", offset, shape, strides)}))


# Damage.


@pytest.fixture(scope="module")
def sound(to_checkpoint: Encoder) -> bytes:
    """Return a small checkpoint with two storages."""
    return to_checkpoint(
        {"0": np.arange(6, dtype="<f4"), "1": np.arange(3, dtype="<i8")},
        {"a": ("0", 1, (2, 2), (2, 1)), "b": ("0", 0, (6,), (1,)), "c": ("1", 0, (3,), (1,))},
    )


def test_cut_anywhere_it_is_refused(file: Path, sound: bytes) -> None:
    assert len(read(file, sound)) == 3
    for length in range(len(sound)):
        refuse(file, sound[:length])


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.3, 0.9, 0.999999])
def test_the_real_file_cut_is_refused(file: Path, lite0_file: Path, share: float) -> None:
    content = lite0_file.read_bytes()
    refuse(file, content[: int(len(content) * share)])


# Bytes that announce a length of eight bytes, or a place in a memo: the reader would ask for that much memory first.
LENGTHS = bytes([*b"\x8d\x8e\x95\x96r"])
garbage = st.binary(max_size=300).map(lambda content: content.translate(None, LENGTHS))


@given(garbage)
@same_file
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    refuse(tmp_path / "weights.pth", content)


@given(number=st.integers(0, 3), content=garbage)
@same_file
def test_garbage_after_a_sound_beginning_is_refused(tmp_path: Path, sound: bytes, number: int, content: bytes) -> None:
    refuse(tmp_path / "weights.pth", beginning(sound, number) + content[: len(sound)])


def test_a_zipped_checkpoint_is_refused(file: Path) -> None:
    # What torch.save writes since 1.6.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("archive/version", "3\n")
    refuse(file, buffer.getvalue())


@pytest.mark.parametrize(
    ("heads", "match"),
    [
        ([1], "does not begin like"),
        (["PK"], "does not begin like"),
        ([0x1950A86A20F9469CFC6C, 1002], "another protocol than 1001"),
        ([0x1950A86A20F9469CFC6C, 1001, {"little_endian": False}], "big-endian"),
        ([0x1950A86A20F9469CFC6C, 1001, {}], "little_endian"),
        ([0x1950A86A20F9469CFC6C, 1001, 3], None),
        ([0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, ["a"], []], None),
        ([0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {"a": 1}, []], None),
        ([0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, ["9"]], None),
        ([0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, 9], None),
    ],
)
def test_another_beginning_is_refused(file: Path, heads: list[Any], match: str | None) -> None:
    refuse(file, b"".join(pickle.dumps(head, protocol=2) for head in heads), match)


# Attacks.


def beginning(sound: bytes, number: int) -> bytes:
    """Return the first `number` pickles of a checkpoint."""
    stream = io.BytesIO(sound)
    for _ in range(number):
        for _ in pickletools.genops(stream):
            pass
    return sound[: stream.tell()]


class _Call:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def attacks(marker: Path) -> dict[str, bytes]:
    """Return pickles of which each creates the marker, or takes a first step there, when a plain unpickler loads it."""
    shell, code = f"touch {marker}", f"open({str(marker)!r}, 'w').close()"
    text = shell.encode()
    import builtins
    import os

    return {
        "os.system": pickle.dumps(_Call(os.system, shell), 2),
        "eval": pickle.dumps(_Call(builtins.eval, code), 2),
        "exec": pickle.dumps(_Call(builtins.exec, code), 2),
        "newer protocol": pickle.dumps(_Call(os.system, shell), 4),
        "text protocol": pickle.dumps(_Call(os.system, shell), 0),
        "hidden in a dict": pickle.dumps({"little_endian": _Call(builtins.eval, code)}, 2),
        "subprocess": pickle.dumps(_Call(subprocess.Popen, ["touch", str(marker)]), 2),
        "getattr": pickle.dumps(_Call(getattr, _Call(__import__, "os"), "system"), 2),
        "INST": b"(S'" + text + b"'\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\nS'" + text + b"'\no.",
    }


BY_NAME = {
    "a module of torch": b"\x80\x02ctorch.nn\nModule\n.",
    "torch.load": b"\x80\x02ctorch\nload\n.",
    "torch.storage": b"\x80\x02ctorch.storage\n_load_from_bytes\n.",
    "another function beside the tensors'": b"\x80\x02ctorch._utils\n_rebuild_parameter\n.",
    "a dotted name": b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93.",
    "a dotted way out": b"\x80\x04\x8c\x0ccollections.\x8c\x0b_sys.module\x93.",
    "a storage's attribute": b"\x80\x04\x8c\x05torch\x8c\x15FloatStorage.__init__\x93.",
    "numpy": b"\x80\x02cnumpy\nload\n.",
    "another dict": b"\x80\x02ccollections\ndefaultdict\n.",
    "an object": b"\x80\x02cbuiltins\nobject\n.",
    "our own code": b"\x80\x02cdemijohn.models.backbones.checkpoint\nread_checkpoint\n.",
    "nothing there": b"\x80\x02cno.such.module\nname\n.",
}

NAMES = sorted(attacks(Path("marker")))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("getattr", "subprocess")])
def test_the_attacks_are_real(tmp_path: Path, name: str) -> None:
    # Without this, the next test would pass on attacks that harm nobody.
    marker = tmp_path / "marker"
    pickle.loads(attacks(marker)[name])
    assert marker.exists()


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("name", NAMES)
def test_attacks_are_refused_and_not_run(tmp_path: Path, sound: bytes, name: str, place: int) -> None:
    marker = tmp_path / "marker"
    refuse(tmp_path / "weights.pth", beginning(sound, place) + attacks(marker)[name], "not admitted")
    assert not marker.exists()


@pytest.mark.parametrize("name", BY_NAME)
def test_every_other_name_is_refused(file: Path, sound: bytes, name: str) -> None:
    refuse(file, beginning(sound, 3) + BY_NAME[name], "not admitted")


def test_an_extension_code_is_refused(file: Path, sound: bytes) -> None:
    refuse(file, beginning(sound, 3) + b"\x80\x02\x82\x01.")


@pytest.mark.parametrize(
    "identity",
    [
        ("module", "x", "0", "cpu", 6, None),
        ("storage", "x", "0", "cpu", 6, ("1", 0, 2)),
        ("storage", "x"),
        "text",
        7,
    ],
)
def test_an_odd_storage_is_refused(file: Path, sound: bytes, identity: Any) -> None:
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return identity if obj is file else None

    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump({"a": file})
    refuse(file, beginning(sound, 3) + buffer.getvalue() + pickle.dumps([], protocol=2))
