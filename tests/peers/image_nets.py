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
            each = tuple(d.whole(1, 3) for _ in range(self.rank))
            settings["strides"] = each if dilation and d.chance(0.4) else d.whole(2, 3)
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
        settings |= self.bounds(self.rank + 1)
        return self.layer("Conv", groups * d.whole(1, 2), groups=groups, **settings)

    def bounds(self, out):
        """Sometimes a constraint or a penalty on the weights or on what comes out."""
        d, k = self.d, self.k
        if d.chance(0.75):
            return {}
        every = list(range(out))
        return d.among(
            {"kernel_constraint": k.constraints.MaxNorm(0.8, every)},
            {"kernel_constraint": k.constraints.UnitNorm(every)},
            {"kernel_constraint": k.constraints.MinMaxNorm(0.2, 0.9, 0.5, every)},
            {"kernel_regularizer": k.regularizers.L1L2(1e-3, 1e-2)},
            {"activity_regularizer": k.regularizers.L2(1e-2)},
        )

    def transposed(self):
        d = self.d
        settings = self.window(dilation=False) | {"use_bias": d.chance(0.8)}
        if max(self.room) > 12:
            return self.layer("Conv", d.whole(1, 3), **settings)
        if not TORCH and "strides" in settings and d.chance(0.4):
            settings["output_padding"] = d.whole(0, settings["strides"] - 1)
        elif not TORCH and "strides" not in settings and d.chance(0.3):
            settings["dilation_rate"] = 2
        made = getattr(self.k.layers, f"Conv{self.rank}DTranspose")
        return made(d.whole(1, 3), activation=self.smooth(), **settings, **self.format)

    def depthwise(self, name):
        settings = self.window() | {"depth_multiplier": self.d.whole(1, 2)}
        if isinstance(settings.get("strides"), tuple):  # one stride for both dimensions, as asked
            settings["strides"] = max(settings["strides"])
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
            each = tuple(d.whole(1, 3) for _ in range(self.rank))
            settings["strides"] = d.among(d.whole(1, 3), each)
        return self.layer(kind, self.sizes(3), **settings)

    def adaptive(self):
        sizes = [self.d.whole(1, n) for n in self.room]
        if not TORCH:
            # Keras on JAX rounds the ends of such windows up, reads past the end and gives NaN.
            sizes = [6 if out in (7, 13, 14, 15) else out for out in sizes]
        name = self.d.among("AdaptiveAveragePooling", "AdaptiveMaxPooling")
        return self.layer(name, tuple(sizes) if self.rank > 1 else sizes[0])

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
        if not TORCH and self.d.chance(0.7):  # on JAX its gradients are not compared
            return layer
        return self.k.layers.SpectralNormalization(layer, power_iterations=times)

    def resized(self):
        d = self.d
        if self.rank == 2 and d.chance(0.5):
            return self.k.layers.Resizing(
                d.whole(2, 8), d.whole(2, 8),
                interpolation=d.among("nearest", "bilinear", *([] if TORCH else ["bicubic"])),
                **d.among({}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True}),
                **self.format,
            )  # fmt: skip
        if self.rank == 1:
            return self.k.layers.UpSampling1D(2)
        kinds = ("nearest", "bilinear") if self.rank == 2 else ("nearest",)
        settings = {} if self.rank == 3 else {"interpolation": d.among(*kinds)}
        return self.layer("UpSampling", d.whole(1, 2), **settings)

    def bordered(self):
        d = self.d
        if self.rank == 2 and d.chance(0.2):
            height, width = self.room
            return self.k.layers.CenterCrop(d.whole(1, height), d.whole(1, width), **self.format)
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
            L.Activation(self.smooth()), L.Rescaling(0.5, 0.25),
            L.Normalization(axis=None, mean=0.2, variance=1.5),
        )  # fmt: skip

    def skipped(self):
        """Two branches of the same size, joined."""
        d, L = self.d, self.k.layers
        width = self.channels
        y = self.layer("Conv", width, self.sizes(3), padding="same", activation=self.smooth())(
            self.x
        )
        joined = {"add": L.Add, "multiply": L.Multiply, "maximum": L.Maximum, "less": L.Subtract,
                  "minimum": L.Minimum, "mean": L.Average}  # fmt: skip
        how = d.among("concat", "squeeze", *joined)
        if how == "squeeze":
            pooled = self.layer("GlobalAveragePooling", keepdims=True)(y)
            gate = self.layer("Conv", width, 1, activation="sigmoid")(pooled)
            return L.Multiply()([self.x, gate])
        if how == "concat":
            return L.Concatenate(axis=1 if self.first else -1)([self.x, y])
        return joined[how]()([self.x, y])

    def operated(self):
        """Functions of `ops` in place of layers."""
        ops, d, x = self.k.ops, self.d, self.x
        form = self.format
        kind = d.among("pad", "flip", "roll", "average", "maximum", "conv", "image")
        if kind == "pad":
            mode = d.among("constant", "reflect", "symmetric")
            if TORCH and mode == "symmetric":  # Keras repeats the edge there
                mode = "reflect"
            inner = [(d.whole(0, min(2, n - 1)), d.whole(0, min(2, n - 1))) for n in self.room]
            outer = [(0, 0), *inner]
            outer.insert(1 if self.first else len(outer), (0, 0))
            return ops.pad(x, outer, mode)
        if kind == "flip":
            return ops.flip(x, axis=d.whole(1, self.rank))
        if kind == "roll":
            return ops.roll(x, d.whole(-2, 2), axis=d.whole(1, self.rank + 1))
        if kind == "average":
            return ops.average_pool(x, self.sizes(2), 1, "valid", **form)
        if kind == "maximum":
            return ops.max_pool(x, self.sizes(2), d.whole(1, 2), "valid", **form)
        if kind == "image" and self.rank == 2:
            how = d.among("nearest", "bilinear")
            return ops.image.resize(x, (d.whole(2, 8), d.whole(2, 8)), how, **form)
        rng = np.random.default_rng(d.whole(0, 99))
        sizes = tuple(min(2, n) for n in self.room)
        kernel = rng.normal(size=(*sizes, self.channels, 2)).astype("float32") * 0.4
        return ops.conv(x, kernel, padding=d.among("valid", "same"), **form)

    def step(self):
        d = self.d
        big = int(np.prod(self.room)) > 400
        kind = d.among("conv", "conv", "transposed", "depthwise", "separable", "pool", "adaptive",
                       "norm", "norm", "spectral", "resize", "border", "activation", "skip",
                       "skip", "ops")  # fmt: skip
        if kind in ("skip", "ops"):
            self.x = self.skipped() if kind == "skip" else self.operated()
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
