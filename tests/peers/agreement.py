"""Two models with the same weights give the same: outputs, gradients, weights after steps."""

import contextlib

import numpy as np

__all__ = ["STEPS", "assert_agree", "with_same_weights"]

STEPS = 20


def with_same_weights(theirs, ours, seed):
    """Give both models the same random weights; moving variances stay positive."""
    rng = np.random.default_rng(seed + 1000)
    shapes = [w.shape for w in theirs.get_weights()]
    assert [w.shape for w in ours.get_weights()] == shapes, "the weights have other shapes"
    values = []
    for variable, shape in zip(theirs.weights, shapes, strict=True):
        value = rng.normal(size=shape) * 0.4
        if "variance" in variable.path:
            value = 0.5 + np.abs(value)
        elif "gamma" in variable.path or "scale" in variable.path:
            value = 1.0 + value
        values.append(value.astype("float32"))
    theirs.set_weights(values)
    ours.set_weights(values)
    return values


def close(got, wanted, within, what):
    """Within the tolerance of the largest size among them, at least of one."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert got.shape == wanted.shape, f"{what}: got {got.shape}, wanted {wanted.shape}"
    size = max(1.0, float(np.max(np.abs(wanted), initial=0.0)))
    np.testing.assert_allclose(got / size, wanted / size, rtol=0, atol=within, err_msg=what)


def restarted(model, weights):
    model.set_weights(weights)
    for layer in model.layers:
        if getattr(layer, "stateful", False):
            layer.reset_state()


def optimizer(k, seed):
    """An optimiser of the library; roots are kept from zero, where noise would decide."""
    return (
        lambda: k.optimizers.SGD(0.02, momentum=0.9, clipnorm=1.0),
        lambda: k.optimizers.SGD(0.02, momentum=0.5, nesterov=True, clipnorm=1.0),
        lambda: k.optimizers.Adam(0.01, epsilon=1e-2),
        lambda: k.optimizers.AdamW(0.01, epsilon=1e-2, weight_decay=0.02),
        lambda: k.optimizers.RMSprop(0.005, epsilon=1e-2),
        lambda: k.optimizers.Adagrad(0.05, epsilon=1e-2),
        lambda: k.optimizers.Adam(0.01, epsilon=1e-2, clipnorm=0.5),
    )[seed % 7]()


@contextlib.contextmanager
def optimized():
    """JAX compiles as it does for users inside."""
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


def trained(model, k, weights, batches, make):
    """Weights, states of layers and losses after a step with each of the batches."""
    restarted(model, weights)
    model.compile(make(k), "mse")
    losses = [float(np.ravel(model.train_on_batch(x, y))[0]) for x, y in batches]
    return model.get_weights(), losses


def slope_of(model, weights, batch, which, at, step=1e-2):
    """The slope of the model's mean squared error along one number of one weight.

    PyTorch's attention has other gradients than slopes where a row sees no key at all.
    """
    losses = []
    for change in (step, -step):
        moved = [w.copy() for w in weights]
        moved[which][at] += change
        restarted(model, moved)
        out = np.asarray(model.predict_on_batch(batch[0]), "float64")
        losses.append(np.mean((out - batch[1]) ** 2))
    return (losses[0] - losses[1]) / (2 * step)


def assert_agree(libraries, models, weights, batches, seed):
    """Outputs to 1e-5, gradients to 1e-4, weights after `STEPS` steps to 1e-3; theirs are first.

    Layers that keep their states keep them over the batches, without gradients; weights include
    moving statistics.
    """
    kinds = {type(layer).__name__ for layer in models[0].layers}
    kept = any(getattr(layer, "stateful", False) for layer in models[0].layers)
    jax = libraries[0].backend.backend() == "jax"
    for x, _ in batches:
        # Keras on JAX forgets the states of layers between compiled calls.
        theirs = models[0](x) if kept and jax else models[0].predict_on_batch(x)
        close(models[1].predict_on_batch(x), theirs, 1e-5, "outputs")
    if kept and not jax:
        return  # Keras on PyTorch takes no gradients past states that it assigns
    if jax and "SpectralNormalization" in kinds:
        return  # on JAX Keras takes gradients through the norm, elsewhere not
    paths = [w.path for w in models[0].weights]
    pairs = list(zip(models, libraries, strict=True))
    (theirs, their_losses), (ours, our_losses) = (
        trained(m, k, weights, batches[:1], lambda k: k.optimizers.SGD(1.0)) for m, k in pairs
    )
    close(our_losses, their_losses, 1e-5, "loss")
    for i, (path, start, a, b) in enumerate(zip(paths, weights, theirs, ours, strict=True)):
        try:
            close(b - start, a - start, 1e-4, f"gradient of {path}")
        except AssertionError:
            at = np.unravel_index(np.argmax(np.abs(a - b)), a.shape)
            slope = slope_of(models[0], weights, batches[0], i, at)
            if abs(start[at] - b[at] - slope) > 0.02 * abs(a[at] - b[at]):
                raise
            return  # theirs is not the slope of their own loss, ours is
    if kept:
        return
    steps = [batches[i % len(batches)] for i in range(STEPS)]

    def run(model, k, start=weights):
        return trained(model, k, start, steps, lambda k: optimizer(k, seed))

    (theirs, their_losses), (ours, our_losses) = (run(m, k) for m, k in pairs)
    if jax and not np.all(np.isfinite(their_losses)):
        # JAX without its optimisations gives NaN for some nets.
        with optimized():
            theirs, their_losses = run(*pairs[0])
    names = ["losses", *(f"{path} after {STEPS} steps" for path in paths)]
    wanted, got = [their_losses, *theirs], [our_losses, *ours]
    try:
        for name, a, b in zip(names, wanted, got, strict=True):
            close(b, a, 1e-3, name)
    except AssertionError:
        # A net that magnifies rounding does so in theirs alone as well.
        nearby, near_losses = run(*pairs[0], [w * np.float32(1 + 1e-6) for w in weights])
        for name, a, b, c in zip(names, wanted, got, [near_losses, *nearby], strict=True):
            drift = float(np.max(np.abs(np.asarray(a) - np.asarray(c)), initial=0.0))
            close(b, a, max(1e-3, 10 * drift), name)
