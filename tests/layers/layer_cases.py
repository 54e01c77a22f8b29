"""Layers by class name, each a function that gives layers with shapes of their inputs.

None is a size that is left open.
"""

from fastnn import layers as L, ops

IMAGE, OPEN, LINE, SPACE = (6, 7, 4), (None, None, 4), (9, 4), (5, 6, 4, 2)
COLOURS = (8, 9, 3)


def _pools(name):
    """A pool over one, two and three axes."""
    return {
        f"{name}1D": lambda: [(getattr(L, f"{name}1D")(2), LINE),
                              (getattr(L, f"{name}1D")(3, 2, "same"), (None, 4))],
        f"{name}2D": lambda: [(getattr(L, f"{name}2D")(2), IMAGE),
                              (getattr(L, f"{name}2D")(3, 2, "same"), OPEN)],
        f"{name}3D": lambda: [(getattr(L, f"{name}3D")(2), SPACE)],
    }  # fmt: skip


def _simple(name, *args):
    """A layer over one, two and three axes."""
    return {
        f"{name}{i}D": lambda i=i, s=s: [(getattr(L, f"{name}{i}D")(*args), s)]
        for i, s in ((1, LINE), (2, IMAGE), (3, SPACE))
    }


def _augmentation(*names, **settings):
    """Layers that leave pictures alone outside of training."""
    return {n: lambda n=n: [(getattr(L, n)(**settings), COLOURS)] for n in names}


CASES = {
    "Activation": lambda: [(L.Activation("relu6"), (4,))],
    "ActivityRegularization": lambda: [(L.ActivityRegularization(0.1), (4,))],
    "AlphaDropout": lambda: [(L.AlphaDropout(0.5), (4,))],
    "BatchNormalization": lambda: [
        (L.BatchNormalization(), (4,)), (L.BatchNormalization(axis=1), (3, 4)),
    ],
    "Cropping1D": lambda: [(L.Cropping1D(1), (5, 3)), (L.Cropping1D((1, 2)), (None, 3))],
    "Cropping2D": lambda: [(L.Cropping2D(1), (5, 6, 3)), (L.Cropping2D(1), (None, None, 3))],
    "Dense": lambda: [(L.Dense(3), (4,)), (L.Dense(3, "tanh", use_bias=False), (None, 4))],
    "Dropout": lambda: [(L.Dropout(0.5), (4,))],
    "ELU": lambda: [(L.ELU(0.7), (4,))],
    "Flatten": lambda: [(L.Flatten(), (3, 4)), (L.Flatten(), (None, 4))],
    "GaussianDropout": lambda: [(L.GaussianDropout(0.3), (4,))],
    "GaussianNoise": lambda: [(L.GaussianNoise(0.3), (4,))],
    "GroupNormalization": lambda: [
        (L.GroupNormalization(2), (6, 4)),
        (L.GroupNormalization(-1), (6, 4)),
    ],
    "Bidirectional": lambda: [(L.Bidirectional(L.LSTM(3, return_sequences=True)), (None, 4))],
    "GRU": lambda: [
        (L.GRU(3), (5, 4)), (L.GRU(3, return_sequences=True, go_backwards=True), (None, 4)),
        (L.GRU(3, reset_after=False), (None, 4)), (L.GRU(3, unroll=True), (5, 4)),
    ],
    "Identity": lambda: [(L.Identity(), (3,))],
    "Lambda": lambda: [(L.Lambda(lambda x: ops.exp(x) - 1.0), (3,))],
    "LSTM": lambda: [
        (L.LSTM(3), (5, 4)), (L.LSTM(3, return_sequences=True), (None, 4)),
        (L.LSTM(3, activation="relu", go_backwards=True), (None, 4)),
    ],
    "LayerNormalization": lambda: [
        (L.LayerNormalization(), (4,)), (L.LayerNormalization(axis=[1, 2]), (4, 3)),
    ],
    "LeakyReLU": lambda: [(L.LeakyReLU(), (3,))],
    "Masking": lambda: [(L.Masking(), (4, 3))],
    "MelSpectrogram": lambda: [
        (L.MelSpectrogram(16, 6, sampling_rate=100, num_mel_bins=3, min_freq=1.0), (40,)),
    ],
    "STFTSpectrogram": lambda: [
        (L.STFTSpectrogram("magnitude", 4, window="hamming"), (None, 2)),
        (L.STFTSpectrogram("stft", 6, padding="same", expand_dims=True), (20, 1)),
    ],
    "Normalization": lambda: [(L.Normalization(mean=1.0, variance=2.0), (3,))],
    "PReLU": lambda: [(L.PReLU(), (3,)), (L.PReLU(shared_axes=[1]), (5, 3))],
    "Pipeline": lambda: [(L.Pipeline([L.Rescaling(2.0), L.Dense(2)]), (4,))],
    "Permute": lambda: [(L.Permute((2, 1)), (3, 4)), (L.Permute((2, 1)), (None, 4))],
    "RMSNormalization": lambda: [(L.RMSNormalization(), (4,))],
    "RNN": lambda: [(L.RNN([L.LSTMCell(3), L.GRUCell(2)]), (None, 4))],
    "ReLU": lambda: [
        (L.ReLU(max_value=1.0, threshold=0.2, negative_slope=0.1), (4,)),
        (L.ReLU(), (4,)),
    ],
    "RepeatVector": lambda: [(L.RepeatVector(3), (4,))],
    "Rescaling": lambda: [(L.Rescaling(2.0, 0.1), (3,))],
    "Reshape": lambda: [(L.Reshape((2, -1)), (6,)), (L.Reshape((-1, 2)), (None, 4))],
    "SimpleRNN": lambda: [
        (L.SimpleRNN(3), (5, 4)),
        (L.SimpleRNN(3, return_sequences=True), (None, 4)),
    ],
    "ConvLSTM1D": lambda: [(L.ConvLSTM1D(2, 2), (3, 6, 2))],
    "ConvLSTM2D": lambda: [(L.ConvLSTM2D(2, 2), (3, 5, 4, 2))],
    "ConvLSTM3D": lambda: [(L.ConvLSTM3D(2, 2), (3, 4, 3, 3, 2))],
    "Snake": lambda: [(L.Snake(), (4,)), (L.Snake(axis=1), (5, None))],
    "Softmax": lambda: [(L.Softmax(), (4,)), (L.Softmax(axis=1), (3, 4))],
    "SpatialDropout1D": lambda: [(L.SpatialDropout1D(0.2), (4, 3))],
    "SpatialDropout2D": lambda: [(L.SpatialDropout2D(0.2), (4, 3, 2))],
    "TimeDistributed": lambda: [(L.TimeDistributed(L.Dense(2)), (5, 4))],
    "UnitNormalization": lambda: [(L.UnitNormalization(), (4,))],
    "UpSampling1D": lambda: [(L.UpSampling1D(2), (4, 3)), (L.UpSampling1D(3), (None, 3))],
    "UpSampling2D": lambda: [
        (L.UpSampling2D(2), (4, 3, 2)),
        (L.UpSampling2D((2, 3), interpolation="bilinear"), (4, 3, 2)),
    ],
    "ZeroPadding1D": lambda: [(L.ZeroPadding1D(2), (4, 3)), (L.ZeroPadding1D((1, 2)), (None, 3))],
    "ZeroPadding2D": lambda: [
        (L.ZeroPadding2D(2), (4, 3, 2)),
        (L.ZeroPadding2D(1), (None, None, 2)),
    ],

    # ---- pictures ------------------------------------------------------------------------------
    **_pools("MaxPooling"), **_pools("AveragePooling"), **_simple("AdaptiveAveragePooling", 2),
    **_simple("AdaptiveMaxPooling", 2), **_simple("GlobalMaxPooling"),
    **_simple("GlobalAveragePooling"), **_simple("Conv", 3, 2),
    "Conv1D": lambda: [
        (L.Conv1D(3, 3, padding="causal", dilation_rate=2), (None, 4)),
        (L.Conv1D(3, 2, 2, padding="same"), LINE),
    ],
    "Conv2D": lambda: [
        (L.Conv2D(3, 3, padding="same", activation="relu"), OPEN),
        (L.Conv2D(4, 3, 2, groups=2, use_bias=False), IMAGE),
        (L.Conv2D(3, 3, 2, padding="same"), IMAGE),
        (L.Conv2D(3, 3, data_format="channels_first"), (4, 6, 7)),
    ],
    "Conv1DTranspose": lambda: [(L.Conv1DTranspose(3, 3, 2), LINE)],
    "Conv2DTranspose": lambda: [
        (L.Conv2DTranspose(3, 3, 2, padding="same"), OPEN),
        (L.Conv2DTranspose(3, 2, 4), IMAGE),
        (L.Conv2DTranspose(3, 3, 2, padding="same", output_padding=1), IMAGE),
    ],
    "Conv3DTranspose": lambda: [(L.Conv3DTranspose(3, 2, 2), SPACE)],
    "DepthwiseConv1D": lambda: [(L.DepthwiseConv1D(3, depth_multiplier=2), LINE)],
    "DepthwiseConv2D": lambda: [(L.DepthwiseConv2D(3, 2, "same"), OPEN)],
    "SeparableConv1D": lambda: [(L.SeparableConv1D(3, 3), LINE)],
    "SeparableConv2D": lambda: [(L.SeparableConv2D(3, 3, padding="same"), IMAGE)],
    "Cropping3D": lambda: [(L.Cropping3D(1), SPACE)],
    "SpatialDropout3D": lambda: [(L.SpatialDropout3D(0.2), SPACE)],
    "UpSampling3D": lambda: [(L.UpSampling3D(2), SPACE)],
    "ZeroPadding3D": lambda: [(L.ZeroPadding3D(1), SPACE)],
    "CenterCrop": lambda: [(L.CenterCrop(4, 5), IMAGE)],
    "Resizing": lambda: [(L.Resizing(4, 9), IMAGE), (L.Resizing(3, 3, "nearest"), IMAGE)],
    "RandomCrop": lambda: [(L.RandomCrop(4, 5), IMAGE)],
    "SpectralNormalization": lambda: [(L.SpectralNormalization(L.Dense(3)), (4,))],
    "EinsumDense": lambda: [
        (L.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d"), (None, 4)),
        (L.EinsumDense("ab,bcd->acd", (3, 2), activation="relu"), (4,)),
    ],
    **_augmentation("AugMix", "CutMix", "MixUp", "RandAugment", "RandomColorJitter",
                    "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur",
                    "RandomGrayscale", "RandomInvert", "RandomPerspective", "RandomShear",
                    "Solarization"),
    **_augmentation("RandomBrightness", "RandomColorDegeneration", "RandomContrast", "RandomHue",
                    "RandomRotation", "RandomSaturation", "RandomSharpness",
                    factor=0.5),
    **_augmentation("RandomTranslation", height_factor=0.2, width_factor=0.2),
    **_augmentation("RandomZoom", height_factor=0.2),
    **_augmentation("RandomPosterization", factor=4),
    "AutoContrast": lambda: [(L.AutoContrast(), COLOURS)],
    "Equalization": lambda: [(L.Equalization(), COLOURS)],
    "ContrastLimitedAdaptiveHistogramEqualization": lambda: [
        (L.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 3)), COLOURS),
    ],
}  # fmt: skip

#: What has no case of its own: several inputs, or other numbers than these; no layer of a model;
#: texts, which no graph of numbers holds; cells, which go with `RNN`.
WITHOUT = set(
    "Add AdditiveAttention Attention Average CategoryEncoding Concatenate Discretization Dot "
    "Embedding GroupedQueryAttention Maximum Minimum MultiHeadAttention Multiply "
    "ReversibleEmbedding Subtract "
    "Input InputLayer InputSpec Layer Wrapper "
    "HashedCrossing Hashing IntegerLookup StringLookup TextVectorization "
    "GRUCell LSTMCell SimpleRNNCell StackedRNNCells".split()
)
