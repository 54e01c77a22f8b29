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


def loss_at(model, weights, batch, which, at, change):
    """The compiled model's loss in training, with one number of one weight changed."""
    moved = [w.copy() for w in weights]
    moved[which][at] += change
    restarted(model, moved)
    return float(np.ravel(model.train_on_batch(*batch))[0])


def excused(model, weights, batch, which, at, ours, theirs):
    """Whether a slope of their own loss is our gradient, not theirs, or the loss has a corner.

    Keras on PyTorch has other gradients than slopes where a row of attention sees no key at all.
    At a corner, such as a maximum of equal steps, no gradient is the slope.
    """
    gap = abs(ours - theirs)

    def sides(step):
        up, here, down = (
            loss_at(model, weights, batch, which, at, change) for change in (step, 0.0, -step)
        )
        return np.array([(up - here) / step, (here - down) / step])

    wide, near = sides(3e-2), sides(1e-2)
    found = [(9 * near.mean() - wide.mean()) / 8]  # what the square of the step adds taken off
    if gap > 1e-3:  # else shorter steps and single sides drown in rounding
        close_by = sides(1e-3)
        found += [*near, *close_by, close_by.mean()]
        bends = abs(near[0] - near[1]), abs(close_by[0] - close_by[1])
        # Of a smooth loss the second bend would be a tenth of the first.
        if min(bends) > 0.5 * gap and bends[1] > 0.5 * bends[0]:
            return True
    return any(abs(slope - ours) <= 0.2 * abs(slope - theirs) for slope in found)


def gradients(model, k, weights, batches):
    """For each batch the weights after a step of their gradients' size, and the loss."""
    model.compile(k.optimizers.SGD(1.0), "mse")
    for x, y in batches:
        restarted(model, weights)
        loss = float(np.ravel(model.train_on_batch(x, y))[0])
        yield model.get_weights(), loss


def comparable(models, libraries, weights, batches):
    """The batches whose gradients agree; not those where theirs are no slopes of their loss."""
    kept, every = [], []
    for model, k in zip(models, libraries, strict=True):
        every.append(list(gradients(model, k, weights, batches)))
    paths = [w.path for w in models[0].weights]
    for batch, (theirs, their_loss), (ours, our_loss) in zip(batches, *every, strict=True):
        close(our_loss, their_loss, 1e-5, "loss")
        if not np.isfinite(their_loss):  # such as the mean of a row that is padding alone
            continue
        sound = True
        for i, (path, start, a, b) in enumerate(zip(paths, weights, theirs, ours, strict=True)):
            try:
                close(b - start, a - start, 1e-4, f"gradient of {path}")
            except AssertionError:
                at = np.unravel_index(np.argmax(np.abs(a - b)), a.shape)
                slopes = start[at] - b[at], start[at] - a[at]
                if not excused(models[0], weights, batch, i, at, *slopes):
                    raise
                sound = False
        if sound:
            kept.append(batch)
    return kept


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
    batches = comparable(models, libraries, weights, batches[:1] if kept else batches)
    if kept or not batches:
        return
    paths = [w.path for w in models[0].weights]
    pairs = list(zip(models, libraries, strict=True))
    steps = [batches[i % len(batches)] for i in range(STEPS)]

    def run(model, k, start=weights):
        return trained(model, k, start, steps, lambda k: optimizer(k, seed))

    (theirs, their_losses), (ours, our_losses) = (run(m, k) for m, k in pairs)
    if jax and not np.all(np.isfinite(their_losses)):
        # JAX without its optimisations gives NaN for some nets.
        with optimized():
            theirs, their_losses = run(*pairs[0])
    if not jax:
        # Keras on PyTorch takes no step, nor weight decay, of weights that reach no loss.
        ours = [
            a if np.array_equal(a, w) else b for w, a, b in zip(weights, theirs, ours, strict=True)
        ]
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
