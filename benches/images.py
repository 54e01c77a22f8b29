"""The rows about images beside convolutions: batch normalisation and resizing, with gradients."""

from __future__ import annotations

from rows import Row, versus

PEERS = ("torch", "torch/channels_last", "jax")
GOALS = {"best": 1.5}


def images() -> list[Row]:
    """A step is the result and every gradient for one that is given."""
    group, rows = "Images", []
    for batch, size, channels in ((32, 28, 64), (8, 56, 256), (64, 7, 512)):
        title = f"batch normalization {batch}x{size}x{size}x{channels}, forward and backward"
        params = {"images": batch, "size": size, "channels": channels}
        rows.append(Row(group, title, "batch_norm_step", params, versus(2, *PEERS), GOALS))
    for batch, size, to, channels in ((8, 224, 112, 3), (8, 112, 224, 3), (8, 28, 56, 64)):
        title = f"bilinear resizing {batch}x{size}x{size}x{channels} to {to}, forward and backward"
        params = {"images": batch, "size": size, "to": to, "channels": channels}
        rows.append(Row(group, title, "resize_step", params, versus(2, *PEERS), GOALS))
    return rows
