"""The gate: what passes, what does not, and which pictures it is about."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demijohn.models.networks.artefacts import ARTEFACTS
from demijohn.pipeline.deployment.parity import Checked, Parity, check_parity
from demijohn.pipeline.errors import OtherPredictions
from numpy.typing import NDArray

CLASSES = ["cat", "dog"]
EXPECTED = np.array([[0.9, 0.1], [0.5004, 0.4996], [0.2, 0.8]])
PICTURES = Checked(("a.jpg", "b.jpg", "c.jpg"), "test", np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1), EXPECTED, ())


class Fake:
    """A model that gives a table."""

    def __init__(self, table: NDArray[np.float64], classes: list[str] = CLASSES) -> None:
        self.table, self.classes = table, classes

    def read_picture(self, path: str) -> Any:
        raise NotImplementedError

    def load_model(self, path: str) -> Any:
        return self.classes, lambda pixels: self.table[pixels[:, 0, 0, 0]].astype(np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "model").write_bytes(b"model")
    return tmp_path / "model"


def check(script: Fake, file: Path, *, tolerance: float = 1e-3) -> Parity:
    return check_parity(ARTEFACTS[0], file, script, PICTURES, CLASSES, tolerance=tolerance)


def test_what_agrees_passes_with_its_figures(file: Path) -> None:
    parity = check(Fake(EXPECTED + 2e-4 * np.array([1, -1])), file)
    assert parity.same_class == parity.pictures == 3
    assert parity.greatest_difference == pytest.approx(2e-4, rel=1e-3)
    assert parity.bytes == 5
    assert parity.to_json()["tolerance"] == 1e-3


def test_a_class_may_differ_where_two_are_as_probable(file: Path) -> None:
    told = EXPECTED.copy()
    told[1] = [0.4998, 0.5002]
    assert check(Fake(told), file).same_class == 2


def test_the_worst_picture_is_named(file: Path) -> None:
    told = EXPECTED.copy()
    told[0], told[2] = [0.89, 0.11], [0.6, 0.4]
    with pytest.raises(OtherPredictions) as error:
        check(Fake(told), file)
    assert str(error.value) == (
        "model.keras differs from demijohn on 2 of 3 test pictures, most on c.jpg: it says cat 0.6000, expected "
        "dog 0.8000 within 0.001; nothing was exported"
    )
    assert check(Fake(told), file, tolerance=0.5).same_class == 2


def test_what_is_no_number_never_passes(file: Path) -> None:
    told = EXPECTED.copy()
    told[1, 0] = np.nan
    with pytest.raises(OtherPredictions, match=r"on 1 of 3 test pictures, most on b\.jpg"):
        check(Fake(told), file, tolerance=1.0)


def test_other_classes_or_another_order_never_pass(file: Path) -> None:
    with pytest.raises(OtherPredictions, match="holds the classes"):
        check(Fake(EXPECTED, CLASSES[::-1]), file)
    with pytest.raises(OtherPredictions, match=r"gives \(3, 3\), expected \(3, 2\)"):
        check(Fake(np.ones((3, 3)) / 3), file)


def test_what_does_not_run_is_told_in_one_line(file: Path) -> None:
    class Broken(Fake):
        def load_model(self, path: str) -> Any:
            raise TypeError(f"{path} could not be deserialized.\n\nconfig={{}}\n\nUnrecognized keyword arguments")

    with pytest.raises(OtherPredictions, match=r"does not run in keras [\d.]+: Unrecognized keyword arguments -- noth"):
        check(Broken(EXPECTED), file)


def test_a_folder_weighs_what_its_files_do(tmp_path: Path) -> None:
    (tmp_path / "savedmodel" / "variables").mkdir(parents=True)
    (tmp_path / "savedmodel" / "variables" / "data").write_bytes(b"12345678")
    (tmp_path / "savedmodel" / "graph.pb").write_bytes(b"12")
    savedmodel = replace(ARTEFACTS[1], runtime="no such package")
    parity = check_parity(savedmodel, tmp_path / "savedmodel", Fake(EXPECTED), PICTURES, CLASSES, tolerance=1e-6)
    assert parity.bytes == 10
    assert parity.runtime == "no such package"
