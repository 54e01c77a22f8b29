"""The rows about sequences: recurrent layers, attention and embeddings, a training step each."""

from __future__ import annotations

from rows import Row, versus


def sequences() -> list[Row]:
    """A step is values, gradients and a plain update; nothing but the loss is read."""
    group, rows = "Sequences", []
    for kind, batch, steps, inputs, units, goal in (
        ("lstm", 32, 28, 28, 128, 1.4),
        ("lstm", 32, 100, 128, 256, 1.4),
        ("lstm", 1, 100, 64, 64, 5.0),
        ("gru", 32, 28, 28, 128, 2.0),
        ("gru", 1, 100, 64, 64, 10.0),
    ):
        title = f"{kind.upper()} of {units}, batch {batch}, {steps} steps, a training step"
        params = {"kind": kind, "batch": batch, "steps": steps, "inputs": inputs, "units": units}
        rows.append(Row(group, title, "recurrent_step", params, versus(2, "torch"),
                        {"torch": goal}))  # fmt: skip
    for batch, steps, heads, width in ((8, 128, 4, 32), (16, 256, 6, 64), (2, 1024, 8, 64)):
        title = f"causal attention {batch}x{steps}x{heads}x{width}, forward and backward"
        params = {"batch": batch, "steps": steps, "heads": heads, "width": width}
        rows.append(Row(group, title, "attention_step", params, versus(2, "torch", "jax"),
                        {"torch": 1.3}))  # fmt: skip
    rows.append(Row(group, "embedding 20000x64, 32x100 tokens, a step of Adam", "embedding_step",
                    {"rows": 20000, "width": 64, "batch": 32, "steps": 100}, versus(2, "torch"),
                    {"torch": 6.0}))  # fmt: skip
    rows.append(Row(group, "embedding 20000x64, 32x100 other tokens each step, 64 steps of Adam",
                    "embedding_epoch",
                    {"rows": 20000, "width": 64, "batch": 32, "steps": 100, "batches": 64},
                    versus(2, "torch"), {"torch": 6.0}))  # fmt: skip
    for name, goal, layers, heads, width, steps, batch, policy in (
        ("small", 1.5, 4, 4, 128, 128, 8, "float32"),
        ("large", 1.15, 6, 6, 384, 256, 16, "float32"),
        ("large in bfloat16", 1.0, 6, 6, 384, 256, 16, "mixed_bfloat16"),
    ):
        title = f"GPT {name}: {layers} layers of {width}, {batch}x{steps} letters, a step of Adam"
        params = {"layers": layers, "heads": heads, "width": width, "steps": steps, "batch": batch}
        if policy != "float32":
            params["policy"] = policy
        rows.append(Row(group, title, "gpt_step", {**params, "tokens": 256},
                        versus(2, "torch", "torch/compile"),
                        {"torch": goal, "torch compile": goal}))  # fmt: skip
    return rows
