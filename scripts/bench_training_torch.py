#!/usr/bin/env python3
"""SASRec in plain PyTorch, as one writes it by hand: scripts/bench_training_torch.py EXAMPLES.npz SETTINGS.json

Runs in an environment of its own that has torch and numpy. Every example is padded to one length, attention masks the
future and padding and drops out some of its weights, as the paper does, and the loss is the cross entropy over all items at
the positions that have a target. With `fused` in the settings attention masks the future alone and drops out nothing, which
lets PyTorch compute it without writing the weights out. Prints the seconds of each epoch as one JSON list.

Reference: Kang and McAuley 2018, https://arxiv.org/abs/1808.09781; Klenitskiy and Vasilev 2023, https://arxiv.org/abs/2309.07602
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch  # type: ignore[import-not-found]  # of the environment that runs this
from torch import nn
from torch.nn import functional  # type: ignore[import-not-found]


class Block(nn.Module):
    """Pre-norm self-attention and feed-forward."""

    def __init__(self, dim: int, heads: int, dropout: float, fused: bool) -> None:
        super().__init__()
        self.heads, self.rate, self.fused = heads, dropout, fused
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.inputs, self.output = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, 4 * dim), nn.ReLU(), nn.Linear(4 * dim, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """x (batch, length, dim); mask (batch, 1, length, length), true where a row may look at a column."""
        batch, length, dim = x.shape
        parts = self.inputs(self.attention_norm(x)).view(batch, length, 3, self.heads, dim // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        if self.fused:
            found = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            found = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=self.rate)
        x = x + self.dropout(self.output(found.transpose(1, 2).reshape(batch, length, dim)))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))


class SASRec(nn.Module):
    def __init__(self, items: int, length: int, dim: int, heads: int, blocks: int, dropout: float, fused: bool) -> None:
        super().__init__()
        self.items, self.places = nn.Embedding(items, dim, padding_idx=0), nn.Embedding(length, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout, fused) for _ in range(blocks))
        self.norm, self.dropout, self.scale = nn.LayerNorm(dim), nn.Dropout(dropout), dim**0.5
        for table in (self.items, self.places):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        length = items.shape[1]
        past = torch.ones(length, length, dtype=torch.bool, device=items.device).tril()
        mask = (past & (items != 0)[:, None, :] | torch.eye(length, dtype=torch.bool, device=items.device))[:, None]
        x = self.dropout(self.items(items) * self.scale + self.places.weight[:length])
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x)


def main() -> None:
    examples, given = np.load(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    torch.set_num_threads(given["threads"])
    torch.manual_seed(0)
    items, targets, valid = (torch.from_numpy(examples[name]).to(given["device"]) for name in ("items", "targets", "valid"))
    sizes = [given[name] for name in ("dim", "heads", "blocks", "dropout", "fused")]
    model = SASRec(given["items"], items.shape[1], *sizes).to(given["device"])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    seconds = []
    for _ in range(given["epochs"]):
        start = time.monotonic()
        for rows in torch.randperm(len(items)).split(given["batch_size"]):
            wanted = valid[rows]
            logits = model(items[rows])[wanted] @ model.items.weight.T
            loss = functional.cross_entropy(logits, targets[rows][wanted])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        loss.item()  # a GPU is asked for much before it has done it
        seconds.append(time.monotonic() - start)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
