"""Random convolutional nets in one, two and three dimensions, the same in either library.

`drawn(k, seed)` gives the model built of `k`'s layers; every draw depends on the seed alone.
"""

import numpy as np

from .sequence_nets import SMOOTH, TORCH, Draw

__all__ = ["drawn", "given"]

BATCH = 3
SIDES = {1: (7, 10), 2: (5, 8), 3: (4, 5)}


class Net:
    """A net under way: what it has grown to, its rank, its data format."""

    def __init__(self, k, d):
        self.k, self.d = k, d
        self.rank = d.among(1, 2, 2, 2, 3)
        self.first = d.chance(0.3)
        self.format = {"data_format": "channels_first" if self.first else "channels_last"}
        room = [d.whole(*SIDES[self.rank]) for _ in range(self.rank)]
        channels = d.whole(1, 4)
        self.shape = (channels, *room) if self.first else (*room, channels)
        self.inputs = k.Input(self.shape, batch_size=BATCH)
        self.x = self.inputs

    @property
    def room(self):
        sizes = tuple(self.x.shape)
        return sizes[2:] if self.first else sizes[1:-1]

    @property
    def channels(self):
        return self.x.shape[1] if self.first else self.x.shape[-1]

    def layer(self, name, *args, **settings):
        """A layer of the net's rank and data format."""
        made = getattr(self.k.layers, f"{name}{self.rank}D")
        if name == "Cropping" and self.rank == 1:
            return made(*args, **settings)
        return made(*args, **settings, **self.format)

    def sizes(self, most):
        """One size for all dimensions, or one for each; none larger than there is room for."""
        d = self.d
        if d.chance(0.5):
            return d.whole(1, min(most, *self.room))
        return tuple(d.whole(1, min(most, n)) for n in self.room)

    def window(self, kinds=("valid", "same"), dilation=True):
        """Kernel, strides, dilation and padding that fit together."""
        d = self.d
        padding = d.among(*kinds)
        settings = {"kernel_size": self.sizes(3), "padding": padding}
        if d.chance(0.35):
            settings["strides"] = d.whole(2, 3)
        elif dilation and d.chance(0.3):
            settings["dilation_rate"] = 2
            if padding == "valid":
                settings["kernel_size"] = min(2, *((n + 1) // 2 for n in self.room))
        return settings

    def convolution(self):
        d = self.d
        kinds = ("valid", "same", "causal") if self.rank == 1 and not self.first else (
            "valid", "same")  # fmt: skip
        settings = self.window(kinds) | {"use_bias": d.chance(0.8), "activation": self.smooth()}
        groups = d.among(1, 1, *(g for g in (2, 3, 4) if self.channels % g == 0))
        return self.layer("Conv", groups * d.whole(1, 2), groups=groups, **settings)

    def transposed(self):
        settings = self.window(dilation=False) | {"use_bias": self.d.chance(0.8)}
        return self.layer("Conv", self.d.whole(1, 3), **settings) if max(self.room) > 12 else (
            getattr(self.k.layers, f"Conv{self.rank}DTranspose")(
                self.d.whole(1, 3), **settings, **self.format)
        )  # fmt: skip

    def depthwise(self, name):
        settings = self.window() | {"depth_multiplier": self.d.whole(1, 2)}
        if isinstance(settings.get("strides"), int) and isinstance(settings["kernel_size"], tuple):
            settings["kernel_size"] = max(settings["kernel_size"])
            settings["kernel_size"] = min(settings["kernel_size"], *self.room)
        if name == "SeparableConv":
            return self.layer(name, self.d.whole(1, 4), activation=self.smooth(), **settings)
        return self.layer(name, activation=self.smooth(), **settings)

    def smooth(self):
        return self.d.among(*SMOOTH)

    def pooling(self):
        d = self.d
        kind, padding = d.among("MaxPooling", "AveragePooling"), d.among("valid", "same")
        # Keras on PyTorch pads average pooling in a way of its own.
        settings = {"padding": "valid" if TORCH and kind == "AveragePooling" else padding}
        if d.chance(0.4):
            settings["strides"] = d.whole(1, 3)
        return self.layer(kind, self.sizes(3), **settings)

    def adaptive(self):
        sizes = tuple(self.d.whole(1, n) for n in self.room)
        name = self.d.among("AdaptiveAveragePooling", "AdaptiveMaxPooling")
        return self.layer(name, sizes if self.rank > 1 else sizes[0])

    def norm(self):
        d, L = self.d, self.k.layers
        axis = 1 if self.first else -1
        kind = d.among("batch", "layer", "group", "unit", "rms")
        if kind == "batch":
            return L.BatchNormalization(
                axis=axis, momentum=d.among(0.5, 0.9), scale=d.chance(0.8), center=d.chance(0.8)
            )
        if kind == "layer":
            every = tuple(range(1, self.rank + 2))
            axes = every if self.first else d.among(axis, every)  # PyTorch's takes no inner axis
            return L.LayerNormalization(axis=axes, scale=d.chance(0.8), epsilon=1e-2)
        if kind == "group":
            groups = d.among(*(g for g in (1, 2, 3, 4, -1) if self.channels % g == 0))
            return L.GroupNormalization(groups, axis=axis, epsilon=1e-2)
        return L.UnitNormalization(axis=axis) if kind == "unit" else L.RMSNormalization()

    def spectral(self):
        layer = self.layer("Conv", self.d.whole(1, 3), self.sizes(2))
        times = self.d.whole(1, 2)
        if not TORCH:  # on JAX Keras takes gradients through the norm, elsewhere not
            return layer
        return self.k.layers.SpectralNormalization(layer, power_iterations=times)

    def resized(self):
        d = self.d
        if self.rank == 2 and d.chance(0.5):
            return self.k.layers.Resizing(
                d.whole(2, 8), d.whole(2, 8),
                interpolation=d.among("nearest", "bilinear", *([] if TORCH else ["bicubic"])),
                **self.format,
            )  # fmt: skip
        if self.rank == 1:
            return self.k.layers.UpSampling1D(2)
        kinds = ("nearest", "bilinear") if self.rank == 2 else ("nearest",)
        settings = {} if self.rank == 3 else {"interpolation": d.among(*kinds)}
        return self.layer("UpSampling", d.whole(1, 2), **settings)

    def bordered(self):
        d = self.d
        both = tuple((d.whole(0, 2), d.whole(0, 2)) for _ in range(self.rank))
        if d.chance(0.6):
            return self.layer("ZeroPadding", both if self.rank > 1 else both[0])
        cut = tuple((d.whole(0, (n - 1) // 2), d.whole(0, (n - 1) // 2)) for n in self.room)
        return self.layer("Cropping", cut if self.rank > 1 else cut[0])

    def activation(self):
        L, d = self.k.layers, self.d
        axes = tuple(range(1, self.rank + 2))
        return d.among(
            L.LeakyReLU(0.2), L.ReLU(max_value=3.0, negative_slope=0.1), L.ELU(0.7),
            L.Softmax(axis=1 if self.first else -1), L.PReLU(shared_axes=axes[:2]),
            L.Activation(self.smooth()),
        )  # fmt: skip

    def skipped(self):
        """Two branches of the same size, joined."""
        d, L = self.d, self.k.layers
        width = self.channels
        y = self.layer("Conv", width, self.sizes(3), padding="same", activation=self.smooth())(
            self.x
        )
        how = d.among("add", "concat", "multiply", "squeeze", "maximum")
        if how == "squeeze":
            pooled = self.layer("GlobalAveragePooling", keepdims=True)(y)
            gate = self.layer("Conv", width, 1, activation="sigmoid")(pooled)
            return L.Multiply()([self.x, gate])
        if how == "concat":
            return L.Concatenate(axis=1 if self.first else -1)([self.x, y])
        return {"add": L.Add, "multiply": L.Multiply, "maximum": L.Maximum}[how]()([self.x, y])

    def step(self):
        d = self.d
        big = int(np.prod(self.room)) > 400
        kind = d.among("conv", "conv", "transposed", "depthwise", "separable", "pool", "adaptive",
                       "norm", "norm", "spectral", "resize", "border", "activation", "skip",
                       "skip")  # fmt: skip
        if kind == "skip":
            self.x = self.skipped()
            return
        if (kind in ("depthwise", "separable") and self.rank == 3) or (
            kind in ("transposed", "resize", "border") and big
        ):
            kind = "pool"
        if kind in ("resize", "border") and self.rank == 1 and self.first:
            kind = "norm"  # UpSampling1D and Cropping1D take channels last alone
        layer = {
            "conv": self.convolution, "transposed": self.transposed, "pool": self.pooling,
            "depthwise": lambda: self.depthwise("DepthwiseConv"),
            "separable": lambda: self.depthwise("SeparableConv"), "adaptive": self.adaptive,
            "norm": self.norm, "spectral": self.spectral, "resize": self.resized,
            "border": self.bordered, "activation": self.activation,
        }[kind]()  # fmt: skip
        self.x = layer(self.x)


def drawn(k, seed):
    """The random net of that seed, of the library's layers."""
    d = Draw(seed)
    net, L = Net(k, d), k.layers
    for _ in range(d.whole(2, 5)):
        net.step()
    end = d.among("flat", "average", "maximum", "map")
    x = net.x
    if end == "average":
        x = net.layer("GlobalAveragePooling", keepdims=False)(x)
    elif end == "maximum":
        x = net.layer("GlobalMaxPooling")(x)
    else:
        if end == "map":
            x = net.layer("Conv", 2, 1)(x)
        x = L.Flatten(**net.format)(x)
    return k.Model(net.inputs, L.Dense(2)(x))


def given(model, seed):
    """Two batches of noise for the model, and targets."""
    rng = np.random.default_rng(seed + 100_000)
    return [
        (
            rng.normal(size=tuple(model.inputs[0].shape)).astype("float32"),
            rng.normal(size=tuple(model.outputs[0].shape)).astype("float32"),
        )
        for _ in range(2)
    ]
