"""The trading transformer in PyTorch, written for speed: fused projections, scaled_dot_product_attention.

Used as an oracle (tests/peers) and as the opponent (bench/). Weight names follow garam's packages; garam keeps matrices
as (in, out), PyTorch as (out, in).
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


def sinusoidal(steps, d_model):
    position = torch.arange(steps, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, d_model, 2, dtype=torch.float64) * (-math.log(10000.0) / d_model))
    table = torch.zeros(steps, d_model, dtype=torch.float64)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate[: d_model // 2])
    return table


class Block(nn.Module):
    def __init__(self, d_model, heads, d_ff, dropout, norm, activation):
        super().__init__()
        self.heads, self.rate, self.pre = heads, dropout, norm == "pre"
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)
        self.up = nn.Linear(d_model, d_ff)
        self.down = nn.Linear(d_ff, d_model)
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        self.activation = F.gelu if activation == "gelu" else F.relu

    def attention(self, x, causal, mask):
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=causal and mask is None, dropout_p=self.rate if self.training else 0.0
        )
        return self.out(y.transpose(1, 2).reshape(b, t, d))

    def feed_forward(self, x):
        return self.down(self.dropout(self.activation(self.up(x))))

    def forward(self, x, causal, mask):
        if self.pre:
            x = x + self.dropout(self.attention(self.norm1(x), causal, mask))
            return x + self.dropout(self.feed_forward(self.norm2(x)))
        x = self.norm1(x + self.dropout(self.attention(x, causal, mask)))
        return self.norm2(x + self.dropout(self.feed_forward(x)))


class Transformer(nn.Module):
    def __init__(self, features, classes, d_model, heads, layers, d_ff, dropout, steps, norm="post",
                 activation="relu", causal=False, positions="sinusoidal", pooling="mean"):
        super().__init__()
        self.causal, self.pooling = causal, pooling
        self.embed = nn.Linear(features, d_model)
        if positions == "learned":
            self.position = nn.Parameter(torch.zeros(steps, d_model))
        else:
            self.register_buffer("position", sinusoidal(steps, d_model).float())
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            Block(d_model, heads, d_ff, dropout, norm, activation) for _ in range(layers)
        )
        self.final_norm = nn.LayerNorm(d_model) if norm == "pre" else nn.Identity()
        self.head1 = nn.Linear(d_model, d_model // 2)
        self.head2 = nn.Linear(d_model // 2, classes)

    def forward(self, x, begin=None):
        b, t, _ = x.shape
        mask = None
        if begin is not None:
            mask = (torch.arange(t)[None, :] >= begin[:, None])[:, None, None, :]
            if self.causal:
                mask = mask & torch.ones(t, t, dtype=torch.bool).tril()
            # a padded row of a causal window has no key at all: let it see itself, it is never read
            mask = mask | torch.eye(t, dtype=torch.bool)
        h = self.dropout(self.embed(x) + self.position[:t].to(x.dtype))
        for block in self.blocks:
            h = block(h, self.causal, mask)
        h = self.final_norm(h)
        if self.pooling == "last":
            h = h[:, -1]
        elif begin is None:
            h = h.mean(dim=1)
        else:
            keep = (torch.arange(t)[None, :] >= begin[:, None])[:, :, None].to(h.dtype)
            h = (h * keep).sum(dim=1) / keep.sum(dim=1)
        return self.head2(self.dropout(F.relu(self.head1(h))))
