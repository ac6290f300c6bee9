"""The 40 architectures of `keras.applications`, and the MobileNets of other widths: a line each.

What the architectures of a family share stands with the family. Sizes, parameters, depths and
accuracies are those of the table at https://keras.io/api/applications, where it has them. It has no
MobileNet of another width: their accuracies are those that Keras' authors measured in the same way
(https://github.com/keras-team/keras-applications). It has no MobileNetV3: their accuracies stand in
Keras' documentation of the functions. For both, the parameters are counted, and a megabyte is a
quarter of a million of them. Licences are those that Keras' documentation named until 2.3, for
younger families those of the weights' origin.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..backend import import_keras
from .backbone import CAFFE, INSIDE, SYMMETRIC, TORCH, Backbone, Preprocessing, WeightsFile

_BUCKET = "https://storage.googleapis.com/tensorflow/keras-applications"
_SLIM = "https://github.com/tensorflow/models/tree/master/research/slim"
_KERNELS = "weights_tf_dim_ordering_tf_kernels"
_DIGITS = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}
"""The width of a MobileNet, as its files have it."""
_DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet, pixels in 0..1."""


def _family(
    *,
    page: str,
    origin: str,
    licence: str,
    preprocessing: Preprocessing,
    url: Callable[[str, float], str],
    without: str = "_notop",
    kept_as: Callable[[str], str] = str,
    amend: Callable[[Any], Any] | None = None,
    norm_after_pooling: bool = False,
) -> Callable[..., Backbone]:
    """Return what makes a record of a line of the table below.

    `url(architecture, alpha)` is where the weights are, up to the point where the names of the two files part;
    there `without` is added for the one without classifier. `kept_as(file)` is its name in Keras' folder,
    where that is another. `amend(network)` changes what Keras builds.
    """

    def record(
        name: str,
        function: str,
        size: int,
        width: int,
        megabytes: float,
        parameters: float,
        depth: int | None,
        top1: float,
        top5: float | None,
    ) -> Backbone:
        architecture, arguments = _read_name(name)
        stem = url(architecture, arguments.get("alpha", 1.0))

        def published(end: str, checksum: str | None) -> WeightsFile:
            address = f"{stem}{end}.h5"
            return WeightsFile(kept_as(address.rpartition("/")[2]), address, checksum)

        def build(*, top: bool, input_size: tuple[int, int]) -> Any:
            make = getattr(import_keras().applications, function)
            network = make(weights=None, include_top=top, input_shape=(*input_size, 3), **arguments)
            return amend(network) if amend else network

        checksum, checksum_top = _CHECKSUMS.get(name, (None, None))
        return Backbone(
            name=name,
            keras_name=function,
            build=build,
            load=_load,
            input_size=(size, size),
            width=width,
            preprocessing=preprocessing,
            resize="crop-bilinear",
            norm_after_pooling=norm_after_pooling,
            weights=published(without, checksum),
            weights_top=published("", checksum_top),
            megabytes=megabytes,
            parameters=parameters,
            depth=depth,
            top1=top1,
            top5=top5,
            source=f"https://keras.io/api/applications/{page}; weights of {origin}",
            licence=licence,
        )

    return record


def _read_name(name: str) -> tuple[str, dict[str, Any]]:
    """Return the architecture's part of a backbone's name, and what the rest asks of Keras' function.

    >>> _read_name("mobilenet-v2-1.4"), _read_name("mobilenet-v3-small-minimalistic")
    (('mobilenet-v2', {'alpha': 1.4}), ('mobilenet-v3-small-minimalistic', {'minimalistic': True}))
    """
    architecture, _, last = name.rpartition("-")
    if "." in last:
        return architecture, {"alpha": float(last)}
    return name, {"minimalistic": True} if last == "minimalistic" else {}


def _load(model: Any, path: Path) -> None:
    # Here, since it loads HDF5, which the catalogue has no need of.
    from .weights_files import load_keras_weights

    load_keras_weights(model, path)


def _divide_twice(network: Any) -> Any:
    """Return an EfficientNet with the layer that Keras adds only where it loads the ImageNet weights itself.

    The files hold the deviation where the normalisation expects its square, and so divides by its
    root; the layer divides by the root again. See https://github.com/tensorflow/tensorflow/issues/49930.
    """
    keras = import_keras()

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        result = layer(*arguments, **options)
        if isinstance(layer, keras.layers.Normalization):
            result = keras.layers.Rescaling([deviation**-0.5 for deviation in _DEVIATION])(result)
        return result

    # With layers of its own, since the output of one that stands in two networks is that in the first.
    return keras.models.clone_model(network, call_function=call)


# Without and with classifier: MD5, for ConvNeXt SHA-256. Keras states none for MobileNet and MobileNetV2.
_CHECKSUMS = {
    "xception": ("b0042744bf5b25fce3cb969f33bebb97", "0a58e3b7378bc2990ea3b43d5981f1f6"),
    "vgg16": ("6d6bbae143d832006294945121d1f1fc", "64373286793e3c8b2b4e3219cbf3544b"),
    "vgg19": ("253f8cb515780f3b799900260a226db6", "cbe5617147190e668d6c5d5026f83318"),
    "resnet50": ("4d473c1dd8becc155b73f8504c6f6626", "2cb95161c43110f7111970584f804107"),
    "resnet50-v2": ("fac2f116257151a9d068a22e544a4917", "3ef43a0b657b3be2300d5770ece849e0"),
    "resnet101": ("88cf7a10940856eca736dc7b7e228a21", "f1aeb4b969a6efcfb50fad2f0c20cfc5"),
    "resnet101-v2": ("c0ed64b8031c3730f411d2eb4eea35b5", "6343647c601c52e1368623803854d971"),
    "resnet152": ("ee4c566cf9a93f14d82f913c2dc6dd0c", "100835be76be38e30d865e96f2aaae62"),
    "resnet152-v2": ("ed17cf2e0169df9d443503ef94b23b33", "a49b44d1979771252814e80f8ec446f9"),
    "inception-v3": ("bcbd6486424b2319ff4ef7d526e38f63", "9a0d58056eeedaa3f26cb7ebd46da564"),
    "inception-resnet-v2": ("d19885ff4a710c122648d3b5c3b684e4", "e693bd0210a403b3192acc6073ad2e96"),
    "mobilenet-v3-small": ("d3e8ec802a04aa4fc771ee12a9a9b836", "8768d4c2e7dee89b9d02b2d03d65d862"),
    "mobilenet-v3-small-0.75": ("ebdb5cc8e0b497cd13a7c275d475c819", "cb65d4e5be93758266aa0a7f2c6708b7"),
    "mobilenet-v3-small-minimalistic": ("cde8136e733e811080d9fcd8a252f7e4", "99cd97fb2fcdad2bf028eb838de69e37"),
    "mobilenet-v3-large": ("07fb09a5933dd0c8eaafa16978110389", "59e551e166be033d707958cf9e29a6a7"),
    "mobilenet-v3-large-0.75": ("40af19a13ebea4e2ee0c676887f69a2e", "765b44a33ad4005b3ac83185abf1d0eb"),
    "mobilenet-v3-large-minimalistic": ("ec5221f64a2f6d1ef965a614bdae7973", "675e7b876c45c57e9e63e6d90a36599c"),
    "densenet121": ("30ee3e1110167f948a6b9946edeeb738", "9d60b8095a5708f2dcce2bca79d332c7"),
    "densenet169": ("b8c4d4c20dd625c148057b9ff1c1176b", "d699b8f76981ab1b30698df4c175e90b"),
    "densenet201": ("c13680b51ded0fb44dff2d8f86ac8bb1", "1ceb130c1ea1b78c3bf6114dbdfd8807"),
    "nasnet-mobile": ("1ed92395b5b598bdda52abe5c0dbfd63", "020fb642bf7360b370c678b08e0adf61"),
    "nasnet-large": ("d81d89dc07e6e56530c4e77faddd61b5", "11577c9a518f0070763c2b964a382f17"),
    "efficientnet-b0": ("50bc09e76180e00e4465e1a485ddc09d", "902e53a9f72be733fc0bcb005b3ebbac"),
    "efficientnet-b1": ("74c4e6b3e1f6a1eea24c589628592432", "1d254153d4ab51201f1646940f018540"),
    "efficientnet-b2": ("111f8e2ac8aa800a7a99e3239f7bfb39", "b15cce36ff4dcbd00b6dd88e7857a6ad"),
    "efficientnet-b3": ("af6d107764bb5b1abb91932881670226", "ffd1fdc53d0ce67064dc6a9c7960ede0"),
    "efficientnet-b4": ("ebc24e6d6c33eaebbd558eafbeedf1ba", "18c95ad55216b8f92d7e70b3a046e2fc"),
    "efficientnet-b5": ("38879255a25d3c92d5e44e04ae6cec6f", "ace28f2a6363774853a83a0b21b9421a"),
    "efficientnet-b6": ("9ecce42647a20130c1f39a5d4cb75743", "165f6e37dce68623721b423839de8be5"),
    "efficientnet-b7": ("cbcfe4450ddf6f3ad90b1b398090fe4a", "8c03f828fec3ef71311cd463b6759d99"),
    "efficientnet-v2-b0": ("893217f2bb855e2983157299931e43ff", "21ecbf6da12460d5c40bb2f29ceb2188"),
    "efficientnet-v2-b1": ("0e80663031ca32d657f9caa404b6ec37", "069f0534ff22adf035c89e2d9547a9dc"),
    "efficientnet-v2-b2": ("1dfe2e7a5d45b6632553a8961ea609eb", "424e49f28180edbde1e94797771950a7"),
    "efficientnet-v2-b3": ("f6abf7b5849ac99a89b50dd3fd532856", "1f1fc43bd98a6e4fd8fdfd551e02c7a0"),
    "efficientnet-v2-s": ("af0682fb74e8c54910f2d4393339c070", "e1d88a8495beba45748fedd0cecbe016"),
    "efficientnet-v2-m": ("1b8dc055df72dde80d614482840fe342", "a3bf6aa3276309f4fc6a34aa114c95cd"),
    "efficientnet-v2-l": ("b0b66b5c863aef5b46e8608fe1711615", "27e6d408b53c7ebc868fefa357689935"),
    "convnext-tiny": (
        "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
        "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
    ),
    "convnext-small": (
        "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
        "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
    ),
    "convnext-base": (
        "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
        "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
    ),
    "convnext-large": (
        "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
        "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
    ),
    "convnext-xlarge": (
        "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
        "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
    ),
}

_xception = _family(
    page="xception",
    origin="Keras' author",
    licence="MIT",
    preprocessing=SYMMETRIC,
    url=lambda name, _: f"{_BUCKET}/xception/{name}_{_KERNELS}",
)
_vgg = _family(
    page="vgg",
    origin="https://www.robots.ox.ac.uk/~vgg/research/very_deep",
    licence="CC BY 4.0",
    preprocessing=CAFFE,
    url=lambda name, _: f"{_BUCKET}/{name}/{name}_{_KERNELS}",
)
_resnet = _family(
    page="resnet",
    origin="https://github.com/KaimingHe/deep-residual-networks",
    licence="MIT",
    preprocessing=CAFFE,
    url=lambda name, _: f"{_BUCKET}/resnet/{name}_{_KERNELS}",
)
_resnet_v2 = _family(
    page="resnet",
    origin="https://github.com/facebook/fb.resnet.torch",
    licence="BSD",
    preprocessing=SYMMETRIC,
    url=lambda name, _: f"{_BUCKET}/resnet/{name.replace('-', '')}_{_KERNELS}",
)
_inception_v3 = _family(
    page="inceptionv3",
    origin=_SLIM,
    licence="Apache 2.0",
    preprocessing=SYMMETRIC,
    url=lambda *_: f"{_BUCKET}/inception_v3/inception_v3_{_KERNELS}",
)
_inception_resnet = _family(
    page="inceptionresnetv2",
    origin=_SLIM,
    licence="Apache 2.0",
    preprocessing=SYMMETRIC,
    url=lambda *_: f"{_BUCKET}/inception_resnet_v2/inception_resnet_v2_{_KERNELS}",
)
# Of the MobileNets there are files for several input sizes; these are those of 224 pixels.
_mobilenet = _family(
    page="mobilenet",
    origin=_SLIM,
    licence="Apache 2.0",
    preprocessing=SYMMETRIC,
    url=lambda _, alpha: f"{_BUCKET}/mobilenet/mobilenet_{_DIGITS[alpha]}_224_tf",
    without="_no_top",
)
_mobilenet_v2 = _family(
    page="mobilenet",
    origin=_SLIM,
    licence="Apache 2.0",
    preprocessing=SYMMETRIC,
    url=lambda _, alpha: f"{_BUCKET}/mobilenet_v2/mobilenet_v2_{_KERNELS}_{alpha}_224",
    without="_no_top",
)
_mobilenet_v3 = _family(
    page="mobilenet",
    origin=_SLIM,
    licence="Apache 2.0",
    preprocessing=INSIDE,
    url=lambda name, alpha: f"{_BUCKET}/mobilenet_v3/weights_{name.replace('-', '_')}_224_{alpha}_float",
    without="_no_top_v2",
)
_densenet = _family(
    page="densenet",
    origin="https://github.com/liuzhuang13/DenseNet",
    licence="BSD 3-clause",
    preprocessing=TORCH,
    url=lambda name, _: f"{_BUCKET}/densenet/{name}_{_KERNELS}",
)
_nasnet = _family(
    page="nasnet",
    origin=_SLIM,
    licence="Apache 2.0",
    preprocessing=SYMMETRIC,
    url=lambda name, _: f"{_BUCKET}/nasnet/{name.replace('nasnet', 'NASNet')}",
    without="-no-top",
    kept_as=lambda file: file.lower().replace("-", "_"),
)
_efficientnet = _family(
    page="efficientnet",
    origin="https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet",
    licence="Apache 2.0",
    preprocessing=INSIDE,
    url=lambda name, _: f"https://storage.googleapis.com/keras-applications/{name.replace('-', '')}",
    amend=_divide_twice,
)
_efficientnet_v2 = _family(
    page="efficientnet_v2",
    origin="https://github.com/google/automl/tree/master/efficientnetv2",
    licence="Apache 2.0",
    preprocessing=INSIDE,
    url=lambda name, _: f"{_BUCKET}/efficientnet_v2/{name.replace('-v2', 'v2')}",
)
_convnext = _family(
    page="convnext",
    origin="https://github.com/facebookresearch/ConvNeXt, converted by https://github.com/sayakpaul/ConvNeXt-TF",
    licence="MIT; the conversion Apache 2.0",
    preprocessing=INSIDE,
    url=lambda name, _: f"{_BUCKET}/convnext/{name.replace('-', '_')}",
    norm_after_pooling=True,
)

# fmt: off
APPLICATIONS = (
    # name                                           function             px  width      MB      M  depth top-1 top-5
    _xception("xception",                            "Xception",          299, 2048,     88,  22.9,   81, 79.0, 94.5),
    _vgg("vgg16",                                    "VGG16",             224,  512,    528, 138.4,   16, 71.3, 90.1),
    _vgg("vgg19",                                    "VGG19",             224,  512,    549, 143.7,   19, 71.3, 90.0),
    _resnet("resnet50",                              "ResNet50",          224, 2048,     98,  25.6,  107, 74.9, 92.1),
    _resnet_v2("resnet50-v2",                        "ResNet50V2",        224, 2048,     98,  25.6,  103, 76.0, 93.0),
    _resnet("resnet101",                             "ResNet101",         224, 2048,    171,  44.7,  209, 76.4, 92.8),
    _resnet_v2("resnet101-v2",                       "ResNet101V2",       224, 2048,    171,  44.7,  205, 77.2, 93.8),
    _resnet("resnet152",                             "ResNet152",         224, 2048,    232,  60.4,  311, 76.6, 93.1),
    _resnet_v2("resnet152-v2",                       "ResNet152V2",       224, 2048,    232,  60.4,  307, 78.0, 94.2),
    _inception_v3("inception-v3",                    "InceptionV3",       299, 2048,     92,  23.9,  189, 77.9, 93.7),
    _inception_resnet("inception-resnet-v2",         "InceptionResNetV2", 299, 1536,    215,  55.9,  449, 80.3, 95.3),
    _mobilenet("mobilenet",                          "MobileNet",         224, 1024,     16,   4.3,   55, 70.4, 89.5),
    _mobilenet("mobilenet-0.25",                     "MobileNet",         224,  256,      2,   0.5, None, 51.6, 75.8),
    _mobilenet("mobilenet-0.5",                      "MobileNet",         224,  512,      5,   1.3, None, 64.3, 85.6),
    _mobilenet("mobilenet-0.75",                     "MobileNet",         224,  768,     10,   2.6, None, 68.4, 88.2),
    _mobilenet_v2("mobilenet-v2",                    "MobileNetV2",       224, 1280,     14,   3.5,  105, 71.3, 90.1),
    _mobilenet_v2("mobilenet-v2-0.35",               "MobileNetV2",       224, 1280,      7,   1.7, None, 60.1, 82.4),
    _mobilenet_v2("mobilenet-v2-0.5",                "MobileNetV2",       224, 1280,      8,   2.0, None, 65.2, 86.1),
    _mobilenet_v2("mobilenet-v2-0.75",               "MobileNetV2",       224, 1280,     11,   2.7, None, 69.5, 89.2),
    _mobilenet_v2("mobilenet-v2-1.3",                "MobileNetV2",       224, 1664,     22,   5.4, None, 74.7, 92.1),
    _mobilenet_v2("mobilenet-v2-1.4",                "MobileNetV2",       224, 1792,     25,   6.2, None, 75.2, 92.4),
    _mobilenet_v3("mobilenet-v3-small",              "MobileNetV3Small",  224,  576,     10,   2.6, None, 68.1, None),
    _mobilenet_v3("mobilenet-v3-small-0.75",         "MobileNetV3Small",  224,  432,      8,   2.1, None, 65.4, None),
    _mobilenet_v3("mobilenet-v3-small-minimalistic", "MobileNetV3Small",  224,  576,      8,   2.1, None, 61.9, None),
    _mobilenet_v3("mobilenet-v3-large",              "MobileNetV3Large",  224,  960,     22,   5.5, None, 75.6, None),
    _mobilenet_v3("mobilenet-v3-large-0.75",         "MobileNetV3Large",  224,  720,     16,   4.0, None, 73.3, None),
    _mobilenet_v3("mobilenet-v3-large-minimalistic", "MobileNetV3Large",  224,  960,     16,   3.9, None, 72.3, None),
    _densenet("densenet121",                         "DenseNet121",       224, 1024,     33,   8.1,  242, 75.0, 92.3),
    _densenet("densenet169",                         "DenseNet169",       224, 1664,     57,  14.3,  338, 76.2, 93.2),
    _densenet("densenet201",                         "DenseNet201",       224, 1920,     80,  20.2,  402, 77.3, 93.6),
    _nasnet("nasnet-mobile",                         "NASNetMobile",      224, 1056,     23,   5.3,  389, 74.4, 91.9),
    _nasnet("nasnet-large",                          "NASNetLarge",       331, 4032,    343,  88.9,  533, 82.5, 96.0),
    _efficientnet("efficientnet-b0",                 "EfficientNetB0",    224, 1280,     29,   5.3,  132, 77.1, 93.3),
    _efficientnet("efficientnet-b1",                 "EfficientNetB1",    240, 1280,     31,   7.9,  186, 79.1, 94.4),
    _efficientnet("efficientnet-b2",                 "EfficientNetB2",    260, 1408,     36,   9.2,  186, 80.1, 94.9),
    _efficientnet("efficientnet-b3",                 "EfficientNetB3",    300, 1536,     48,  12.3,  210, 81.6, 95.7),
    _efficientnet("efficientnet-b4",                 "EfficientNetB4",    380, 1792,     75,  19.5,  258, 82.9, 96.4),
    _efficientnet("efficientnet-b5",                 "EfficientNetB5",    456, 2048,    118,  30.6,  312, 83.6, 96.7),
    _efficientnet("efficientnet-b6",                 "EfficientNetB6",    528, 2304,    166,  43.3,  360, 84.0, 96.8),
    _efficientnet("efficientnet-b7",                 "EfficientNetB7",    600, 2560,    256,  66.7,  438, 84.3, 97.0),
    _efficientnet_v2("efficientnet-v2-b0",           "EfficientNetV2B0",  224, 1280,     29,   7.2, None, 78.7, 94.3),
    _efficientnet_v2("efficientnet-v2-b1",           "EfficientNetV2B1",  240, 1280,     34,   8.2, None, 79.8, 95.0),
    _efficientnet_v2("efficientnet-v2-b2",           "EfficientNetV2B2",  260, 1408,     42,  10.2, None, 80.5, 95.1),
    _efficientnet_v2("efficientnet-v2-b3",           "EfficientNetV2B3",  300, 1536,     59,  14.5, None, 82.0, 95.8),
    _efficientnet_v2("efficientnet-v2-s",            "EfficientNetV2S",   384, 1280,     88,  21.6, None, 83.9, 96.7),
    _efficientnet_v2("efficientnet-v2-m",            "EfficientNetV2M",   480, 1280,    220,  54.4, None, 85.3, 97.4),
    _efficientnet_v2("efficientnet-v2-l",            "EfficientNetV2L",   480, 1280,    479, 119.0, None, 85.7, 97.5),
    _convnext("convnext-tiny",                       "ConvNeXtTiny",      224,  768, 109.42,  28.6, None, 81.3, None),
    _convnext("convnext-small",                      "ConvNeXtSmall",     224,  768, 192.29,  50.2, None, 82.3, None),
    _convnext("convnext-base",                       "ConvNeXtBase",      224, 1024, 338.58,  88.5, None, 85.3, None),
    _convnext("convnext-large",                      "ConvNeXtLarge",     224, 1536, 755.07, 197.7, None, 86.3, None),
    _convnext("convnext-xlarge",                     "ConvNeXtXLarge",    224, 2048,   1310, 350.1, None, 86.7, None),
)
# fmt: on
"""In the order of Keras' table."""
