#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""semcal against llama.cpp, Transformers and PyTorch on one machine; scripts/bench_peers.sh runs it.

One checkpoint for all: random bf16 weights of the Qwen2.5-0.5B shape with a scaled head, as a Hugging Face folder and
as GGUF.  Every figure is a process of its own; engines take turns round after round, ratios are taken within a round.
`--wrap COMMAND` puts a command in front of every measured process (to keep a shared machine quiet).
"""
import argparse
import csv
import ctypes
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

LAYERS, WIDTH, HEADS, KV_HEADS, HEAD, MLP, VOCABULARY = 24, 896, 14, 2, 64, 4864, 151936
PROMPT, TOKENS, DRAWS = 256, 16, 50


# ---- the checkpoint ----

def tensors(layers):
    """Names and shapes in Hugging Face's terms; standard deviation 1 / sqrt(inputs), gains 1, small biases."""
    yield "model.embed_tokens.weight", (VOCABULARY, WIDTH)
    for i in range(layers):
        p = f"model.layers.{i}."
        for name, rows in (("q", HEADS * HEAD), ("k", KV_HEADS * HEAD), ("v", KV_HEADS * HEAD)):
            yield f"{p}self_attn.{name}_proj.weight", (rows, WIDTH)
            yield f"{p}self_attn.{name}_proj.bias", (rows,)
        yield p + "self_attn.o_proj.weight", (WIDTH, HEADS * HEAD)
        yield p + "mlp.gate_proj.weight", (MLP, WIDTH)
        yield p + "mlp.up_proj.weight", (MLP, WIDTH)
        yield p + "mlp.down_proj.weight", (WIDTH, MLP)
        yield p + "input_layernorm.weight", (WIDTH,)
        yield p + "post_attention_layernorm.weight", (WIDTH,)
    yield "model.norm.weight", (WIDTH,)


GGUF_NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
              "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
              "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


def gguf_name(name):
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, rest = name.split(".", 3)
    stem, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{GGUF_NAMES[stem]}.{kind}"


def make(folder, head_scale):
    """`folder`/hf and `folder`/model.gguf, unless they are there for this scale."""
    import gguf
    import torch
    from safetensors.torch import save_file
    hf, stamp = folder / "hf", folder / "head_scale"
    if stamp.exists() and stamp.read_text() == repr(head_scale):
        return
    hf.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(1)
    made = {}
    for name, shape in tensors(LAYERS):
        if len(shape) == 2:
            value = torch.randn(shape, generator=generator) / shape[1] ** 0.5
        elif name.endswith("bias"):
            value = torch.randn(shape, generator=generator) * 0.02
        else:
            value = torch.full(shape, head_scale if name == "model.norm.weight" else 1.0)
        made[name] = value.to(torch.bfloat16)
    save_file(made, hf / "model.safetensors", metadata={"format": "pt"})
    config = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": VOCABULARY,
              "hidden_size": WIDTH, "intermediate_size": MLP, "num_hidden_layers": LAYERS,
              "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "hidden_act": "silu",
              "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
              "use_sliding_window": False, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
              "bos_token_id": None, "eos_token_id": None}
    (hf / "config.json").write_text(json.dumps(config, indent=1))

    writer = gguf.GGUFWriter(folder / "model.gguf", "qwen2")
    writer.add_name("random")
    writer.add_context_length(32768)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("no_vocab")
    for name, value in made.items():
        if value.dim() == 2:
            raw = value.view(torch.uint8).numpy()
            writer.add_tensor(gguf_name(name), raw, raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(gguf_name(name), value.float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    stamp.write_text(repr(head_scale))


def prompt_tokens(question, length):
    """Token t of question q: SplitMix64 of both, as in host/cli/bench_job.c."""
    import numpy as np
    with np.errstate(over="ignore"):
        x = (np.uint64(question) << np.uint64(20) | np.arange(length, dtype=np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        x = x ^ x >> np.uint64(31)
    return (x % np.uint64(VOCABULARY)).astype(np.int64)


# ---- llama.cpp ----

class Llama:
    """Its low-level batch calls: a prompt decoded once and copied to many sequences, one batch per step."""

    def __init__(self, path, n_sequences, n_context, threads, unified, flash):
        import llama_cpp
        import numpy as np
        self.c, self.np = llama_cpp, np
        self.silence = llama_cpp.llama_log_callback(lambda level, text, user: None)
        llama_cpp.llama_log_set(self.silence, None)
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        p = llama_cpp.llama_context_default_params()
        p.n_ctx = n_context if unified else n_context * n_sequences
        p.n_batch = p.n_ubatch = 512
        p.n_seq_max = n_sequences
        p.n_threads = p.n_threads_batch = threads
        p.kv_unified = unified
        p.flash_attn_type = 1 if flash else 0
        p.no_perf = True
        self.context = llama_cpp.llama_init_from_model(self.model, p)
        if not self.context:
            raise RuntimeError("llama.cpp made no context")
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.batch = llama_cpp.llama_batch_init(512, 0, 1)

    def decode(self, tokens, positions, sequences, wanted):
        b = self.batch
        b.n_tokens = len(tokens)
        for i in range(len(tokens)):
            b.token[i], b.pos[i], b.n_seq_id[i] = int(tokens[i]), int(positions[i]), 1
            b.seq_id[i][0], b.logits[i] = int(sequences[i]), bool(wanted[i])
        if self.c.llama_decode(self.context, b) != 0:
            raise RuntimeError("llama_decode failed")

    def logits(self, n):
        pointer = self.c.llama_get_logits(self.context)
        address = ctypes.cast(pointer, ctypes.c_void_p).value
        return self.np.ctypeslib.as_array((ctypes.c_float * (n * VOCABULARY)).from_address(address)) \
            .reshape(n, VOCABULARY)

    def prompt(self, tokens):
        self.c.llama_memory_clear(self.memory, False)
        n = len(tokens)
        self.decode(tokens, range(n), [0] * n, [i == n - 1 for i in range(n)])

    def spread(self, n):
        for s in range(1, n):
            self.c.llama_memory_seq_cp(self.memory, 0, s, -1, -1)


BLOCK = 128  # divides the vocabulary


def draw(torch, logits, n, generator):
    """n tokens per row and their log-probabilities by two-level inverse CDF, vectorized over rows: one softmax, sums
    over 1187 blocks as a product, cumulative sums over blocks and inside the block found.  The fastest of the forms
    tried; llama.cpp's own sampler, logsumexp + cumsum and multinomial take several times as long."""
    if draw.room is None or draw.room.shape != logits.shape:
        draw.room, draw.ones = torch.empty_like(logits), torch.ones(BLOCK)
    law = torch.softmax(logits, -1, out=draw.room)
    blocks = law.view(logits.shape[0], -1, BLOCK)
    cdf = torch.mv(law.view(-1, BLOCK), draw.ones).view(logits.shape[0], -1).double().cumsum(-1)
    u = torch.rand(logits.shape[0], n, generator=generator, dtype=torch.float64) * cdf[:, -1:]
    block = torch.searchsorted(cdf, u, right=True).clamp_(max=cdf.shape[1] - 1)
    rest = u - torch.where(block > 0, cdf.gather(-1, (block - 1).clamp_(min=0)), 0.0)
    inside = blocks[torch.arange(logits.shape[0])[:, None], block].double().cumsum(-1)
    token = block * BLOCK + torch.searchsorted(inside, rest[..., None], right=True)[..., 0].clamp_(max=BLOCK - 1)
    return token, law.gather(-1, token).log_()


draw.room = draw.ones = None  # pages already touched


def llama_job(args):
    import torch
    torch.set_num_threads(args.threads)
    engine = Llama(args.folder / "model.gguf", DRAWS, PROMPT + DRAWS * TOKENS if args.unified else PROMPT + TOKENS,
                   args.threads, args.unified, args.flash)
    generator = torch.Generator().manual_seed(1)
    seconds, parts, first = [], {"prompt": 0.0, "decode": 0.0, "draw": 0.0}, None
    for q in range(-1, args.questions):  # question -1 warms up
        tokens = prompt_tokens(q if q >= 0 else 1 << 30, PROMPT)
        start = time.perf_counter()
        engine.prompt(tokens)
        logits = torch.from_numpy(engine.logits(1))
        token, logprob = draw(torch, logits, DRAWS, generator)
        if q == 0:
            first = float((logits - torch.logsumexp(logits, -1, keepdim=True)).max())
        token, logprobs = token[0], [logprob[0]]
        engine.spread(DRAWS)
        mark = time.perf_counter()
        spent = {"prompt": mark - start, "decode": 0.0, "draw": 0.0}
        for step in range(1, TOKENS if q >= 0 else 2):
            engine.decode(token.tolist(), [PROMPT + step - 1] * DRAWS, range(DRAWS), [True] * DRAWS)
            logits = torch.from_numpy(engine.logits(DRAWS))
            now = time.perf_counter()
            spent["decode"] += now - mark
            token, logprob = draw(torch, logits, 1, generator)
            token = token[:, 0]
            logprobs.append(logprob[:, 0])
            mark = time.perf_counter()
            spent["draw"] += mark - now
        if q >= 0:
            seconds.append(time.perf_counter() - start)
            parts = {k: parts[k] + spent[k] for k in parts}
    return {"seconds": seconds, "parts": parts, "first_top": first}


def llama_decode(args):
    """Seconds of one step, one token for each of n sequences after a shared prompt of 128 tokens; no drawing."""
    out = {}
    for n in (1, 8, 50):
        engine = Llama(args.folder / "model.gguf", n, 128 + n * 24 if args.unified else 256, args.threads,
                       args.unified, args.flash)
        engine.prompt(prompt_tokens(0, 128))
        engine.spread(n)
        seconds = []
        for step in range(10):
            start = time.perf_counter()
            engine.decode([(step * 31 + s * 37 + 11) % VOCABULARY for s in range(n)], [128 + step] * n, range(n),
                          [True] * n)
            engine.logits(n)
            seconds.append(time.perf_counter() - start)
        out[str(n)] = statistics.median(seconds[2:])
        engine.c.llama_free(engine.context)
        engine.c.llama_model_free(engine.model)
    return {"seconds": out}


# ---- Transformers ----

def hf_job(args):
    """`generate(num_return_sequences=50)`; with --cached the prompt is computed once and its cache repeated."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(args.folder / "hf", dtype=dtype).eval()
    seconds, first = [], None
    for q in range(-1, args.questions):
        warm = q < 0
        prompt = torch.from_numpy(prompt_tokens((1 << 30) if warm else q, PROMPT))[None]
        settings = GenerationConfig(do_sample=True, temperature=1.0, top_k=0, top_p=1.0, pad_token_id=0,
                                    max_new_tokens=2 if warm else TOKENS, min_new_tokens=2 if warm else TOKENS,
                                    return_dict_in_generate=True, output_logits=True)
        start = time.perf_counter()
        with torch.inference_mode():
            if args.cached:
                cache = model(prompt[:, :-1], use_cache=True, logits_to_keep=1).past_key_values
                cache.batch_repeat_interleave(DRAWS)
                out = model.generate(prompt.repeat(DRAWS, 1), attention_mask=torch.ones(DRAWS, PROMPT, dtype=int),
                                     past_key_values=cache, generation_config=settings)
            else:
                settings.num_return_sequences = 2 if warm else DRAWS
                out = model.generate(prompt, attention_mask=torch.ones_like(prompt), generation_config=settings)
            model.compute_transition_scores(out.sequences, out.logits, normalize_logits=True)
        if not warm:
            seconds.append(time.perf_counter() - start)
        if q == 0:
            first = float(out.logits[0][0].float().log_softmax(-1).max())
    return {"seconds": seconds, "first_top": first}


# ---- PyTorch's row kernels ----

def torch_rows(args):
    """log_softmax, multinomial and gather over [256, 151936], 50 draws a row."""
    import torch
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    logits = torch.randn(256, VOCABULARY) * 3
    seconds = {"log_softmax": [], "log_softmax + multinomial + gather": []}
    for _ in range(args.rounds):
        with torch.inference_mode():
            start = time.perf_counter()
            law = torch.log_softmax(logits, -1)
            middle = time.perf_counter()
            token = torch.multinomial(law.exp_(), DRAWS, replacement=True)
            law.gather(-1, token).log_()
            end = time.perf_counter()
        seconds["log_softmax"].append(middle - start)
        seconds["log_softmax + multinomial + gather"].append(end - start)
    return {"seconds": {k: statistics.median(v[1:] or v) for k, v in seconds.items()}}


# ---- the comparison ----

def versions():
    from importlib.metadata import version
    return {p: version(p) for p in ("llama-cpp-python", "torch", "transformers", "gguf", "numpy")}


def processor():
    try:
        text = Path("/proc/cpuinfo").read_text()
        flags = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {f}" in text]
        return next(l.split(":", 1)[1].strip() for l in text.splitlines() if l.startswith("model name")) + \
            f", {' '.join(flags)}"
    except (OSError, StopIteration):
        return platform.processor()


class Table:
    """What was measured, and the lines of the result."""

    def __init__(self, args):
        self.args, self.lines, self.part = args, [], ""

    def process(self, *words):
        command = shlex.split(self.args.wrap) + [str(w) for w in words]
        environment = dict(os.environ, OMP_NUM_THREADS=str(self.args.threads), POCL_MAX_PTHREAD_COUNT=str(
            self.args.threads), HF_HUB_OFFLINE="1")
        for attempt in (1, 2):
            done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=False)
            if done.returncode == 0:
                return json.loads(done.stdout)
            print(f"bench_peers: attempt {attempt} failed ({done.returncode}): {shlex.join(map(str, words))}",
                  file=sys.stderr)
        raise SystemExit(4)

    def worker(self, what, *words):
        return self.process(sys.executable, __file__, what, "--folder", self.args.folder, "--threads",
                            self.args.threads, *words)

    def semcal(self, *words):
        found = self.process(self.args.semcal, "bench", *words, "--json")
        return {r["name"]: r for r in found["results"]}

    def add(self, what, engine, values, unit, against=None, command=""):
        """`values` per round; `against`: the same rounds of what the ratio is relative to."""
        line = {"part": self.part, "what": what, "engine": engine, "unit": unit, "rounds": len(values),
                "median": statistics.median(values), "low": min(values), "high": max(values)}
        if against is not None:
            ratios = [a / b for a, b in zip(values, against)]
            line |= {"semcal_over_it": statistics.median(ratios), "ratio_low": min(ratios), "ratio_high": max(ratios)}
        line["command"] = command.replace(str(self.args.folder), "FOLDER")
        self.lines.append(line)
        ratio = "" if against is None else \
            f"  semcal {line['semcal_over_it']:.2f} x [{line['ratio_low']:.2f} {line['ratio_high']:.2f}]"
        print(f"{what:22} {engine:34} {line['median']:10.3f} [{line['low']:.3f} {line['high']:.3f}] {unit}{ratio}",
              flush=True)


MODES = {"semcal": "auto", "semcal, gemm: bf16": "bf16"}  # fp32 activations, the default; rounded to bf16


def compared(t, own, values):
    """Ratios of both modes to `values`, in the last line."""
    for mode, prefix in zip(own, ("", "bf16_")):
        ratios = [o / v for o, v in zip(own[mode], values)]
        t.lines[-1] |= {(prefix or "semcal_") + "over_it": statistics.median(ratios), prefix + "ratio_low": min(ratios),
                        prefix + "ratio_high": max(ratios)}
        print(f"{'':22} {'':34} {mode} {statistics.median(ratios):.2f} x [{min(ratios):.2f} {max(ratios):.2f}]",
              flush=True)


def hourly(seconds):
    return 3600 * len(seconds) / sum(seconds)


def compare_job(t):
    a = t.args
    engines = {"llama.cpp bf16, batch of 50": ("llama-job", "--questions", a.questions, *a.llama.split())}
    for dtype in a.dtypes.split(","):
        engines[f"Transformers {dtype}, prompt once"] = ("hf-job", "--questions", (a.questions + 3) // 4, "--dtype",
                                                         dtype, "--cached")
    best = a.dtypes.split(",")[0]
    engines[f"Transformers {best}, generate"] = ("hf-job", "--questions", 1, "--dtype", best)
    mine = ("job", "--model", a.folder / "hf", "--questions", 4 * a.questions, "--rounds", 1)
    own, peers, tops, sharing = {m: [] for m in MODES}, {e: [] for e in engines}, {}, {}
    for _ in range(a.rounds):
        for mode, gemm in MODES.items():
            found = t.semcal(*mine, "--gemm", gemm)
            own[mode].append(found["job: questions per hour"]["rate"])
            tops[mode] = found["job: first prompt, best log-prob"]["rate"]
            sharing[mode] = found["job: draws per forward"]["rate"]
        for engine, words in engines.items():
            got = t.worker(*words)
            peers[engine].append(hourly(got["seconds"]))
            tops[engine] = got["first_top"]
    for mode, gemm in MODES.items():
        t.add("job, questions/h", mode, own[mode], "1/h",
              command=f"semcal bench {shlex.join(map(str, mine))} --gemm {gemm}")
        t.add("job, draws/forward", mode, [sharing[mode]], "")
    for engine, values in peers.items():
        t.add("job, questions/h", engine, values, "1/h", command=shlex.join(map(str, engines[engine])))
        compared(t, own, values)
    for engine, top in tops.items():  # the same checkpoint, the same prompt: must agree to bf16
        t.add("first law, best log-prob", engine, [top], "nats")


def compare_decode(t):
    a = t.args
    own, peer = {n: {m: [] for m in MODES} for n in (1, 8, 50)}, {n: [] for n in (1, 8, 50)}
    for _ in range(a.rounds):
        for mode, gemm in MODES.items():
            found = t.semcal("decode", "--unshared", "--rounds", 7, "--gemm", gemm)
            for n in own:
                own[n][mode].append(n / found[f"decode, batch {n}"]["median_s"])
        got = t.worker("llama-decode", *a.llama.split())["seconds"]
        for n in own:
            peer[n].append(n / got[str(n)])
    for n in own:
        for mode, gemm in MODES.items():
            t.add(f"decode, batch {n}", mode, own[n][mode], "token/s",
                  command=f"semcal bench decode --unshared --rounds 7 --gemm {gemm}")
        t.add(f"decode, batch {n}", "llama.cpp bf16", peer[n], "token/s", command="llama-decode " + a.llama)
        compared(t, own[n], peer[n])


def compare_rows(t):
    a = t.args
    own, loss, peer, soft = [], [], [], []
    for _ in range(a.rounds):
        found = t.semcal("kernels", "--only", "rows", "--rounds", 7)
        got = t.worker("torch-rows", "--rounds", 5)["seconds"]
        own.append(found["rows: 50 draws, time on top"]["median_s"] * 1e3)
        loss.append(found["rows: log-loss"]["median_s"] * 1e3)
        peer.append(got["log_softmax + multinomial + gather"] * 1e3)
        soft.append(got["log_softmax"] * 1e3)
    t.add("rows, loss + 50 draws", "semcal", own, "ms", command="semcal bench kernels --only rows --rounds 7")
    t.add("rows, loss + 50 draws", "PyTorch", peer, "ms", against=None, command="torch-rows")
    for values, base in ((peer, own), (soft, loss)):
        ratios = [p / o for p, o in zip(values, base)]
        if values is soft:
            t.add("rows, log-loss", "semcal", loss, "ms")
            t.add("rows, log-loss", "PyTorch log_softmax", soft, "ms")
        t.lines[-1] |= {"semcal_over_it": statistics.median(ratios), "ratio_low": min(ratios),
                        "ratio_high": max(ratios)}
        print(f"{'':22} {'':34} semcal {t.lines[-1]['semcal_over_it']:.2f} x", flush=True)


def curve(t, path, facts):
    """Questions per hour over sharing, llama.cpp beside every round of every point; the ends in as many rounds as all
    else, the points between in one."""
    a = t.args
    scales = a.scales.split(",")
    rows = []
    for scale in scales:
        per_hour = {mode: [] for mode in (*MODES, "llama.cpp")}
        row = {"head_scale": scale}
        for _ in range(a.rounds if scale in (scales[0], scales[-1]) else 1):
            for mode, gemm in MODES.items():
                found = t.semcal("job", "--head-scale", scale, "--questions", 2 * a.questions, "--rounds", 1, "--gemm",
                                 gemm)
                per_hour[mode].append(found["job: questions per hour"]["rate"])
                if mode == "semcal":
                    row |= {"draws_per_forward": found["job: draws per forward"]["rate"],
                            "top_by_forward": found["job: top probability, by forward"]["rate"],
                            "top_by_draw": found["job: top probability, by draw"]["rate"]}
            got = t.worker("llama-job", "--questions", a.questions, *a.llama.split())
            per_hour["llama.cpp"].append(hourly(got["seconds"]))
        ratios = {mode: [o / v for o, v in zip(per_hour[mode], per_hour["llama.cpp"])] for mode in MODES}
        for mode, prefix in zip(MODES, ("", "bf16_")):
            row[prefix + "questions_per_hour"] = statistics.median(per_hour[mode])
        for mode, prefix in zip(MODES, ("", "bf16_")):
            row[prefix + "over_llama"] = statistics.median(ratios[mode])
        row |= {"llama_questions_per_hour": statistics.median(per_hour["llama.cpp"]),
                "rounds": len(per_hour["llama.cpp"])}
        for mode, prefix in zip(MODES, ("", "bf16_")):
            row |= {prefix + "over_llama_low": min(ratios[mode]), prefix + "over_llama_high": max(ratios[mode])}
        rows.append(row)
        print("curve", rows[-1], flush=True)
    write(path, rows, facts)


def write(path, rows, facts):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as out:
        for key, value in facts.items():
            out.write(f"# {key}: {value}\n")
        names = list(dict.fromkeys(k for r in rows for k in r))
        writer = csv.DictWriter(out, names, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def read(path):
    if not path.exists():
        return []
    with open(path, encoding="utf-8") as lines:
        return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def merge(path, lines, facts):
    """Writes `lines`; what an earlier run found for other parts stays."""
    parts = {line["part"] for line in lines}
    write(path, [line for line in read(path) if line["part"] not in parts] + lines, facts)


def run(args):
    make(args.folder, args.head_scale)
    t = Table(args)
    facts = {"processor": processor(), "threads": args.threads, "kernel": platform.release(),
             "head scale": args.head_scale} | versions()
    facts["semcal"] = subprocess.run([args.semcal, "version"], capture_output=True, text=True,
                                     check=True).stdout.strip().replace("\n", ", ")
    for key, value in facts.items():
        print(f"# {key}: {value}")
    parts = args.parts.split(",")
    for name, compare in (("job", compare_job), ("decode", compare_decode), ("rows", compare_rows)):
        if name in parts:
            t.part = name
            compare(t)
            merge(args.out / "peers.csv", t.lines, facts)
    if "curve" in parts:
        curve(t, args.out / "job_sharing.csv", facts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("what", choices=("run", "make", "llama-job", "llama-decode", "hf-job", "torch-rows"))
    parser.add_argument("--folder", type=Path, required=True, help="scratch folder of the checkpoint (2 GB)")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    parser.add_argument("--semcal", default="build/release/semcal")
    parser.add_argument("--wrap", default="", help="command in front of every measured process")
    parser.add_argument("--parts", default="job,decode,rows,curve")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=4, help="of a peer per round; semcal does four times as many")
    parser.add_argument("--head-scale", type=float, default=34.0)
    parser.add_argument("--scales", default="1,8,12,16,22,28,34,45", help="of the curve")
    parser.add_argument("--dtypes", default="bf16,fp32", help="of Transformers, by falling speed")
    parser.add_argument("--llama", default="--unified --flash", help="best settings of llama.cpp here")
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("--cached", action="store_true")
    parser.add_argument("--unified", action="store_true")
    parser.add_argument("--flash", action="store_true")
    args = parser.parse_args()
    if args.what == "run":
        run(args)
    elif args.what == "make":
        make(args.folder, args.head_scale)
    else:
        work = {"llama-job": llama_job, "llama-decode": llama_decode, "hf-job": hf_job, "torch-rows": torch_rows}
        print(json.dumps(work[args.what](args)))


if __name__ == "__main__":
    main()
