"""Networks for pictures are Keras's, layer by layer: names, order, shapes of weights, counts."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import applications

#: Keras 3.15.1: parameters with and without the classifier, channels at the end, and a digest of
#: the names and weight shapes of all layers in their order.
NETWORKS = {
    "VGG16": (138357544, 14714688, 512, "1c867528d8c2301d"),
    "VGG19": (143667240, 20024384, 512, "bfa7f3b8256ff5d6"),
    "ResNet50": (25636712, 23587712, 2048, "dffb09a3ef0b8187"),
    "ResNet101": (44707176, 42658176, 2048, "192fa409c1d06945"),
    "ResNet152": (60419944, 58370944, 2048, "caaae60d1c3b9093"),
    "ResNet50V2": (25613800, 23564800, 2048, "2a02da2212b7a563"),
    "ResNet101V2": (44675560, 42626560, 2048, "9e383c3a07e4164f"),
    "ResNet152V2": (60380648, 58331648, 2048, "c21a4d27fbc34f88"),
    "MobileNet": (4253864, 3228864, 1024, "457551609d5078e8"),
    "MobileNetV2": (3538984, 2257984, 1280, "3c3f73c195cb7821"),
    "MobileNetV3Small": (2554968, 939120, 576, "94614e1b5bdaba6f"),
    "MobileNetV3Large": (5507432, 2996352, 960, "7388c6c3bdd95a39"),
    "InceptionV3": (23851784, 21802784, 2048, "0cea1ca3d41bc1b1"),
    "Xception": (22910480, 20861480, 2048, "b77338e10888df54"),
    "DenseNet121": (8062504, 7037504, 1024, "9714d077e3a3b75a"),
    "DenseNet169": (14307880, 12642880, 1664, "64dd34d0c194d755"),
    "DenseNet201": (20242984, 18321984, 1920, "0e5658c90c17b0c6"),
    "EfficientNetB0": (5330571, 4049571, 1280, "ef86ecb8833702ec"),
    "EfficientNetB1": (7856239, 6575239, 1280, "ad424d8e20c720e0"),
    "EfficientNetB2": (9177569, 7768569, 1408, "26fde40526f79912"),
    "EfficientNetB3": (12320535, 10783535, 1536, "b88c70703391bbd9"),
    "EfficientNetB4": (19466823, 17673823, 1792, "1492db5004b3ddb9"),
    "EfficientNetB5": (30562527, 28513527, 2048, "7d7f9650e304944b"),
    "EfficientNetB6": (43265143, 40960143, 2304, "dbd10796d35f7b2c"),
    "EfficientNetB7": (66658687, 64097687, 2560, "26d78b0dd7d90a5d"),
    "EfficientNetV2B0": (7200312, 5919312, 1280, "f3501c131d5ca6ee"),
    "EfficientNetV2B1": (8212124, 6931124, 1280, "6767c3e60325e1d4"),
    "EfficientNetV2B2": (10178374, 8769374, 1408, "8ff413f6c5ec77b5"),
    "EfficientNetV2B3": (14467622, 12930622, 1536, "625a7cd494c7d3ab"),
    "EfficientNetV2S": (21612360, 20331360, 1280, "97504fb25aa70064"),
    "EfficientNetV2M": (54431388, 53150388, 1280, "91f38d4d3fe9033f"),
    "EfficientNetV2L": (119027848, 117746848, 1280, "28fb67d4fc397143"),
    "ConvNeXtTiny": (28589128, 27820128, 768, "f0daef9697ad6643"),
    "ConvNeXtSmall": (50223688, 49454688, 768, "6397d060f8325aa9"),
    "ConvNeXtBase": (88591464, 87566464, 1024, "dfe3420bdf87dbd8"),
    "InceptionResNetV2": (55873736, 54336736, 1536, "7fd08e9af86731b6"),
    "NASNetMobile": (5326716, 4269716, 1056, "6d2e6fec8f2c440f"),
    "NASNetLarge": (88949818, 84916818, 4032, "bdb3299fd79ef304"),
}
DATA = Path(os.environ.get("FASTNN_DATA") or ".") / "weights" / "keras_h5"


def digest(model):
    text = "\n".join(f"{x.name} {[list(w.shape) for w in x.weights]}" for x in model.layers)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.fixture(autouse=True)
def fresh_names():
    fastnn.config.clear_session()


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_layers_and_weights_are_those_of_keras(name):
    with_top, without, channels, names = NETWORKS[name]
    model = getattr(applications, name)(weights=None)
    assert model.count_params() == with_top
    assert model.output_shape == (None, 1000)
    assert digest(model) == names
    del model
    body = getattr(applications, name)(weights=None, include_top=False, pooling="max")
    assert body.count_params() == without
    assert body.output_shape == (None, channels)


#: Keras 3.15.1 on JAX, with the weights of `drawn_weights`: the first features of the first of two
#: pictures and the sum of the absolute values of all.
ANSWERS = {
    "EfficientNetV2B0": ((1.2405, 1.4847, 1.1325, 1.3441), 983.816),
    "ConvNeXtTiny": ((0.7015, -0.2189, 1.0924, 1.6176), 1035.062),
}


def drawn_weights(model, rng):
    """Kernels that keep the size of what they get, and scales and variances above 0."""
    return [
        np.abs(rng.normal(0, 0.1, w.shape)) + 0.5
        if w.ndim == 1
        else rng.normal(0, 1 / np.sqrt(max(1, np.prod(w.shape[:-1]))), w.shape)
        if w.shape
        else w
        for w in model.get_weights()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ANSWERS)
def test_networks_give_the_features_that_keras_gives(name):
    model = getattr(applications, name)(
        weights=None, include_top=False, pooling="max", input_shape=(64, 64, 3)
    )
    rng = np.random.default_rng(0)
    model.set_weights(drawn_weights(model, rng))
    pictures = rng.uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    features = model.predict(pictures, verbose=0)
    first, total = ANSWERS[name]
    np.testing.assert_allclose(features[0, :4], first, atol=2e-3)
    assert np.abs(features).sum() == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("file", ["m.safetensors", "m.keras", "m.h5"])
def test_own_layers_of_networks_come_back_from_files(tmp_path, file):
    """Also where nothing has imported the network yet."""
    inputs = fastnn.Input((4,))
    scaled = applications.convnext.LayerScale(0.5, 4)(inputs)
    outputs = applications.inception_resnet_v2.CustomScaleLayer(0.2)([inputs, scaled])
    model = fastnn.Model(inputs, outputs)
    model.save(tmp_path / file)
    given = np.ones((2, 4), "float32")
    np.testing.assert_allclose(model.predict(given, verbose=0), 1.1, rtol=1e-6)
    program = (
        "import numpy as np, fastnn\n"
        f"model = fastnn.load_model({str(tmp_path / file)!r})\n"
        "print(model.predict(np.ones((2, 4), 'float32'), verbose=0).sum())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(8.8)


def test_squeezenet_has_two_versions():
    for version, count in (("1.0", 1_248_424), ("1.1", 1_235_496)):
        assert applications.SqueezeNet(weights=None, version=version).count_params() == count
    with pytest.raises(ValueError, match="hint"):
        applications.SqueezeNet(weights=None, version="2")


@pytest.mark.parametrize("name", ["MobileNetV2", "SqueezeNet", "ResNet50V2"])
def test_networks_answer_for_pictures_of_any_size(name):
    body = getattr(applications, name)(weights=None, include_top=False)
    for side in (64, 96):
        assert body.predict(np.zeros((1, side, side, 3)), verbose=0).shape[0] == 1


def test_a_network_starts_from_a_tensor_of_the_users():
    start = fastnn.Input((64, 64, 3))
    scaled = fastnn.layers.Rescaling(1 / 127.5, offset=-1)(start)
    model = applications.MobileNetV2(
        weights=None, include_top=False, pooling="avg", input_tensor=scaled
    )
    assert model.inputs[0] is start
    assert model.predict(np.zeros((1, 64, 64, 3)), verbose=0).shape == (1, 1280)


def test_weights_come_from_a_file_by_path(tmp_path):
    fastnn.utils.set_random_seed(0)
    one = applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3))
    x = np.random.default_rng(0).random((1, 32, 32, 3))
    for ending in ("weights.h5", "safetensors"):
        path = tmp_path / f"net.{ending}"
        one.save_weights(path)
        two = applications.MobileNetV2(weights=path, include_top=False, input_shape=(32, 32, 3))
        np.testing.assert_array_equal(two.predict(x, verbose=0), one.predict(x, verbose=0))
    with pytest.raises(ValueError, match="hint"):
        applications.MobileNet(weights=tmp_path / "net.weights.h5", include_top=False)


def test_published_weights_are_looked_for_and_named(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for make, file in (
        (lambda: applications.VGG16(), "vgg16_weights_tf_dim_ordering_tf_kernels.h5"),
        (
            lambda: applications.VGG16(include_top=False),
            "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        ),
        (lambda: applications.EfficientNetB0(), "efficientnetb0.h5"),
        (lambda: applications.EfficientNetV2S(), "efficientnetv2-s.h5"),
        (lambda: applications.ConvNeXtTiny(include_top=False), "convnext_tiny_notop.h5"),
        (lambda: applications.NASNetMobile(include_top=False), "nasnet_mobile_no_top.h5"),
        (
            lambda: applications.MobileNet(input_shape=(128, 128, 3), alpha=0.5),
            "mobilenet_5_0_128_tf.h5",
        ),
        (
            lambda: applications.MobileNetV3Small(include_top=False),
            "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
        ),
    ):
        with pytest.raises(fastnn.DataError) as caught:
            make()
        assert f"'{file}'" in str(caught.value)
        assert str(tmp_path) in str(caught.value)
        assert "nothing is downloaded" in str(caught.value)
    network = applications.SqueezeNet(weights=None, include_top=False)
    file = tmp_path / "cache/fastnn/models/squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5"
    file.parent.mkdir(parents=True)
    network.save_weights(tmp_path / "w.weights.h5")
    (tmp_path / "w.weights.h5").rename(file)
    applications.SqueezeNet(include_top=False)


def test_arguments_that_do_not_fit_are_answered():
    for make in (
        lambda: applications.ResNet50(weights="imagenet", classes=10),
        lambda: applications.ResNet50(weights="no such file"),
        lambda: applications.ResNet50(weights=None, pooling="sum"),
        lambda: applications.ResNet50(weights=None, input_shape=(224, 224)),
        lambda: applications.ResNet50(weights=None, input_shape=(16, 16, 3), include_top=False),
        lambda: applications.ResNet50(weights=None, input_shape=(None, None, 3)),
        lambda: applications.VGG16(weights=None, input_tensor=np.zeros(3)),
        lambda: applications.vgg16.preprocess_input("photo.jpg"),
        lambda: applications.vgg16.preprocess_input(np.array([["a"]])),
    ):
        with pytest.raises(ValueError, match="hint"):
            make()


def test_pixels_come_in_the_range_of_the_network():
    x = np.full((1, 2, 2, 3), (255.0, 0.0, 127.5), np.float32)
    blue_first = [127.5 - 103.939, 0 - 116.779, 255 - 123.68]
    np.testing.assert_allclose(
        applications.vgg16.preprocess_input(x)[0, 0, 0], blue_first, rtol=1e-6
    )
    np.testing.assert_allclose(applications.mobilenet.preprocess_input(x)[0, 0, 0], [1, -1, 0])
    np.testing.assert_allclose(
        applications.densenet.preprocess_input(x)[0, 0, 0],
        [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.5 - 0.406) / 0.225], rtol=1e-6,
    )  # fmt: skip
    np.testing.assert_array_equal(applications.efficientnet.preprocess_input(x), x)
    assert x[0, 0, 0, 0] == 255  # the array of the caller stays
    first = applications.vgg16.preprocess_input(np.moveaxis(x, -1, 1), "channels_first")
    np.testing.assert_allclose(first[0, :, 0, 0], blue_first, rtol=1e-6)
    tensor = applications.resnet50.preprocess_input(fastnn.tensor(x))
    np.testing.assert_allclose(tensor.numpy()[0, 0, 0], blue_first, rtol=1e-6)
    assert applications.vgg16.preprocess_input(x.astype(np.uint8)).dtype == np.float32
    with pytest.raises(ValueError, match="hint"):
        applications.vgg16.preprocess_input(np.zeros((2, 2, 1)))


def test_class_names_come_from_a_file(tmp_path, monkeypatch):
    from fastnn.applications.imagenet_utils import decode_predictions

    scores = np.array([[0.1, 0.7, 0.2]])
    names = tmp_path / "names.json"
    names.write_text('{"0": ["n0", "tench"], "1": ["n1", "daisy"], "2": ["n2", "tulip"]}')
    assert [(a, b) for a, b, _ in decode_predictions(scores, 2, names)[0]] == [
        ("n1", "daisy"),
        ("n2", "tulip"),
    ]
    names.write_text("tench\ndaisy")
    with pytest.raises(fastnn.DataError, match="2 classes"):
        decode_predictions(scores, 2, names)
    names.write_text('{"0": 1}')
    with pytest.raises(fastnn.FormatError, match="hint"):
        decode_predictions(scores, 2, names)
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    with pytest.raises(fastnn.DataError, match="imagenet_class_index"):
        decode_predictions(np.zeros((1, 1000)))
    with pytest.raises(fastnn.ShapeError, match="hint"):
        decode_predictions(scores)


@pytest.mark.skipif(not DATA.is_dir(), reason="the published files are not at hand")
def test_published_files_give_their_reference_values():
    reference = np.load(DATA / "squeezenet_notop.reference.npz")
    net = applications.SqueezeNet(include_top=False)
    x = applications.squeezenet.preprocess_input(reference["rgb_uint8_nhwc"])
    features = net.predict(x, verbose=0)
    scale = np.abs(reference["features_first"]).max()
    np.testing.assert_allclose(features[0], reference["features_first"], atol=1e-5 * scale)
    np.testing.assert_allclose(features.mean((1, 2)), reference["gap_features"], atol=1e-4)
    faces = fastnn.models.load_model(DATA / "fer2013_mini_XCEPTION.102-0.66.hdf5", compile=False)
    reference = np.load(DATA / "fer2013_mini_XCEPTION.reference.npz")
    assert faces.count_params() == 58_423
    found = faces.predict(reference["input_nhwc"], verbose=0)
    np.testing.assert_allclose(found, reference["probs"], atol=1e-5)
