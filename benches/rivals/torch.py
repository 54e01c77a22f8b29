"""PyTorch: a plain loop with fused Adam, inference mode for predictions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from rivals import data

OPS = {
    "exp": torch.exp,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": lambda x: functional.gelu(x, approximate="tanh"),
    "softmax": lambda x: torch.softmax(x, -1),
    "layer_norm": lambda x: functional.layer_norm(x, x.shape[-1:], eps=1e-3),
    "add": lambda x: x + 1,
    "relu": torch.relu,
    "sum": lambda x: x.sum(-1),
}


def versions(threads: int) -> dict[str, str]:
    torch.set_num_threads(threads)
    return {"torch": torch.__version__}


def convolution(
    images: int, high: int, wide: int, channels: int, filters: int, taps: int, stride: int,
    padding: int, groups: int, part: str, variant: str = "",
) -> Callable[[], float]:  # fmt: skip
    layout = torch.channels_last if variant == "channels_last" else torch.contiguous_format
    x = torch.tensor(data.uniform(images, channels, high, wide)).to(memory_format=layout)
    w = torch.tensor(data.uniform(filters, channels // groups, taps, taps)).to(memory_format=layout)
    if part == "forward":
        step = lambda: functional.conv2d(x, w, None, stride, padding, 1, groups)  # noqa: E731
    else:
        dy = torch.ones_like(functional.conv2d(x, w, None, stride, padding, 1, groups))
        mask = [part == "input", part == "weights", False]
        both = ([stride] * 2, [padding] * 2, [1, 1], False, [0, 0], groups, mask)
        step = lambda: torch.ops.aten.convolution_backward(dy, x, w, None, *both)[mask.index(True)]  # noqa: E731

    def call() -> float:
        with torch.inference_mode():
            return float(step().flatten()[0])

    return call


def image_pair(shapes: tuple[tuple[int, ...], ...], variant: str) -> list[torch.Tensor]:
    """Images and gradients of (batch, size, size, channels), laid out as PyTorch wants them."""
    layout = torch.channels_last if variant == "channels_last" else torch.contiguous_format
    arrays = (data.uniform(*shape, seed=s) for s, shape in enumerate(shapes, 1))
    return [torch.tensor(a).movedim(3, 1).contiguous(memory_format=layout) for a in arrays]


def batch_norm_step(
    images: int, size: int, channels: int, variant: str = ""
) -> Callable[[], float]:
    x, dy = image_pair(((images, size, size, channels),) * 2, variant)
    scale, offset = (torch.tensor(data.uniform(channels, seed=s)) for s in (3, 4))
    operands = [t.requires_grad_() for t in (x, scale, offset)]

    def call() -> float:
        y = functional.batch_norm(x, None, None, scale, offset, training=True, eps=1e-3)
        dx, dscale, _ = torch.autograd.grad(y, operands, dy)
        with torch.no_grad():
            return float(y[0, 0, 0, 0]) + float(dx[0, 0, 0, 0]) + float(dscale[0])

    return call


def resize_step(
    images: int, size: int, to: int, channels: int, variant: str = ""
) -> Callable[[], float]:
    x, dy = image_pair(((images, size, size, channels), (images, to, to, channels)), variant)
    x.requires_grad_()

    def call() -> float:
        y = functional.interpolate(x, (to, to), mode="bilinear")
        (dx,) = torch.autograd.grad(y, [x], dy)
        with torch.no_grad():
            return float(y[0, 0, 0, 0]) + float(dx[0, 0, 0, 0])

    return call


def inferred(function: Callable, *args) -> Callable[[], None]:
    def call() -> None:
        with torch.inference_mode():
            function(*args)

    return call


def gemm(n: int) -> Callable[[], None]:
    return inferred(torch.matmul, *(torch.tensor(data.uniform(n, n, seed=s)) for s in (1, 2)))


def dense(m: int, n: int, k: int) -> Callable[[], None]:
    x, w, b = (torch.tensor(data.uniform(*shape)) for shape in ((m, k), (n, k), (n,)))
    return inferred(functional.linear, x, w, b)


def elementwise(op: str, rows: int, cols: int) -> Callable[[], None]:
    return inferred(OPS[op], torch.tensor(data.uniform(rows, cols)))


def build(sizes: list[int]) -> torch.nn.Module:
    layers: list[torch.nn.Module] = []
    for w, b in data.layer_weights(sizes):
        layer = torch.nn.Linear(*w.shape)
        layer.weight.data, layer.bias.data = torch.tensor(w.T.copy()), torch.tensor(b)
        layers += [layer, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def mlp_fit(sizes: list[int], batch: int, samples: int) -> Callable[[], float]:
    x, y = (torch.tensor(a) for a in data.training_set(sizes, samples))
    y = y if sizes[-1] == 1 else y.long()
    model = build(sizes)
    adam = torch.optim.Adam(model.parameters(), fused=True)
    loss_of = torch.nn.MSELoss() if sizes[-1] == 1 else torch.nn.CrossEntropyLoss()

    def call() -> float:
        order, total = torch.randperm(samples), 0.0
        for start in range(0, samples, batch):
            chosen = order[start : start + batch]
            loss = loss_of(model(x[chosen]), y[chosen])
            adam.zero_grad()
            loss.backward()
            adam.step()
            total += loss.item() if start % (16 * batch) == 0 else 0.0
        return total / -(-samples // (16 * batch))

    return call


def line_fit() -> Callable[[], float]:
    x, y = (torch.tensor(a, dtype=torch.float32)[:, None] for a in (data.LINE_X, data.LINE_Y))
    model = torch.nn.Linear(1, 1)
    sgd = torch.optim.SGD(model.parameters(), lr=0.01)

    def call() -> float:
        loss = torch.tensor(0.0)
        for _ in range(100):
            loss = functional.mse_loss(model(x), y)
            sgd.zero_grad()
            loss.backward()
            sgd.step()
        return loss.item()

    return call


def predict_one(sizes: list[int], how: str) -> Callable[[], float]:
    model, x = build(sizes).eval(), torch.tensor(data.uniform(1, sizes[0]))

    def call() -> float:
        with torch.inference_mode():
            return float(model(x).numpy()[0, 0])

    return call


def recurrent_step(
    kind: str, batch: int, steps: int, inputs: int, units: int
) -> Callable[[], float]:
    net = getattr(torch.nn, kind.upper())(inputs, units, batch_first=True)
    descent = torch.optim.SGD(net.parameters(), 0.01)
    x = torch.tensor(data.uniform(batch, steps, inputs))

    def call() -> float:
        descent.zero_grad()
        loss = net(x)[0].square().mean()
        loss.backward()
        descent.step()
        return float(loss.detach())

    return call


def attention_step(batch: int, steps: int, heads: int, width: int) -> Callable[[], float]:
    shape = (batch, heads, steps, width)
    operands = [torch.tensor(data.uniform(*shape, seed=s)).requires_grad_() for s in (1, 2, 3)]
    weigh = torch.tensor(data.uniform(*shape, seed=4))
    descent = torch.optim.SGD(operands, 0.01)

    def call() -> float:
        descent.zero_grad()
        loss = (functional.scaled_dot_product_attention(*operands, is_causal=True) * weigh).sum()
        loss.backward()
        descent.step()
        return float(loss.detach())

    return call


def embedding_step(rows: int, width: int, batch: int, steps: int) -> Callable[[], float]:
    table = torch.nn.Embedding(rows, width)
    adam = torch.optim.Adam(table.parameters(), fused=True)
    ids = torch.tensor(np.random.default_rng(5).integers(0, rows, (batch, steps)))

    def call() -> float:
        adam.zero_grad()
        loss = table(ids).square().mean()
        loss.backward()
        adam.step()
        return float(loss.detach())

    return call


def embedding_epoch(
    rows: int, width: int, batch: int, steps: int, batches: int
) -> Callable[[], float]:
    table = torch.nn.Embedding(rows, width)
    adam = torch.optim.Adam(table.parameters(), fused=True)
    tokens = np.random.default_rng(5).integers(0, rows, (batches, batch, steps))
    ids = list(torch.tensor(tokens))

    def call() -> float:
        total = torch.zeros(())
        for one in ids:
            adam.zero_grad()
            loss = table(one).mean(1).square().mean()
            loss.backward()
            adam.step()
            total += loss.detach()
        return float(total) / batches

    return call


class _Block(torch.nn.Module):
    """A block of GPT-2: norms first, one product for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(width) for _ in range(2))
        self.sides, self.out = torch.nn.Linear(width, 3 * width), torch.nn.Linear(width, width)
        self.wide, self.narrow = (
            torch.nn.Linear(width, 4 * width),
            torch.nn.Linear(4 * width, width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, steps, width = x.shape
        sides = self.sides(self.norms[0](x)).view(batch, steps, 3, self.heads, width // self.heads)
        q, k, v = sides.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, steps, width))
        return x + self.narrow(functional.gelu(self.wide(self.norms[1](x)), approximate="tanh"))


class _Gpt(torch.nn.Module):
    def __init__(self, layers: int, heads: int, width: int, steps: int, tokens: int) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(tokens, width)
        self.places = torch.nn.Parameter(torch.randn(steps, width) * 0.02)
        self.blocks = torch.nn.Sequential(*(_Block(width, heads) for _ in range(layers)))
        self.norm = torch.nn.LayerNorm(width)
        torch.nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        scores = self.norm(self.blocks(self.table(x) + self.places)) @ self.table.weight.T
        return functional.cross_entropy(scores.flatten(0, 1), y.flatten())


def gpt_step(
    layers: int, heads: int, width: int, steps: int, batch: int, tokens: int,
    policy: str = "float32", variant: str = "",
) -> Callable[[], float]:  # fmt: skip
    text = torch.tensor(np.random.default_rng(5).integers(0, tokens, (batch, steps + 1)))
    net = _Gpt(layers, heads, width, steps, tokens)
    adam = torch.optim.Adam(net.parameters(), fused=True)
    forward = torch.compile(net) if variant == "compile" else net
    x, y = text[:, :-1].contiguous(), text[:, 1:].contiguous()

    def call() -> float:
        adam.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=policy == "mixed_bfloat16"):
            loss = forward(x, y)
        loss.backward()
        adam.step()
        return float(loss.detach())

    return call
