"""Other ways to bottleneck features, each as its users write it; benchmarks/extract.py runs them.

    python benchmarks/rivals.py NAME BACKBONE FOLDER COUNT

Runs one of them on COUNT pictures of FOLDER/CLASS/*.jpg after a warm-up, with random weights where the
backbone has none on this machine, and prints JSON: pictures per second and the peak memory in bytes. NAME is

    one-by-one    load_img, preprocess_input and model.predict, a picture at a time
    dataset       image_dataset_from_directory and model.predict
    thingsvision  the loop of THINGSvision 2.7 for Keras, which installs with TensorFlow below 2.16 only
    timm          PyTorch: timm, inference_mode and a DataLoader with workers
    onnxruntime   Pillow and ONNX Runtime, converted by tf2onnx
    openvino      Pillow and OpenVINO
    demijohn-tensorflow, demijohn-openvino
                  the whole job: scanned, decoded, computed, committed to a store
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 32
KERAS = {
    "xception": ("xception", "Xception"),
    "resnet50": ("resnet", "ResNet50"),
    "mobilenet-v2": ("mobilenet_v2", "MobileNetV2"),
}
TIMM = {"efficientnet-lite0": "tf_efficientnet_lite0", "resnet50": "resnet50", "mobilenet-v2": "mobilenetv2_100"}
SIDE = {"xception": 299}
Job = Callable[[list[Path]], None]


def build(backbone: str) -> tuple[Any, Callable[[Any], Any], int]:
    """Return a pooled Keras model, its preprocessing, and the side of its pictures."""
    import keras

    side = SIDE.get(backbone, 224)
    if backbone == "efficientnet-lite0":
        from demijohn.models import BACKBONES, load_extractor, locate_weights

        record = BACKBONES[backbone]
        network, _ = load_extractor(record, locate_weights(record))
        pooled = keras.layers.GlobalAveragePooling2D()(network.output)
        return keras.Model(network.input, pooled), lambda x: (x - 127.0) / 128.0, side
    module, function = KERAS[backbone]
    family = import_module(f"keras.applications.{module}")
    model = getattr(family, function)(weights=None, include_top=False, pooling="avg", input_shape=(side, side, 3))
    return model, family.preprocess_input, side


def one_by_one(backbone: str, _folder: Path) -> Job:
    """Load, preprocess and predict a picture at a time."""
    import keras

    model, preprocess, side = build(backbone)

    def run(paths: list[Path]) -> None:
        rows = []
        for path in paths:
            x = keras.utils.img_to_array(keras.utils.load_img(path, target_size=(side, side)))
            rows.append(model.predict(preprocess(x[None]), verbose=0)[0])
        np.stack(rows)

    return run


def dataset(backbone: str, folder: Path) -> Job:
    """Keras' own pipeline from a folder."""
    import keras
    import tensorflow as tf

    model, preprocess, side = build(backbone)

    def run(paths: list[Path]) -> None:
        pictures = keras.utils.image_dataset_from_directory(
            folder, labels=None, image_size=(side, side), batch_size=BATCH, shuffle=False, verbose=False
        )
        pictures = pictures.take(-(-len(paths) // BATCH)).map(preprocess, num_parallel_calls=tf.data.AUTOTUNE)
        model.predict(pictures.prefetch(tf.data.AUTOTUNE), verbose=0)

    return run


def thingsvision(backbone: str, _folder: Path) -> Job:
    """Transform every picture by a Keras Sequential, and make a model anew for every batch, as its source does."""
    import keras
    import tensorflow as tf
    from PIL import Image

    model, _, side = build(backbone)
    transform = keras.Sequential(
        [
            keras.layers.Resizing(side, side),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Normalization(mean=(0.485, 0.456, 0.406), variance=(0.229**2, 0.224**2, 0.225**2)),
        ]
    )

    def run(paths: list[Path]) -> None:
        rows = []
        for start in range(0, len(paths), BATCH):
            batch = []
            for path in paths[start : start + BATCH]:
                image = np.asarray(Image.open(path).convert("RGB"))
                batch.append(tf.squeeze(transform(tf.expand_dims(image, 0)), 0))
            activation = keras.models.Model(inputs=model.input, outputs=[model.layers[-1].output])
            rows.append(activation.predict(tf.stack(batch), verbose=0))
        np.vstack(rows)

    return run


def pytorch(backbone: str, _folder: Path) -> Job:
    """Run timm with a DataLoader."""
    import timm
    import torch
    from PIL import Image

    network = timm.create_model(TIMM[backbone], pretrained=False, num_classes=0).eval()
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=network))

    class Pictures(torch.utils.data.Dataset):  # type: ignore[misc]
        def __init__(self, paths: list[Path]) -> None:
            self.paths = paths

        def __len__(self) -> int:
            return len(self.paths)

        def __getitem__(self, index: int) -> Any:
            return transform(Image.open(self.paths[index]).convert("RGB"))

    def run(paths: list[Path]) -> None:
        loader = torch.utils.data.DataLoader(Pictures(paths), batch_size=BATCH, num_workers=2)
        with torch.inference_mode():
            torch.cat([network(batch) for batch in loader]).numpy()

    return run


def batches(paths: list[Path], preprocess: Callable[[Any], Any], side: int) -> Iterator[Any]:
    """Yield preprocessed batches, decoded by Pillow."""
    from PIL import Image

    for start in range(0, len(paths), BATCH):
        images = [Image.open(path).convert("RGB").resize((side, side)) for path in paths[start : start + BATCH]]
        yield preprocess(np.stack(images).astype(np.float32))


def onnxruntime(backbone: str, _folder: Path) -> Job:
    """Convert by tf2onnx and run."""
    import onnxruntime as ort
    import tensorflow as tf
    import tf2onnx

    model, preprocess, side = build(backbone)
    function = tf.function(lambda x: model(x, training=False))
    signature = [tf.TensorSpec((None, side, side, 3), tf.float32, name="x")]
    converted, _ = tf2onnx.convert.from_function(function, input_signature=signature)
    session = ort.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])

    def run(paths: list[Path]) -> None:
        np.concatenate([session.run(None, {"x": batch})[0] for batch in batches(paths, preprocess, side)])

    return run


def openvino(backbone: str, _folder: Path) -> Job:
    """Convert with OpenVINO and run; float32 is said, since a processor may have a narrower default."""
    import openvino as ov

    model, preprocess, side = build(backbone)
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        converted = ov.convert_model(folder)
    compiled = ov.compile_model(converted, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(paths: list[Path]) -> None:
        np.concatenate([compiled(batch)[0] for batch in batches(paths, preprocess, side)])

    return run


RIVALS = {
    "one-by-one": one_by_one,
    "dataset": dataset,
    "thingsvision": thingsvision,
    "timm": pytorch,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
}


def demijohn(engine: str, backbone: str, folder: Path) -> float:
    """Return pictures per second of the whole job, up to the committed store."""
    from demijohn.pipeline import extract_features

    weights = "imagenet" if backbone == "efficientnet-lite0" else "random"
    with tempfile.TemporaryDirectory() as store:
        done = extract_features(folder, backbone=backbone, weights=weights, engine=engine, store=store)
        assert done.rows + done.duplicates == done.images, "a row for every picture"
        assert done.images_per_second is not None
        return done.images_per_second


def main() -> None:
    """Run one."""
    if len(sys.argv) < 5:
        print(__doc__)
        return
    name, backbone, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    paths = sorted(folder.glob("*/*.jpg"))[: int(sys.argv[4])]
    if name.startswith("demijohn-"):
        rate = demijohn(name.partition("-")[2], backbone, folder)
    else:
        run = RIVALS[name](backbone, folder)
        run(paths[:BATCH])
        started = time.perf_counter()
        run(paths)
        rate = len(paths) / (time.perf_counter() - started)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"rate": rate, "memory": kilobytes * 1024}))


if __name__ == "__main__":
    main()
