# SPDX-License-Identifier: Apache-2.0
"""A small Llama: RMSNorm, RoPE, grouped-query attention, SwiGLU, tied embeddings.

Parameter names and conventions are Hugging Face's, so that ``state_dict`` is the checkpoint.
Shapes: B rows, T positions, D width, H heads, V vocabulary.
"""
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class Shape:
    vocab: int = 1024
    width: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 384
    context: int = 512
    theta: float = 10000.0
    eps: float = 1e-5

    @property
    def head_dim(self):
        return self.width // self.heads


class RMSNorm(nn.Module):
    def __init__(self, d, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(d)), eps

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


def rotate(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-b, a), dim=-1) * sin


class Attention(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.s = s
        self.q_proj = nn.Linear(s.width, s.heads * s.head_dim, bias=False)
        self.k_proj = nn.Linear(s.width, s.kv_heads * s.head_dim, bias=False)
        self.v_proj = nn.Linear(s.width, s.kv_heads * s.head_dim, bias=False)
        self.o_proj = nn.Linear(s.heads * s.head_dim, s.width, bias=False)

    def forward(self, x, cos, sin, mask, past):
        s, (b, t, _) = self.s, x.shape
        q = self.q_proj(x).view(b, t, s.heads, s.head_dim).transpose(1, 2)
        k = self.k_proj(x).view(b, t, s.kv_heads, s.head_dim).transpose(1, 2)
        v = self.v_proj(x).view(b, t, s.kv_heads, s.head_dim).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if past is not None:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        now = (k, v)
        r = s.heads // s.kv_heads
        o = F.scaled_dot_product_attention(q, k.repeat_interleave(r, 1),
                                           v.repeat_interleave(r, 1), attn_mask=mask,
                                           is_causal=mask is None and t > 1)
        return self.o_proj(o.transpose(1, 2).reshape(b, t, -1)), now


class MLP(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.gate_proj = nn.Linear(s.width, s.hidden, bias=False)
        self.up_proj = nn.Linear(s.width, s.hidden, bias=False)
        self.down_proj = nn.Linear(s.hidden, s.width, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.self_attn, self.mlp = Attention(s), MLP(s)
        self.input_layernorm = RMSNorm(s.width, s.eps)
        self.post_attention_layernorm = RMSNorm(s.width, s.eps)

    def forward(self, x, cos, sin, mask, past):
        h, now = self.self_attn(self.input_layernorm(x), cos, sin, mask, past)
        x = x + h
        return x + self.mlp(self.post_attention_layernorm(x)), now


class Body(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.embed_tokens = nn.Embedding(s.vocab, s.width)
        self.layers = nn.ModuleList(Block(s) for _ in range(s.layers))
        self.norm = RMSNorm(s.width, s.eps)


class Llama(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.s, self.model = s, Body(s)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                std = 0.04 if "embed" in name else p.shape[1] ** -0.5
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    std /= (2 * s.layers) ** 0.5
                nn.init.normal_(p, std=std)
        f = s.theta ** (-torch.arange(0, s.head_dim, 2).float() / s.head_dim)
        angle = torch.outer(torch.arange(s.context).float(), f)
        angle = torch.cat((angle, angle), dim=-1)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def hidden(self, ids, positions=None, mask=None, past=None):
        """[B, T] ids -> [B, T, D] states after the last norm, and the keys and values."""
        x = self.model.embed_tokens(ids)
        if positions is None:
            cos, sin = self.cos[:ids.shape[1]], self.sin[:ids.shape[1]]
        else:
            cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        now = []
        for i, layer in enumerate(self.model.layers):
            x, kv = layer(x, cos, sin, mask, None if past is None else past[i])
            now.append(kv)
        return self.model.norm(x), now

    def head(self, h):
        return F.linear(h, self.model.embed_tokens.weight)


@torch.no_grad()
def sample(model, prompts, draws, max_tokens, stop_id, temperature=1.0, generator=None):
    """``draws`` completions of each prompt (lists of ids) at the plain law.

    Returns ids [len(prompts)*draws, max_tokens] (stop_id after the stop) and whether each row
    stopped by itself; row q*draws+j is draw j of prompt q."""
    n, longest = len(prompts), max(len(p) for p in prompts)
    ids = torch.zeros(n, longest, dtype=torch.long)
    keep = torch.zeros(n, longest, dtype=torch.bool)
    for i, p in enumerate(prompts):                      # padded on the left
        ids[i, longest - len(p):] = torch.tensor(p)
        keep[i, longest - len(p):] = True
    positions = (keep.long().cumsum(1) - 1).clamp(min=0)
    causal = torch.ones(longest, longest, dtype=torch.bool).tril()
    mask = keep[:, None, None, :] & causal
    mask = mask | torch.eye(longest, dtype=torch.bool)   # a padded row still sees itself
    h, past = model.hidden(ids, positions, mask)
    # One row per distinct prefix: draws that agree so far share it.
    h, position = h[:, -1], positions[:, -1] + 1
    out = torch.full((n * draws, max_tokens), stop_id, dtype=torch.long)
    done = torch.zeros(n * draws, dtype=torch.bool)
    live = torch.arange(n * draws)                       # draws that have not stopped yet
    node = live // draws                                 # and the row of each
    for t in range(max_tokens):
        p = torch.softmax(model.head(h) / temperature, -1)
        token = torch.multinomial(p[node], 1, generator=generator)[:, 0]
        out[live, t] = token
        done[live[token == stop_id]] = True
        go = token != stop_id
        live, node, token = live[go], node[go], token[go]
        if len(live) == 0 or t + 1 == max_tokens:
            break
        key, node = torch.unique(node * model.s.vocab + token, return_inverse=True)
        parent, token = key // model.s.vocab, key % model.s.vocab
        past = [(k[parent], v[parent]) for k, v in past]
        keep = torch.cat((keep[parent], torch.ones(len(parent), 1, dtype=torch.bool)), 1)
        position = position[parent]
        h, past = model.hidden(token[:, None], position[:, None], keep[:, None, None, :], past)
        h, position = h[:, -1], position + 1
    return out, done
