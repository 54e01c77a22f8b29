"""Functions without layers: logistic regression by Newton's method, compiled with `jit`."""

import numpy as np

import fastnn
from fastnn import ops


def loss(weights, x, y):
    """Mean cross-entropy of labels 0 and 1, with a small penalty that keeps it well-posed."""
    logits = ops.matmul(x, weights)
    cross = ops.relu(logits) - logits * y + ops.log1p(ops.exp(-ops.abs(logits)))
    return ops.mean(cross) + 1e-3 * ops.sum(ops.square(weights))


@fastnn.jit
def newton(weights, x, y):
    """One step: the gradient by `grad`, the matrix of second derivatives in closed form."""
    gradient = fastnn.grad(loss)(weights, x, y)
    chance = ops.sigmoid(ops.matmul(x, weights))
    curve = ops.expand_dims(chance * (1 - chance), -1) * x / x.shape[0]
    hessian = ops.matmul(ops.transpose(x), curve) + 2e-3 * ops.eye(x.shape[1])
    step = ops.solve(hessian, ops.expand_dims(gradient, -1))
    return weights - ops.squeeze(step, -1)


def features(images: np.ndarray) -> np.ndarray:
    """Sums of 16 blocks of 2 by 2 pixels, and a one for the intercept."""
    blocks = images.reshape(-1, 4, 2, 4, 2).sum(axis=(2, 4)).reshape(-1, 16) / 16
    return np.hstack([blocks, np.ones((len(blocks), 1))]).astype("float32")


def main(steps: int = 8) -> float:
    """Tell zeros from the other digits; gives the accuracy on the test images."""
    (images, digits), (test_images, test_digits) = fastnn.datasets.digits.load_data()
    x, y = features(images), (digits == 0).astype("float32")
    weights = np.zeros(x.shape[1], "float32")
    for number in range(steps):
        weights = newton(weights, x, y)
        print(f"step {number + 1}: loss {float(loss(weights, x, y)):.5f}")
    found = np.asarray(ops.matmul(features(test_images), weights)) > 0
    accuracy = float((found == (test_digits == 0)).mean())
    print(f"test accuracy {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    main()
