"""Calls of functions of `fastnn.ops`: name -> list of (arguments, keywords)."""

# ruff: noqa: E501, E731, E741
import numpy as np

r = np.random.RandomState(0)
A = r.randn(3, 5).astype("f")
B = r.randn(5, 4).astype("f")
V = r.randn(7).astype("f")
I = np.array([[3, -1, 4], [1, 5, -9]], "int32")
T = np.array([[True, False, True]])
N = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan], [4.0, -2.0, 0.0]], "f")
X = np.array([-3.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.5, np.inf, -np.inf, np.nan], "f")
E = np.zeros((0, 3), "f")
S = np.float32(2.5)
P = np.abs(A) + 0.1
U = np.clip(A / 4, -0.99, 0.99)
D3 = r.randn(2, 3, 4).astype("f")
M = r.randn(2, 4, 4).astype("f")
SPD = (M @ M.transpose(0, 2, 1) + 4 * np.eye(4)).astype("f")
IM = r.rand(2, 4, 6, 3).astype("f")
un = lambda *xs, **k: [((x,), k) for x in xs]
C = CASES = {}
for n in "abs absolute arctan arcsinh ceil cos cosh deg2rad rad2deg exp exp2 expm1 fabs floor isfinite isinf isnan isneginf isposinf negative sigmoid sign signbit sin sinc sinh square tan tanh trunc relu relu6 softplus softsign silu swish elu selu celu gelu leaky_relu hard_sigmoid hard_silu hard_swish hard_tanh tanh_shrink log_sigmoid hard_shrink soft_shrink squareplus sparse_plus sparse_sigmoid erf erfc nan_to_num reciprocal cbrt round real imag conj conjugate isreal copy zeros_like ones_like empty_like logical_not".split():
    C[n] = un(A, X, E, S, I)
for n in ["empty_like"]:
    C.pop(n)
for n in "log log2 log10 log1p sqrt rsqrt".split():
    C[n] = un(P, X, E, I)
for n in "arcsin arccos arctanh erfinv".split():
    C[n] = un(U, np.array([-1, 0, 1, 1.5, np.nan], "f"), E)
C["arccosh"] = un(P + 1, X, E)
C["i0"] = un(A, V * 3)
C["angle"] = un(A, I)
for n in "add subtract multiply divide true_divide maximum minimum fmax fmin hypot arctan2 logaddexp equal not_equal less less_equal greater greater_equal divide_no_nan".split():
    C[n] = [
        ((A, A[::-1].copy()), {}),
        ((X, X[::-1].copy()), {}),
        ((A, A[:1]), {}),
        ((I, I[::-1].copy()), {}),
        ((A, 2.0), {}),
        ((E, E), {}),
    ]
C["logaddexp2"] = [((A, A * 2), {})]
C["power"] = [((P, A), {}), ((I, 2), {})]
for n in "floor_divide mod fmod".split():
    C[n] = [((A, P), {}), ((I, np.array([[2, 3, -4]], "int32")), {}), ((-A, 1.5), {})]
for n in "logical_and logical_or logical_xor".split():
    C[n] = [((T, ~T), {}), ((A > 0, A < 1), {})]
for n in "bitwise_and bitwise_or bitwise_xor gcd lcm".split():
    C[n] = [((np.abs(I), np.array([[6, 3, 2]], "int32")), {})]
for n in "bitwise_left_shift left_shift bitwise_right_shift right_shift".split():
    C[n] = [((I, np.array([[1, 0, 2]], "int32")), {})]
for n in "bitwise_not bitwise_invert".split():
    C[n] = un(I, T)
C["heaviside"] = [((A, 0.5), {}), ((np.zeros(3, "f"), 0.25), {})]
C["ldexp"] = [((A, np.array([1, 2, 0, -1, 3], "int32")), {})]
C["nextafter"] = [((A, P), {})]
C["threshold"] = [((A, 0.1, -1.0), {}), ((A, 0, 0), {})]
C["clip"] = [((A, -0.5, 0.5), {}), ((X, -1, 1), {})]
C["saturate_cast"] = [((np.array([1e10, -1e10, 2.5], "f"), "int32"), {})]
C["isclose"] = [((A, A + 1e-6), {}), ((X, X), {"equal_nan": True})]
C["allclose"] = [((A, A + 1e-9), {}), ((A, A + 1), {})]
for n in "sum mean max min amax amin prod std var all any argmax argmin count_nonzero ptp nansum nanprod nanmax nanmin nanmean nanvar nanstd nanargmax nanargmin".split():
    C[n] = [((A,), {}), ((A,), {"axis": 0}), ((A,), {"axis": -1}), ((I,), {"axis": 1})] + (
        [((N,), {"axis": 1}), ((N,), {})] if n.startswith("nan") else []
    )
    if n not in ("argmax", "argmin", "nanargmax", "nanargmin"):
        C[n].append(((D3,), {"axis": (0, 2)}))
    if n != "count_nonzero":
        C[n].append(((A,), {"axis": 1, "keepdims": True}))
for n in "sum prod all any".split():
    C[n] += [((E,), {"axis": 0}), ((T,), {})]
C["logsumexp"] = [((A,), {}), ((A,), {"axis": 1, "keepdims": True})]
C["moments"] = [((A, [0]), {}), ((D3, [0, 1]), {"keepdims": True})]
C["average"] = [((A,), {"axis": 1, "weights": np.arange(1, 6).astype("f")}), ((A,), {})]
for n in "cumsum cumprod nancumsum nancumprod".split():
    C[n] = [
        ((A,), {}),
        ((A,), {"axis": 0}),
        ((D3,), {"axis": -1}),
        ((I,), {"axis": 1}),
        ((N,), {"axis": 1}),
    ]
C["diff"] = [((V,), {}), ((A,), {"n": 2, "axis": 0})]
C["trapezoid"] = [
    ((A,), {}),
    ((A,), {"dx": 0.5, "axis": 0}),
    ((V,), {"x": np.cumsum(np.abs(V)).astype("f")}),
]
C["corrcoef"] = un(A)
C["correlate"] = [((V, V[:3]), {"mode": m}) for m in ("valid", "same", "full")] + [
    ((V[:2], V), {"mode": m}) for m in ("valid", "same", "full")
]
for n in "median nanmedian".split():
    C[n] = [
        ((A,), {}),
        ((A,), {"axis": 1}),
        ((D3,), {"axis": (0, 2)}),
        ((A,), {"axis": 0, "keepdims": True}),
        ((N,), {"axis": 1}),
    ]
for n in "quantile nanquantile".split():
    C[n] = [
        ((A, 0.3), {}),
        ((A, np.array([0.1, 0.5], "f")), {"axis": 1}),
        ((A, 0.25), {"axis": 0, "keepdims": True, "method": "lower"}),
        ((V, 0.4), {"method": "nearest"}),
    ]
for n in "percentile nanpercentile".split():
    C[n] = [((A, 30.0), {}), ((A, np.array([10.0, 50.0], "f")), {"axis": 1})]
C["sort"] = [((A,), {}), ((A,), {"axis": 0})]
C["argsort"] = [((A,), {}), ((A,), {"axis": 0})]
C["top_k"] = [((A, 2), {})]
C["in_top_k"] = [((np.array([1, 2, 0], "int32"), A, 2), {})]
C["reshape"] = [((A, (5, 3)), {}), ((A, -1), {})]
C["ravel"] = un(A)
C["transpose"] = [((A,), {}), ((D3,), {"axes": (1, 0, 2)})]
C["swapaxes"] = [((D3, 0, 2), {})]
C["moveaxis"] = [((D3, 0, -1), {}), ((D3, (0, 1), (-1, 0)), {})]
C["expand_dims"] = [((A, 1), {}), ((A, (0, 2)), {})]
C["squeeze"] = [((A[None],), {}), ((A[None],), {"axis": 0})]
C["broadcast_to"] = [((A[:1], (3, 5)), {})]
C["concatenate"] = [
    (([A, A],), {}),
    (([A, A],), {"axis": 0}),
    (([A, I[:, :0].reshape(0, 0)],), {}),
][:2]
C["stack"] = [(([A, A],), {}), (([A, A],), {"axis": -1})]
C["hstack"] = [(([A, A],), {}), (([V, V],), {})]
C["vstack"] = [(([V, V],), {})]
C["dstack"] = [(([A, A],), {}), (([V, V],), {})]
C["append"] = [((A, A), {}), ((A, A), {"axis": 1})]
C["split"] = [((B, 2), {"axis": 1}), ((A, [1, 2]), {})]
C["array_split"] = [((V, 3), {}), ((A, [1]), {"axis": 1})]
C["hsplit"] = [((B, 2), {}), ((V, [2]), {})]
C["vsplit"] = [((A, 3), {})]
C["dsplit"] = [((D3, 2), {})]
C["unstack"] = [((A,), {}), ((A,), {"axis": 1})]
C["flip"] = [((A,), {}), ((A,), {"axis": 1})]
C["fliplr"] = un(A)
C["flipud"] = un(A)
C["rot90"] = [((A,), {"k": k}) for k in (0, 1, 2, 3)] + [((D3,), {"axes": (1, 2)})]
C["roll"] = [((A, 2), {}), ((A, 1), {"axis": 1}), ((A, (1, 2)), {"axis": (0, 1)})]
C["repeat"] = [((A, 2), {}), ((A, 3), {"axis": 1}), ((A, [1, 0, 2]), {"axis": 0})]
C["tile"] = [((A, 2), {}), ((A, (2, 1)), {})]
C["pad"] = [
    ((A, 1), {}),
    ((A, ((1, 0), (2, 1))), {"mode": "reflect"}),
    ((A, ((1, 0), (2, 1))), {"mode": "symmetric"}),
    ((A, 1), {"constant_values": 2.0}),
]
C["meshgrid"] = [((V, V[:2]), {}), ((V, V[:2]), {"indexing": "ij"})]
C["diag"] = [((V,), {}), ((A,), {"k": 1}), ((V,), {"k": -2})]
C["diagflat"] = [((A[:2, :2],), {}), ((V,), {"k": 1})]
C["diagonal"] = [((A,), {}), ((D3,), {"offset": 1, "axis1": 1, "axis2": 2}), ((A,), {"offset": -1})]
C["trace"] = [((A,), {}), ((D3,), {"offset": 1, "axis1": -2, "axis2": -1})]
for n in ("tril", "triu"):
    C[n] = [((A,), {"k": k}) for k in (-1, 0, 2)] + un(D3)
C["tri"] = [((3,), {}), ((3, 4, 1), {})]
C["eye"] = [((3,), {}), ((3, 4), {"k": 1})]
C["identity"] = [((3,), {})]
C["vander"] = [((V,), {}), ((V, 3), {"increasing": True})]
C["kron"] = [((A, B), {})]
C["arange"] = [((5,), {}), ((1, 7, 2), {}), ((0.0, 1.0, 0.25), {})]
C["linspace"] = [((0.0, 1.0), {"num": 5}), ((0.0, 1.0), {"num": 5, "endpoint": False})]
C["logspace"] = [((0.0, 2.0), {"num": 5})]
C["geomspace"] = [((1.0, 100.0), {"num": 5})]
C["full"] = [(((2, 3), 7.0), {})]
C["full_like"] = [((A, 2.0), {}), ((I, 2), {})]
C["zeros"] = [(((2, 3),), {})]
C["ones"] = [(((2, 3),), {})]
for n in "bartlett blackman hamming hanning".split():
    C[n] = [((6,), {})]
C["kaiser"] = [((6, 3.0), {})]
C["where"] = [((A > 0, A, -A), {}), ((A > 0, A, 0.0), {})]
C["select"] = [(([A > 1, A < 0], [A, -A], 9.0), {})]
C["take"] = [
    ((A, np.array([0, 2], "int32")), {}),
    ((A, np.array([[0, 2], [1, 1]], "int32")), {"axis": 1}),
    ((A, np.array([-1], "int32")), {"axis": 0}),
]
C["take_along_axis"] = [
    ((A, np.argsort(A, 1).astype("int32")), {"axis": 1}),
    ((A, np.array([1, 3], "int32")), {}),
]
C["isin"] = [
    ((I, np.array([1, 4], "int32")), {}),
    ((I, np.array([1, 4], "int32")), {"invert": True}),
]
C["searchsorted"] = [((np.sort(V), A), {}), ((np.sort(V), np.sort(V)), {"side": "right"})]
C["digitize"] = [((A, np.array([-1, 0, 1], "f")), {})]
C["bincount"] = [
    ((np.array([1, 1, 3], "int32"),), {}),
    ((np.array([1, 1, 3], "int32"),), {"weights": np.array([1.0, 2.0, 3.0], "f"), "minlength": 6}),
    ((np.array([[1, 1], [0, 2]], "int32"),), {}),
]
C["histogram"] = [((A,), {"bins": 4})]
C["nonzero"] = un(A > 0)
C["unravel_index"] = [((np.array([3, 7], "int32"), (3, 5)), {})]
C["unique"] = [((np.array([3, 1, 3], "int32"),), {})]
C["scatter"] = [
    ((np.array([[0], [2], [0]], "int32"), A, (4, 5)), {}),
    ((np.array([[0, 1], [2, 2]], "int32"), np.array([1.0, 2.0], "f"), (3, 3)), {}),
]
C["scatter_update"] = [
    ((A, np.array([[0, 1], [2, 2]], "int32"), np.array([9.0, 8.0], "f")), {}),
    ((A, np.array([[1]], "int32"), np.ones((1, 5), "f")), {}),
]
for n in "segment_sum segment_max segment_min segment_prod".split():
    C[n] = [
        ((A, np.array([0, 2, 0], "int32")), {"num_segments": 4 if n == "segment_sum" else 3}),
        ((V, np.array([0, 0, 1, 1, 1, 2, 2], "int32")), {}),
    ]
C["get_item"] = [((A, 1), {}), ((A, (slice(None), 2)), {})]
C["one_hot"] = [
    ((np.array([0, 2, -1, 5], "int32"), 4), {}),
    ((np.array([[0, 2]], "int32"), 3), {"axis": 1}),
]
C["multi_hot"] = [((np.array([[0, 2], [1, 1]], "int32"), 4), {})]
C["matmul"] = [((A, B), {}), ((D3, M), {}), ((A, V[:5]), {}), ((I, I.T.copy()), {})]
C["dot"] = [((A, B), {}), ((V, V), {}), ((D3, M), {}), ((A, 2.0), {})]
C["inner"] = [((A, A), {}), ((V, V), {}), ((D3, B[:1]), {})]
C["outer"] = [((V, A), {})]
C["vdot"] = [((A, A), {})]
C["cross"] = [
    ((I.astype("f"), I[::-1].astype("f").copy()), {}),
    ((A[:, :2], A[:, 2:4]), {}),
    ((A[:, :2], A[:, :3]), {}),
]
C["tensordot"] = [
    ((D3, D3), {"axes": 3}),
    ((D3, M), {"axes": ([2], [1])}),
    ((A, B), {"axes": 1}),
    ((A, B), {"axes": 0}),
]
C["einsum"] = [
    ((e, *o), {})
    for e, *o in [
        ("ij,jk->ik", A, B),
        ("ij,jk", A, B),
        ("bij,bjk->bik", D3, M),
        ("ij->", A),
        ("ij->j", A),
        ("ii->i", M[0]),
        ("ii", M[0]),
        ("bii->b", M),
        ("i,j->ij", V, V),
        ("i,i->", V, V),
        ("...ij,...jk->...ik", D3, M),
        ("...i->...", D3),
        ("ij,ij->ij", A, A),
        ("bij,jk,kl->bil", D3, M[0], M[1]),
        ("ij,kj->ki", A, A),
        ("abc->cab", D3),
        ("ij,jk->k", A, B),
        ("bij,kij->bk", D3, D3),
        ("...ij,jk->...ik", D3, M[0]),
        ("i...,i...->...", A, A),
        ("ij,ij", I, I),
        ("bi,bj->bij", A, A),
        ("a,b,c->abc", V[:2], V[:3], V[:2]),
    ]
]
C["norm"] = [
    ((A,), {}),
    ((A,), {"axis": 1}),
    ((A,), {"ord": 1, "axis": 0}),
    ((A,), {"ord": np.inf, "axis": 1}),
    ((A,), {"ord": 1}),
    ((A,), {"ord": "fro"}),
    ((A,), {"ord": 3, "axis": 1}),
    ((A,), {"ord": np.inf}),
    ((A,), {"ord": 2}),
    ((A,), {"ord": "nuc"}),
    ((D3,), {"ord": -np.inf, "axis": (1, 2), "keepdims": True}),
    ((A,), {"ord": 0, "axis": 1}),
]
C["normalize"] = [((A,), {}), ((A,), {"axis": 0}), ((A,), {"order": 1})]
C["cdist"] = [((A, A[:2]), {})]
C["cholesky"] = un(SPD)
C["cholesky_inverse"] = un(np.linalg.cholesky(SPD))
C["det"] = un(M)
C["inv"] = un(M)
C["slogdet"] = un(M)
C["logdet"] = un(SPD)
C["solve"] = [((M, M[..., :2]), {})]
C["solve_triangular"] = [((np.tril(M) + 2 * np.eye(4, dtype="f"), M[..., :2]), {"lower": True})]
C["lstsq"] = [((A.T.copy(), V[:5]), {})]
C["eigh"] = un(SPD)
C["svd"] = [((A,), {"compute_uv": False})]
C["qr"] = un(B)
C["matrix_rank"] = un(A)
C["pinv"] = un(A)
C["lu_factor"] = un(M[0])
C["eig"] = []
C["softmax"] = [((A,), {}), ((A,), {"axis": 0}), ((D3,), {"axis": (1, 2)})]
C["log_softmax"] = [((A,), {}), ((A,), {"axis": 0})]
C["sparsemax"] = un(A)
C["glu"] = [((B,), {})]
t = np.eye(4, dtype="f")[[0, 1, 2, 3, 0]]
p = np.exp(B) / np.exp(B).sum(1, keepdims=True)
C["binary_crossentropy"] = [((t, p), {}), ((t, B), {"from_logits": True})]
C["categorical_crossentropy"] = [((t, p), {}), ((t, B), {"from_logits": True})]
C["sparse_categorical_crossentropy"] = [
    ((t.argmax(1).astype("int32"), p), {}),
    ((t.argmax(1).astype("int32"), B), {"from_logits": True}),
]
C["batch_normalization"] = [((A, A.mean(0), A.var(0)), {"axis": -1})]
C["layer_normalization"] = [((A,), {"gamma": np.ones(5, "f") * 2, "beta": np.ones(5, "f")})]
C["rms_normalization"] = [((A, np.ones(5, "f")), {})]
C["snake"] = [((A, 2.0), {}), ((A, np.zeros(5, "f")), {}), ((X,), {}), ((I, V[:3]), {}), ((E,), {})]
C["psnr"] = [((A, A + 0.1, 1.0), {})]
C["dot_product_attention"] = [((r.randn(2, 3, 2, 4).astype("f"),) * 3, {})]
C["depth_to_space"] = [((r.rand(1, 2, 2, 8).astype("f"), 2), {})]
C["space_to_depth"] = [((r.rand(1, 4, 4, 2).astype("f"), 2), {})]
PICTURE = r.rand(1, 2, 5, 4).astype("f")
C["unfold"] = [((PICTURE, 2), {}), ((PICTURE, (3, 2)), {"padding": 1, "stride": (2, 1)})]
C["fold"] = [((r.rand(1, 8, 12).astype("f"), (5, 4), 2), {})]
C["fft"] = [(((A, A),), {}), (((V, V),), {})]
C["fft2"] = [(((D3, D3),), {})]
C["ifft2"] = [(((D3, D3),), {})]
C["rfft"] = [((A,), {}), ((A,), {"fft_length": 8}), ((V,), {}), ((V,), {"fft_length": 4})]
SOUND = r.randn(2, 40).astype("f")
C["stft"] = [
    ((SOUND, 8, 3, 8), {}),
    ((SOUND, 6, 2, 8, "hamming"), {"center": False}),
    ((SOUND[0], 5, 4, 9, np.arange(1, 6, dtype="f")), {}),
    ((SOUND, 6, 2, 8, None), {}),
]
SPECTRUM = (r.randn(2, 9, 5).astype("f"), r.randn(2, 9, 5).astype("f"))
C["istft"] = [
    ((SPECTRUM, 8, 3, 8), {}),
    ((SPECTRUM, 8, 2, 8), {"length": 12, "window": "hamming"}),
]
C["irfft"] = [(((A, A),), {}), (((V, V),), {})]
C["extract_sequences"] = [((V, 3, 2), {})]
C["rearrange"] = [((D3, "a b c -> c (a b)"), {}), ((D3, "a b (c d) -> d a b c"), {"c": 2})]
C["cast"] = [((A, "int32"), {}), ((I, "float32"), {}), ((A, "bool"), {})]
C["convert_to_tensor"] = un(A, I)
C["array"] = un(A)
C["ndim"] = un(A)
C["size"] = un(A)
C["shape"] = un(A)
C["image.rgb_to_grayscale"] = un(IM)
C["image.rgb_to_hsv"] = un(IM)
C["image.hsv_to_rgb"] = un(IM)
C["image.resize"] = [
    ((IM, (8, 3)), {"interpolation": "nearest"}),
    ((IM, (8, 12)), {}),
    ((IM[0], (5, 5)), {}),
]
IM16 = r.rand(2, 16, 13, 3).astype("f")
C["image.ssim"] = [
    ((IM16, np.clip(IM16 + 0.2 * r.randn(*IM16.shape), 0, 1).astype("f")), {}),
    ((IM16[0], IM16[1], 2.0, 5, 1.0), {}),
]
C["image.scale_and_translate"] = [
    ((IM16, (2, 20, 9, 3), np.array([1.3, 0.6], "f"), np.array([-2.5, 1.0], "f"), (1, 2), m), {})
    for m in ("linear", "cubic", "lanczos3", "lanczos5")
] + [
    (
        (
            IM16[0, ..., 0],
            (8, 13),
            np.array([0.4], "f"),
            np.array([0.5], "f"),
            (0,),
            "linear",
            False,
        ),
        {},
    ),
]
C["image.pad_images"] = [((IM, 1, 2, 1, 0), {})]
C["image.crop_images"] = [((IM, 1, 2, 1, 0), {})]
