"""Which standardisation serves the heads best: plain deviation, floored, or one for all features.

    python benchmarks/scaling.py [STORE]

Trains the dense and the logistic head on stored features of the only data set of STORE, with each
scaling in turn, and prints validation and test accuracy. Without STORE, the handwritten digits are
extracted into a temporary one.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from demijohn.models import dense, linear
from demijohn.models.dense import DenseHead
from demijohn.models.linear import LogisticHead
from demijohn.models.scaling import fit_scaler
from demijohn.pipeline import extract_features, train_head


def plain(X: Any) -> Any:
    """Divide each feature by its own deviation."""
    scaler = fit_scaler(X)
    deviation = np.sqrt(scaler.var_)
    scaler.scale_ = np.where(deviation > 0, deviation, 1.0)
    return scaler


def one_for_all(X: Any) -> Any:
    """Divide all features by the root mean square of their deviations."""
    scaler = fit_scaler(X)
    scaler.scale_ = np.full_like(scaler.scale_, np.sqrt(scaler.var_.mean()))
    return scaler


def main() -> None:
    """Print a line per head and scaling."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "store"
        if len(sys.argv) < 2:
            digits = Path(__file__).parents[1] / "demo" / "digits.py"
            subprocess.run([sys.executable, digits, Path(folder) / "digits"], check=True)
            extract_features(Path(folder) / "digits", store=store)
        print(f"{'head':10}{'scaling':22}{'validation':>12}{'test':>8}")
        for head in (DenseHead, LogisticHead):
            name = "dense" if head is DenseHead else "logistic"
            for scaling in (plain, fit_scaler, one_for_all):
                dense.fit_scaler = linear.fit_scaler = scaling
                metrics = train_head(name, store=store, force=True).record["metrics"]
                label = {"fit_scaler": "floored (used)"}.get(scaling.__name__, scaling.__name__.replace("_", " "))
                validation, test = metrics["validation"]["accuracy"], metrics["test"]["accuracy"]
                print(f"{name:10}{label:22}{validation:12.4f}{test:8.4f}", flush=True)
        dense.fit_scaler = linear.fit_scaler = fit_scaler
        if len(sys.argv) > 1:
            # The runs in STORE are left as the product makes them.
            for name in ("dense", "logistic"):
                train_head(name, store=store, force=True)


if __name__ == "__main__":
    main()
