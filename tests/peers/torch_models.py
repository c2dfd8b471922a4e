"""The other shapes that garam trains, in PyTorch, for bench/ and the comparisons: gpt, bert, lstm, mlp, DDPG's step.

Written as one would for speed: fused projections, scaled_dot_product_attention, nn.LSTM.
"""

import torch
from torch import nn
from torch.nn import functional as F
from torch_transformer import Block


class Tokens(nn.Module):
    """gpt: causal, pre-norm, a score for the next token at every step. bert: bidirectional, post-norm, masked tokens.
    Both score by the transpose of the embedding."""

    def __init__(self, kind, tokens, d_model, heads, layers, d_ff, dropout, steps):
        super().__init__()
        self.causal = kind == "gpt"
        self.embed = nn.Embedding(tokens, d_model)
        self.position = nn.Parameter(torch.zeros(steps, d_model))
        nn.init.normal_(self.embed.weight, 0, 0.02)
        nn.init.normal_(self.position, 0, 0.02)
        self.dropout = nn.Dropout(dropout)
        norm = "pre" if self.causal else "post"
        self.blocks = nn.ModuleList(Block(d_model, heads, d_ff, dropout, norm, "gelu") for _ in range(layers))
        self.norm = nn.LayerNorm(d_model)
        if not self.causal:
            self.head = nn.Linear(d_model, d_model)
            self.head_norm = nn.LayerNorm(d_model)
            self.scores_bias = nn.Parameter(torch.zeros(tokens))

    def forward(self, x):
        h = self.embed(x) + self.position
        h = self.dropout(h if self.causal else self.norm(h))
        for block in self.blocks:
            h = block(h, self.causal, None)
        if self.causal:
            return F.linear(self.norm(h), self.embed.weight)
        return F.linear(self.head_norm(F.gelu(self.head(h))), self.embed.weight, self.scores_bias)


class Recurrent(nn.Module):
    def __init__(self, features, classes, hidden, layers, dropout):
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, classes)

    def forward(self, x):
        h, _ = self.lstm(x)
        return self.out(self.dropout(h[:, -1]))


class Perceptron(nn.Module):
    def __init__(self, inputs, classes, hidden, layers, dropout):
        super().__init__()
        parts = []
        for _ in range(layers):
            parts += [nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout)]
            inputs = hidden
        self.net = nn.Sequential(nn.Flatten(), *parts, nn.Linear(inputs, classes))

    def forward(self, x):
        return self.net(x)


def net(inputs, first, second, outputs, last=None):
    parts = [nn.Linear(inputs, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, outputs)]
    return nn.Sequential(*parts, *([last] if last else []))


class Ddpg:
    """One learning step of DDPG: targets, the critic, the actor, and the slow copies of both."""

    def __init__(self, observation, action, first, second, batch, compiled):
        def pair():
            return net(observation, first, second, action, nn.Tanh()), net(observation + action, first, second, 1)

        (self.actor, self.critic), (self.slow_actor, self.slow_critic) = pair(), pair()
        for slow, fast in ((self.slow_actor, self.actor), (self.slow_critic, self.critic)):
            slow.load_state_dict(fast.state_dict())
            slow.requires_grad_(False)
        self.slow = [*self.slow_actor.parameters(), *self.slow_critic.parameters()]
        self.fast = [*self.actor.parameters(), *self.critic.parameters()]
        self.actor_optimiser = torch.optim.AdamW(self.actor.parameters(), lr=1e-3, weight_decay=0, fused=True)
        self.critic_optimiser = torch.optim.AdamW(self.critic.parameters(), lr=1e-3, weight_decay=0, fused=True)
        self.s, self.next = torch.randn(batch, observation), torch.randn(batch, observation)
        self.a, self.r = torch.randn(batch, action).tanh(), torch.randn(batch, 1)
        self.discount = 0.99 * (torch.rand(batch, 1) < 0.95)
        self.losses = torch.compile(self.critic_loss) if compiled else self.critic_loss
        self.climb = torch.compile(self.actor_loss) if compiled else self.actor_loss

    def critic_loss(self, s, a, r, discount, after):
        with torch.no_grad():
            y = r + discount * self.slow_critic(torch.cat([after, self.slow_actor(after)], 1))
        return F.mse_loss(self.critic(torch.cat([s, a], 1)), y)

    def actor_loss(self, s):
        return -self.critic(torch.cat([s, self.actor(s)], 1)).mean()

    def step(self):
        self.critic_optimiser.zero_grad(set_to_none=True)
        loss = self.losses(self.s, self.a, self.r, self.discount, self.next)
        loss.backward()
        self.critic_optimiser.step()
        self.critic.requires_grad_(False)
        self.actor_optimiser.zero_grad(set_to_none=True)
        self.climb(self.s).backward()
        self.actor_optimiser.step()
        self.critic.requires_grad_(True)
        with torch.no_grad():
            torch._foreach_lerp_(self.slow, self.fast, 0.005)
        return loss
