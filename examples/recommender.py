"""Stars for films: two towers with genres against biased matrix factorisation, on MovieLens.

    python examples/recommender.py [FOLDER] [EPOCHS]

The folder holds `ratings.csv` and `movies.csv` of ml-latest-small (GroupLens: research use, see its
README.txt); without one it is looked for in $FASTNN_DATA/movielens-latest-small. The newest tenth
of each person's ratings is held back: errors are those of foretelling, not of filling in. Prints
the root of the mean squared error of both models, and of two answers that learn nothing.
Source of the data: Harper and Konstan 2015, "The MovieLens Datasets", ACM TiiS 5 (4).
"""

import csv
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

import fastnn
from fastnn import layers

#: Both models do better; the mean of each film, drawn to that of all, is 1.00 off.
GOAL = 0.93


def read(folder: Path) -> tuple[dict, np.ndarray]:
    """Columns of the ratings as numbers from 0, and each film's genres as zeros and ones."""
    with (folder / "ratings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    people = {name: i for i, name in enumerate(sorted({r["userId"] for r in rows}))}
    films = {name: i for i, name in enumerate(sorted({r["movieId"] for r in rows}))}
    ratings = {
        "person": np.array([people[r["userId"]] for r in rows], np.int32),
        "film": np.array([films[r["movieId"]] for r in rows], np.int32),
        "stars": np.array([r["rating"] for r in rows], np.float32),
        "time": np.array([r["timestamp"] for r in rows], np.int64),
    }
    with (folder / "movies.csv").open(newline="", encoding="utf-8") as file:
        kinds = {r["movieId"]: r["genres"].split("|") for r in csv.DictReader(file)}
    names = sorted({g for film in films for g in kinds[film]})
    genres = np.array([[g in kinds[film] for g in names] for film in films], np.float32)
    return ratings, genres


def newest(ratings: dict, share: float) -> np.ndarray:
    """True for the newest `share` of each person's ratings."""
    order = np.lexsort((ratings["time"], ratings["person"]))
    person = ratings["person"][order]
    counts = np.bincount(person)
    first = np.cumsum(counts) - counts
    place = np.arange(len(order)) - first[person]
    held = np.zeros(len(order), bool)
    held[order] = place >= counts[person] - np.round(share * counts[person])
    return held


def factors(people: int, films: int, mean: float, width: int = 16) -> fastnn.Model:
    """Mean + what the person adds + what the film adds + the product of their vectors."""
    person, film = (fastnn.Input((), dtype="int32", name=n) for n in ("person", "film"))

    def vector(size: int, of: int, source: Any) -> Any:
        start = "zeros" if size == 1 else "uniform"
        x = layers.Embedding(of, size, embeddings_initializer=start)(source)
        return layers.ActivityRegularization(l2=2e-5)(x)  # rare ones stay near the mean

    product = layers.Dot(axes=1)([vector(width, people, person), vector(width, films, film)])
    own = layers.Add()([vector(1, people, person), vector(1, films, film), product])
    return fastnn.Model([person, film], layers.Rescaling(1.0, offset=mean)(own))


def towers(people: int, genres: np.ndarray, mean: float, width: int = 32) -> fastnn.Model:
    """A network for the person and one for the film and its genres; their product is the answer."""
    person, film = (fastnn.Input((), dtype="int32", name=n) for n in ("person", "film"))
    kinds = layers.Embedding(*genres.shape, trainable=False, weights=[genres])(film)
    left = layers.Embedding(people, width)(person)
    right = layers.Concatenate()([layers.Embedding(len(genres), width)(film), kinds])
    ends = []
    for x in (left, right):
        x = layers.Dropout(0.3)(x)
        x = layers.Dense(64, activation="relu")(x)
        ends.append(layers.Dense(width)(layers.Dropout(0.3)(x)))
    own = [layers.Embedding(n, 1, embeddings_initializer="zeros")(x)
           for n, x in ((people, person), (len(genres), film))]  # fmt: skip
    out = layers.Add()([*own, layers.Dot(axes=1)(ends)])
    return fastnn.Model([person, film], layers.Rescaling(1.0, offset=mean)(out))


def error(told: np.ndarray, stars: np.ndarray) -> float:
    """The root of the mean squared error of answers between the fewest and the most stars."""
    return float(np.sqrt(np.mean((np.clip(told.reshape(-1), 0.5, 5.0) - stars) ** 2)))


def main(folder: str | None = None, epochs: int = 30) -> dict[str, float]:
    """Trains both models; prints and returns the errors on the ratings held back."""
    place = Path(folder or Path(os.environ.get("FASTNN_DATA", "."), "movielens-latest-small"))
    if not (place / "ratings.csv").exists():
        raise SystemExit(f"no ratings.csv in {place}: give its folder as an argument")
    ratings, genres = read(place)
    held = newest(ratings, 0.1)
    train, test = ({k: v[rows] for k, v in ratings.items()} for rows in (~held, held))
    tune = newest(train, 0.05)  # what says when to stop; the ratings held back are never looked at
    mean, people = float(train["stars"].mean()), int(ratings["person"].max()) + 1
    counts = np.bincount(train["film"], minlength=len(genres))
    sums = np.bincount(train["film"], train["stars"] - mean, minlength=len(genres))
    found = {
        "the mean of all": error(np.full(len(test["stars"]), mean), test["stars"]),
        "the film's mean": error(mean + (sums / (counts + 5))[test["film"]], test["stars"]),
    }
    for name, model in (
        ("factorisation", factors(people, len(genres), mean)),
        ("two towers", towers(people, genres, mean)),
    ):
        model.compile(fastnn.optimizers.Adam(2e-3), "mse")
        x, y = [train["person"], train["film"]], train["stars"]
        early = fastnn.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
        model.fit(
            [a[~tune] for a in x], y[~tune], batch_size=256, epochs=epochs, verbose=0,
            validation_data=([a[tune] for a in x], y[tune]), callbacks=[early],
        )  # fmt: skip
        told = model.predict([test["person"], test["film"]], batch_size=1024, verbose=0)
        found[name] = error(np.asarray(told), test["stars"])
    for name, value in found.items():
        print(f"{name:>16}: {value:.3f} stars off")
    return found


if __name__ == "__main__":
    fastnn.utils.set_random_seed(0)
    results = main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
    sys.exit(max(results["factorisation"], results["two towers"]) > GOAL)
