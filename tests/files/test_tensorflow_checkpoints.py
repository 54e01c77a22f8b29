"""`tf.train.Checkpoint`: values come back, also those of variables that are made later."""

import os

import numpy as np
import pytest

import fastnn as tf


class Net(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = tf.keras.layers.Dense(4, "relu")
        self.out = tf.keras.layers.Dense(1)

    def call(self, x):
        return self.out(self.hidden(x))


X = np.linspace(-1, 1, 12, dtype="float32").reshape(6, 2)


def trained(net, optimizer, step, times):
    for _ in range(times):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(net(X) - 1.0))
        grads = tape.gradient(loss, net.trainable_variables)
        optimizer.apply_gradients(zip(grads, net.trainable_variables, strict=True))
        step.assign_add(1)


def parts():
    return {"net": Net(), "optimizer": tf.optimizers.Adam(0.1), "step": tf.Variable(0)}


def test_a_run_goes_on_to_the_bit_though_nothing_is_built_when_it_is_restored(tmp_path):
    one = parts()
    trained(*one.values(), 3)
    path = tf.train.Checkpoint(**one).save(tmp_path / "ckpt")
    assert path == str(tmp_path / "ckpt-1")
    trained(*one.values(), 2)

    other = parts()
    status = tf.train.Checkpoint(**other).restore(tf.train.latest_checkpoint(tmp_path))
    with pytest.raises(tf.FormatError, match=r"no variable is there yet.*\n  hint"):
        status.assert_consumed()
    assert int(other["step"]) == 3
    trained(*other.values(), 2)
    status.assert_consumed().assert_existing_objects_matched()
    assert int(other["optimizer"].iterations) == 5
    for a, b in zip(one["net"].get_weights(), other["net"].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_compiled_step_goes_on_as_well(tmp_path):
    one = parts()
    trained(*one.values(), 3)
    path = tf.train.Checkpoint(**one).write(tmp_path / "w")
    other = parts()
    tf.train.Checkpoint(**other).read(path)
    trained(*one.values(), 1)

    @tf.function
    def step(net, optimizer):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(net(X) - 1.0))
        grads = tape.gradient(loss, net.trainable_variables)
        optimizer.apply_gradients(zip(grads, net.trainable_variables, strict=True))

    step(other["net"], other["optimizer"])
    for a, b in zip(one["net"].get_weights(), other["net"].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_the_manager_keeps_the_last_few_and_finds_them_again(tmp_path):
    step = tf.Variable(0)
    ckpt = tf.train.Checkpoint(step=step)
    manager = tf.train.CheckpointManager(ckpt, tmp_path, max_to_keep=2)
    assert manager.latest_checkpoint is None
    assert manager.restore_or_initialize() is None
    ckpt.restore(manager.latest_checkpoint)  # nothing yet, as TensorFlow has it
    for _ in range(3):
        step.assign_add(10)
        manager.save()
    names = ["ckpt-2", "ckpt-3"]
    assert [os.path.basename(p) for p in manager.checkpoints] == names
    assert sorted(os.listdir(tmp_path)) == ["checkpoint", *(f"{n}.safetensors" for n in names)]

    again = tf.train.Checkpoint(step=tf.Variable(0))
    manager = tf.train.CheckpointManager(again, str(tmp_path), max_to_keep=2)
    assert manager.restore_or_initialize() == manager.latest_checkpoint
    assert int(again.step) == 30
    assert os.path.basename(manager.save()) == "ckpt-4"
    assert tf.train.list_variables(tmp_path) == [("save_counter", []), ("step", [])]
    assert int(tf.train.load_variable(tmp_path, "step")) == 30


def test_an_interval_skips_checkpoints(tmp_path):
    step = tf.Variable(0)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(step=step), tmp_path, None, step_counter=step, checkpoint_interval=5
    )
    saved = []
    for _ in range(10):
        saved.append(manager.save() is not None)
        step.assign_add(1)
    assert saved == [True, False, False, False, False] * 2


def test_a_part_of_a_model_is_restored_alone(tmp_path):
    net = Net()
    net(X)
    tf.train.Checkpoint(model=net).write(tmp_path / "w")
    hidden = tf.keras.layers.Dense(4)
    hidden.build((None, 2))
    other = Net()
    other.hidden = hidden
    status = tf.train.Checkpoint(model=other).read(tmp_path / "w").expect_partial()
    status.assert_existing_objects_matched()
    np.testing.assert_array_equal(hidden.get_weights()[0], net.hidden.get_weights()[0])


def test_what_a_checkpoint_cannot_keep_or_read_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"n is int.*\n  hint: tf.Variable"):
        tf.train.Checkpoint(n=3)
    with pytest.raises(ValueError, match=r"\n  hint: leave it out"):
        tf.train.Checkpoint(data=iter(tf.data.Dataset.range(3)))
    ckpt = tf.train.Checkpoint(v=tf.Variable([1.0]))
    with pytest.raises(FileNotFoundError, match=r"no checkpoint.*\n  hint"):
        ckpt.restore(str(tmp_path / "ckpt-1"))
    (tmp_path / "theirs.index").write_bytes(b"")
    with pytest.raises(tf.FormatError, match=r"of TensorFlow's.*\n  hint"):
        ckpt.restore(str(tmp_path / "theirs"))
    path = ckpt.save(tmp_path / "c")
    with pytest.raises(tf.FormatError, match=r"shape \(1,\).*\n  hint"):
        tf.train.Checkpoint(v=tf.Variable([1.0, 2.0])).restore(path)
    with pytest.raises(tf.FormatError, match=r"nothing for w\n  hint"):
        tf.train.Checkpoint(w=tf.Variable(1.0)).restore(path).assert_existing_objects_matched()
    with pytest.raises(AttributeError, match=r"TFRecord.*\n  hint"):
        _ = tf.train.Example
