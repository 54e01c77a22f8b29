"""`fastnn.layers` loads a module of layers when one of them is asked for."""

import importlib

from fastnn import layers

#: What small programs have no use for, and what took longest to load.
UNUSED = (
    "fastnn.layers.rnn", "fastnn.layers.convolutional", "fastnn.layers.attention",
    "fastnn.layers.image", "fastnn.layers.table", "fastnn.tensorflow.functions", "numpy.ma",
    "fastnn.ops.image", "fastnn.ops.nn", "fastnn.ops.control", "fastnn.metrics.confusion",
    "fastnn.callbacks.recording", "fastnn.models.table", "fastnn.files.native",
    "fastnn.devices.hardware",
    "difflib", "logging", "hashlib", "sysconfig", "zipfile", "csv", "html",
)  # fmt: skip


def test_a_dense_net_is_trained_without_what_it_does_not_use(run_python):
    loaded = run_python(
        "import sys, numpy\n"
        "before = set(sys.modules)\n"
        "import fastnn as tf\n"
        "x = numpy.arange(5)\n"
        "model = tf.keras.Sequential([tf.keras.layers.Dense(units=1, input_shape=[1])])\n"
        "model.compile(optimizer='sgd', loss='mean_squared_error')\n"
        "model.fit(x, 2 * x, epochs=2, verbose=0)\n"
        "model.predict(x, verbose=0)\n"
        "print('\\n'.join(set(sys.modules) - before))\n"
    ).split()
    assert not set(loaded) & set(UNUSED)


def test_every_layer_is_in_the_module_that_the_table_says():
    listed = [name for names in layers.MODULES.values() for name in names.split()]
    assert sorted([*listed, "InputSpec", "Layer"]) == sorted(layers.__all__)
    for name, names in layers.MODULES.items():
        module = importlib.import_module(f"fastnn.layers.{name}")
        for name in names.split():
            assert name in module.__all__
            assert getattr(layers, name) is getattr(module, name)


def test_names_that_are_not_loaded_yet_are_listed_and_found(run_python):
    answer = run_python(
        "import fastnn\n"
        "from fastnn.layers import transformer, LSTM\n"
        "print('GRU' in dir(fastnn.layers), fastnn.layers.rnn.LSTM is LSTM)\n"
        "from fastnn.keras.layers import *\n"
        "print(Conv2D is fastnn.layers.Conv2D)\n"
    )
    assert answer.split() == ["True"] * 3


def test_a_layer_of_a_config_is_found_before_anybody_asked_for_its_module(run_python):
    answer = run_python(
        "import fastnn\n"
        "config = {'class_name': 'LSTM', 'config': {'units': 3}}\n"
        "print(fastnn.layers.deserialize(config).units)\n"
    )
    assert answer.strip() == "3"


def test_a_name_of_a_module_that_is_not_loaded_is_named_for_a_wrong_module(run_python):
    answer = run_python(
        "import fastnn\n"
        "fastnn.layers.Dense\n"
        "try:\n"
        "    fastnn.losses.Conv2D\n"
        "except AttributeError as error:\n"
        "    print(error)\n"
    )
    assert "it is fastnn.layers.Conv2D" in answer


def test_a_layer_is_written_by_its_public_name_before_all_are_loaded(run_python):
    answer = run_python(
        "import fastnn\n"
        "print(fastnn.saving.serialize_keras_object(fastnn.layers.Dense(2))['module'])\n"
    )
    assert answer.strip() == "keras.layers"
