"""Callbacks that report to other programs: pruning by Optuna, logs for MLflow and W&B."""

import sys
import threading
import warnings

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, layers


def build(rate=0.01, metrics=()):
    model = fastnn.Sequential([fastnn.Input((10,)), layers.Dense(8, "relu"), layers.Dense(1)])
    model.compile(fastnn.optimizers.Adam(rate), "mse", metrics=list(metrics))
    return model


@pytest.fixture
def data(rng):
    x = rng.normal(size=(200, 10)).astype("float32")
    return x, x.sum(1)


# ---- Optuna --------------------------------------------------------------------------------------


@pytest.fixture
def optuna():
    found = pytest.importorskip("optuna", reason="needs the `tune` extra")
    found.logging.set_verbosity(found.logging.WARNING)
    return found


def search(optuna, data, trials=20):
    x, y = data
    epochs = {}

    def objective(trial):
        rate = trial.suggest_float("rate", 1e-5, 1e-1, log=True)
        with fastnn.random.seed_scope(trial.number):
            model = build(rate)
            prune = callbacks.OptunaPruning(trial)
            try:
                run = model.fit(
                    x, y, validation_split=0.25, epochs=10, verbose=0, callbacks=[prune]
                )
            finally:
                epochs[trial.number] = len(model.history.epoch)
        return run.history["val_loss"][-1]

    study = optuna.create_study(
        direction="minimize",
        sampler=optuna.samplers.RandomSampler(seed=1),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
    )
    study.optimize(objective, n_trials=trials)
    return study, epochs


def test_hopeless_trials_end_early_and_a_search_is_the_same_again(optuna, data):
    study, epochs = search(optuna, data)
    pruned = [t for t in study.trials if t.state.name == "PRUNED"]
    assert len(pruned) >= 0.3 * len(study.trials)
    assert all(epochs[t.number] < 10 for t in pruned)
    assert all(epochs[t.number] == 10 for t in study.trials if t not in pruned)
    again, _ = search(optuna, data)
    assert [t.params for t in again.trials] == [t.params for t in study.trials]
    assert [t.intermediate_values for t in again.trials] == [
        t.intermediate_values for t in study.trials
    ]


def test_a_callback_of_ones_own_prunes_in_several_threads(optuna, data):
    x, y = data
    lock, seen = threading.Lock(), []

    def objective(trial):
        class Prune(callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                trial.report(logs["val_loss"], epoch)
                if trial.should_prune():
                    raise optuna.TrialPruned

        model = build(trial.suggest_float("rate", 1e-4, 1e-1, log=True))
        with lock:
            seen.append(trial.number)
        model.fit(x, y, validation_split=0.25, epochs=4, verbose=0, callbacks=[Prune()])
        return model.evaluate(x, y, verbose=0)

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=8, n_jobs=2)
    assert sorted(seen) == list(range(8))
    assert all(t.state.name in ("COMPLETE", "PRUNED") for t in study.trials)


def test_pruning_that_would_end_the_best_trials_is_refused(optuna, data):
    def fit(study, monitor, metrics=()):
        trial = study.ask()
        build(metrics=metrics).fit(
            *data, verbose=0, callbacks=[callbacks.OptunaPruning(trial, monitor)]
        )

    up, down = (optuna.create_study(direction=d) for d in ("maximize", "minimize"))
    fit(down, "loss")
    fit(up, "r2_score", ["r2_score"])
    with pytest.raises(ValueError, match="create_study\\(direction='minimize'\\)"):
        fit(up, "loss")
    with pytest.raises(ValueError, match="create_study\\(direction='maximize'\\)"):
        fit(down, "r2_score", ["r2_score"])
    with pytest.raises(ValueError, match="several objectives"):
        fit(optuna.create_study(directions=["minimize", "minimize"]), "loss")
    with pytest.warns(UserWarning, match=r"not among the logs: loss"):
        fit(down, "val_loss")


def test_a_fixed_trial_is_never_pruned(optuna, data):
    trial = optuna.trial.FixedTrial({})
    run = build().fit(
        *data, epochs=3, verbose=0, callbacks=[callbacks.OptunaPruning(trial, "loss")]
    )
    assert len(run.epoch) == 3


# ---- trackers ------------------------------------------------------------------------------------


def test_mlflow_gets_settings_values_and_the_model(data, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow = pytest.importorskip("mlflow", reason="needs the `tracking` extra")
        mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
        model = build()
        logger = callbacks.MLflowLogger({"width": 8}, log_model=True)
        run = model.fit(*data, validation_split=0.2, epochs=3, verbose=0, callbacks=[logger])
        assert mlflow.active_run() is None
        kept = mlflow.last_active_run()
        client = mlflow.tracking.MlflowClient()
        for name, values in run.history.items():
            found = client.get_metric_history(kept.info.run_id, name)
            assert [m.value for m in sorted(found, key=lambda m: m.step)] == values
        assert kept.data.params["width"] == "8"
        assert kept.data.params["optimizer"] == "Adam"
        assert float(kept.data.params["learning_rate"]) == pytest.approx(0.01)
        assert [a.path for a in client.list_artifacts(kept.info.run_id)] == ["model.safetensors"]
        with mlflow.start_run() as mine:
            model.fit(*data, verbose=0, callbacks=[callbacks.MLflowLogger()])
            assert mlflow.active_run().info.run_id == mine.info.run_id


def test_wandb_gets_settings_and_values(data, monkeypatch):
    """Against the few calls of wandb that are used: its own process is no part of a test."""
    calls = []

    class Run:
        config = {}  # noqa: RUF012

        def log(self, row):
            calls.append(row)

        def finish(self):
            calls.append("finished")

    class Wandb:
        run = None

        @staticmethod
        def init(**given):
            calls.append(given)
            return Run()

    monkeypatch.setitem(sys.modules, "wandb", Wandb)
    logger = callbacks.WandbLogger({"width": 8}, project="p", mode="offline")
    run = build().fit(*data, epochs=2, verbose=0, callbacks=[logger])
    assert calls[0] == {"project": "p", "mode": "offline"}
    assert [c["loss"] for c in calls[1:3]] == run.history["loss"]
    assert calls[3:] == ["finished"]
    assert Run.config["width"] == 8
    assert Run.config["loss"] == "mse"
    mine = Wandb.run = Run()
    build().fit(*data, verbose=0, callbacks=[callbacks.WandbLogger()])
    assert calls[-1] != "finished"
    assert mine is Wandb.run


def test_a_misspelt_argument_of_wandb_is_refused_before_the_training(monkeypatch):
    class Wandb:
        @staticmethod
        def init(project=None, mode=None):
            raise AssertionError("no run is begun")

    monkeypatch.setitem(sys.modules, "wandb", Wandb)
    with pytest.raises(TypeError, match=r"WandbLogger got .* 'projct'\n  hint: .* `project`"):
        callbacks.WandbLogger(projct="p")


@pytest.mark.slow
def test_wandb_itself_takes_them_offline(data, tmp_path, run_python):
    pytest.importorskip("wandb", reason="needs the `tracking` extra")
    program = """
import sys, fastnn
model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
model.compile("sgd", "mse")
logger = fastnn.callbacks.WandbLogger(project="p", mode="offline", dir=sys.argv[1])
model.fit([[1.0]], [1.0], epochs=2, verbose=0, callbacks=[logger])
"""
    run_python(program, str(tmp_path), WANDB_SILENT="true")
    assert list(tmp_path.rglob("*.wandb"))


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("OptunaPruning", "optuna", "tune"), ("MLflowLogger", "mlflow", "tracking"),
     ("WandbLogger", "wandb", "tracking")],
)  # fmt: skip
def test_an_absent_library_is_named_with_its_extra(name, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    given = (np,) if name == "OptunaPruning" else ()
    with pytest.raises(ImportError, match=rf"fastnn-rs\[{extra}\]"):
        getattr(callbacks, name)(*given)
