"""Searches widths, learning rate and dropout with Optuna; hopeless trials end after a few epochs.

The same seed gives the same search again, bit for bit: Optuna's sampler is seeded, and each trial
trains under a seed of its own.
"""

import numpy as np
import optuna

import fastnn
from fastnn import layers


def data() -> tuple:
    """Digits that ship with fastnn: to train on, to choose by, to test the choice."""
    (x, y), test = fastnn.datasets.digits.load_data()
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].reshape(-1, 64) / 16.0, y[order]
    return (x[300:], y[300:]), (x[:300], y[:300]), (test[0].reshape(-1, 64) / 16.0, test[1])


def build(trial: optuna.Trial) -> fastnn.Model:
    """The network that a trial describes."""
    model = fastnn.Sequential([fastnn.Input((64,))])
    for depth in range(trial.suggest_int("depth", 1, 2)):
        model.add(layers.Dense(trial.suggest_int(f"width_{depth}", 8, 64, log=True), "relu"))
    model.add(layers.Dropout(trial.suggest_float("dropout", 0.0, 0.5)))
    model.add(layers.Dense(10, "softmax"))
    rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    model.compile(
        fastnn.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def main(trials: int = 20, epochs: int = 12, seed: int = 0) -> optuna.Study:
    """Searches, and tests the best network on digits that the search has not seen."""
    train, chosen_by, test = data()

    def objective(trial: optuna.Trial) -> float:
        with fastnn.random.seed_scope(1000 * seed + trial.number):
            model = build(trial)
            prune = fastnn.callbacks.OptunaPruning(trial, monitor="val_accuracy")
            run = model.fit(
                *train, validation_data=chosen_by, epochs=epochs, verbose=0, callbacks=[prune]
            )
            return run.history["val_accuracy"][-1]

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
    )
    study.optimize(objective, n_trials=trials)
    pruned = sum(t.state.name == "PRUNED" for t in study.trials)
    print(f"{pruned} of {trials} trials were given up early")
    print(f"best: {study.best_value:.1%} with {study.best_params}")

    with fastnn.random.seed_scope(1000 * seed + study.best_trial.number):
        model = build(optuna.trial.FixedTrial(study.best_params))
        model.fit(*train, epochs=epochs, verbose=0)
    accuracy = model.evaluate(*test, verbose=0, return_dict=True)["accuracy"]
    print(f"test: {accuracy:.1%}")
    study.set_user_attr("test_accuracy", accuracy)
    return study


if __name__ == "__main__":
    main()
