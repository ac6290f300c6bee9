# %% [markdown]
# # From pictures to predictions
#
# A notebook in percent format: Jupyter (with jupytext), VS Code, PyCharm and Spyder open it as cells, and
# `python notebook.py` runs it. It trains on scikit-learn's handwritten digits, which come as arrays, so that it
# needs no network. Everything is written into the current folder: `digits/`, `new/`, `bottlenecks/` and two plots.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from demijohn.cache import FeatureStore
from demijohn.pipeline import BottleneckFeatures, Classifier, extract_features, predict, report_heads, train_heads
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

# %% [markdown]
# ## Pictures
#
# A folder per class. Thirty pictures are put aside, to be predicted at the end.

# %%
digits = load_digits()
for number, (pixels, digit) in enumerate(zip(digits.images[:630], digits.target, strict=False)):
    folder = Path("digits") / str(digit) if number < 600 else Path("new")
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 - pixels * (255 / 16)).astype(np.uint8)).save(folder / f"{number:04d}.png")

# %% [markdown]
# ## Features
#
# The backbone runs once. Run this cell again: nothing is extracted, and TensorFlow is not even imported.

# %%
extraction = extract_features("digits", backbone="efficientnet-lite0")
print(f"{extraction.rows} rows of {extraction.width} features, {extraction.extracted} of them new")
print(extraction.features)

# %% [markdown]
# They are an array, in the order of the keys that are asked for.

# %%
store = FeatureStore("bottlenecks")
table = store.find_dataset("digits")
features = store.find_feature_set("efficientnet-lite0").read([row.key for row in table.rows])
print(features.shape, features.dtype, table.classes)

# %% [markdown]
# ## Heads
#
# Each is tuned on the validation split and refit; the test split is touched once.

# %%
runs = train_heads(["logistic", "ridge", "lda", "centroid"])
for run in runs:
    print(f"{run.record['head']:10} {run.record['metrics']['validation']['accuracy']:.1%} of the validation pictures")

# %% [markdown]
# ## Which is best, and is that more than luck?
#
# Compared on the same test pictures; each accuracy has its 95 % interval.
# `bottlenecks/report/digits/index.html` shows it all.

# %%
report = report_heads()
print(*report.verdict, sep="\n")

figure, axes = plt.subplots(figsize=(7, 2.5), layout="constrained")
for height, run in enumerate(reversed(report.runs)):
    test = run.record["metrics"]["test"]
    low, high = test["accuracy_interval"]
    axes.plot([low, high], [height, height], color="#4477aa")
    axes.plot(test["accuracy"], height, "o", color="#4477aa")
axes.set_yticks(range(len(report.runs)), [run.record["head"] for run in reversed(report.runs)])
axes.set_xlabel("test accuracy with its 95 % interval")
figure.savefig("comparison.png")

# %% [markdown]
# ## Predictions
#
# Class list, resize and preprocessing travel with the run. A doubtful picture is left to a person.

# %%
predictions = list(predict("new", reject_below=0.5))
figure, grid = plt.subplots(3, 10, figsize=(10, 3.6), layout="constrained")
for axes, prediction in zip(grid.flat, predictions, strict=True):
    axes.imshow(Image.open(prediction.path), cmap="gray")
    axes.set_title(f"{prediction.label or '?'} {prediction.probability:.0%}", fontsize=9)
    axes.axis("off")
figure.savefig("predictions.png")

# %% [markdown]
# A classifier that is loaded once also takes arrays.

# %%
classifier = Classifier.load("best")
pixels = np.asarray(Image.open("new/0600.png").convert("RGB"))
print(classifier.classes_[classifier.predict_proba([pixels])[0].argmax()])

# %% [markdown]
# ## In your own pipeline
#
# `BottleneckFeatures` is a transformer from paths to the same cached features.

# %%
paths = [str(Path("digits") / row.path) for row in table.rows]
labels = [row.label for row in table.rows]
pipeline = make_pipeline(BottleneckFeatures("efficientnet-lite0"), RidgeClassifier())
print(cross_val_score(pipeline, paths, labels, cv=3))
