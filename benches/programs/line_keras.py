"""Article 000 without its plot in Keras, as a whole process."""

import keras
import numpy as np

x = np.array([1, 2, 3, 4, 5])
y = np.array([2, 4, 6, 8, 10])
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(units=1)])
model.compile(optimizer="sgd", loss="mean_squared_error")
model.fit(x, y, epochs=100, verbose=0)
loss = model.evaluate(x, y, verbose=0)
predictions = model.predict(x, verbose=0)
assert loss < 1
assert predictions.shape == (5, 1)
