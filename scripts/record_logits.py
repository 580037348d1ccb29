#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records what `semcal perturb` needs from a causal language model of Transformers, reading a text.

Writes into the folder OUT, in safetensors:
    hidden.safetensors   hidden   [N, D]  what the output embedding is applied to: final norm and all, in --dtype
    head.safetensors     head     [V, D]  the output embedding (the input embedding where the two are tied)
    logits.safetensors   logits   [N, V]  with --logits: after soft-caps, scales and biases, in --dtype
    target.safetensors   target   [N] the token that came; token [N] the one before it; document, position [N] of target
    record.json          model, number of parameters, shapes, types, text and its sha256, versions

Row n is the law of one token of the text: N is the number of scored tokens. Then
    semcal perturb OUT --temperatures 0.5,0.7,0.9,1.1,1.3        (reads hidden and head, or logits, and target)

The text is a plain file (one document) or .jsonl (one document a line, --field). Documents are cut into windows of
--window tokens, of which the first --overlap are context alone (they were scored in the window before), as are the
first token of a document and the text of --context: the same cut as in text datasets of `semcal run`.

Memory holds the model, one batch of windows and about 100 bytes per token of the text; rows are written as they come, so the
files may be larger than memory. Models spread over devices or offloaded (--device-map auto, needs accelerate) work; the
head is copied in pieces. A head with a bias, soft-capped or scaled logits cannot be had from hidden states and head
alone: scales are multiplied into the head (stored in float32), the others are refused, and --only-logits records them.
Nothing appears under its name before it is complete.

Needs torch and transformers. Example:
    python scripts/record_logits.py Qwen/Qwen2.5-0.5B wiki.jsonl recorded/0.5B --field text --limit 200000
"""
import argparse
import contextlib
import hashlib
import json
import os
import struct
import sys
from pathlib import Path

import torch
import transformers

TYPES = {"float32": (torch.float32, "F32"), "float16": (torch.float16, "F16"), "bfloat16": (torch.bfloat16, "BF16")}


class Refused(Exception):
    """What the user is told in one line."""


class Enough(Exception):
    """Ends a forward pass once the hidden states are there."""


class Table:
    """One tensor of a safetensors file whose shape is known and whose rows come one after the other."""

    def __init__(self, path, tensors):
        """tensors: name -> (safetensors type, bytes per element, shape); all but the last have to be small."""
        self.path, self.temporary = path, path.with_name(path.name + ".tmp")
        header, at = {}, 0
        self.ends = []
        for name, (kind, size, shape) in tensors.items():
            count = size
            for length in shape:
                count *= length
            header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + count]}
            at += count
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self.size = 8 + len(text) + at
        self.file = open(self.temporary, "wb")
        self.file.write(struct.pack("<Q", len(text)) + text)

    def append(self, tensor):
        bits = tensor.detach().to("cpu").contiguous()
        self.file.write(bits.view(torch.uint8).numpy().tobytes() if bits.numel() else b"")

    def finish(self):
        if self.file.tell() != self.size:
            raise Refused(f"{self.path}: {self.file.tell()} bytes written, {self.size} announced")
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        os.replace(self.temporary, self.path)


def documents(path, field, context):
    """(context or None, text) of every document."""
    if path.suffix not in (".jsonl", ".json"):
        yield None, path.read_text(encoding="utf-8")
        return
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise Refused(f"{path}:{number}: no JSON object in this line: {error.msg}")
            for name in filter(None, (field, context)):
                if not isinstance(row, dict) or not isinstance(row.get(name), str):
                    raise Refused(f"{path}:{number}: no text in the field '{name}'")
            yield row[context] if context else None, row[field]


def windows(tokenizer, options):
    """(document, start, tokens, skip): tokens[skip:] are scored; every token but a document's first exactly once."""
    used = 0
    for document, (context, text) in enumerate(documents(options.text, options.field, options.context)):
        ids = tokenizer(context, add_special_tokens=True)["input_ids"] if context is not None else []
        n_context = len(ids)
        ids = ids + tokenizer(text, add_special_tokens=context is None)["input_ids"]
        if options.limit:
            ids = ids[:max(0, options.limit - used)]
        used += len(ids)
        for start in range(0, max(1, len(ids) - options.overlap), options.window - options.overlap):
            tokens = ids[start:start + options.window]
            skip = max(1 if start == 0 else options.overlap, n_context - start)
            if len(tokens) > skip:
                yield document, start, tokens, skip
        if options.limit and used >= options.limit:
            return


@contextlib.contextmanager
def weights_of(module):
    """Brings an offloaded module's weights where they can be read."""
    if not any(p.is_meta for p in module.parameters()):
        yield
        return
    from accelerate.utils import align_module_device
    with align_module_device(module, execution_device="cpu"):
        yield


def scale_of(config):
    """What the model multiplies its logits by, and whether it caps them."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    cap = getattr(text, "final_logit_softcapping", None) or getattr(text, "output_logits_soft_cap", None)
    scale = getattr(text, "logit_scale", None) or 1.0
    scale /= getattr(text, "logits_scaling", None) or 1.0
    return float(scale), cap


def check_head(head, config, options):
    if options.only_logits:
        return 1.0
    scale, cap = scale_of(config)
    if not isinstance(head, torch.nn.Linear) or not head.weight.dtype.is_floating_point:
        raise Refused(f"the output embedding is a {type(head).__name__}, not a plain matrix: record with --only-logits")
    if cap:
        raise Refused(f"this model caps its logits (at {cap}), which hidden states and head do not tell: record with "
                      "--only-logits")
    if head.bias is not None and bool(head.bias.abs().max() > 0):
        raise Refused("the output embedding has a bias, which hidden states and head do not tell: record with "
                      "--only-logits")
    return scale


def write_head(head, scale, dtype, path):
    with weights_of(head):
        weight = head.weight
        kind = torch.float32 if scale != 1.0 else dtype or weight.dtype
        kind = kind if kind in (t for t, _ in TYPES.values()) else torch.float32
        name = next(n for t, n in TYPES.values() if t == kind)
        table = Table(path, {"head": (name, kind.itemsize, weight.shape)})
        for first in range(0, weight.shape[0], 4096):
            rows = weight[first:first + 4096].detach()
            table.append((rows.float() * scale).to(kind) if scale != 1.0 else rows.to(kind))
        table.finish()
    return tuple(weight.shape), name


def compare(hidden, head, scale, logits):
    """Hidden states and head must give the model's logits, or something between them was not seen."""
    with weights_of(head):
        rows = hidden[:8].to(head.weight.device)
        product = (rows.double() @ head.weight.double().T * scale).to(logits.device)
    seen = logits[:8].double()
    apart = (product - seen).abs().max().item()
    step = torch.finfo(logits.dtype).eps * seen.abs().max().item()
    if apart > 8 * step + 1e-3:
        raise Refused(f"hidden states times head differ from the model's logits by {apart:.3g}: something stands "
                      "between them (a cap, a scale, a second head): record with --only-logits")


def record(options):
    if not options.text.is_file():
        raise Refused(f"{options.text}: no such file")
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.tokenizer or options.model)
    where = {"device_map": options.device_map} if options.device_map else {}
    model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=options.load_dtype, **where).eval()
    if not options.device_map and options.device:
        model.to(options.device)
    head = model.get_output_embeddings()
    if head is None:
        raise Refused("the model names no output embedding (get_output_embeddings)")
    context = getattr(model.config, "max_position_embeddings", None)
    options.window = options.window or min(1024, context or 1024)
    if context and options.window > context:
        raise Refused(f"--window {options.window} is longer than the model's context of {context}")
    if not 1 <= options.overlap < options.window:
        raise Refused(f"--overlap {options.overlap} must be from 1 to below --window {options.window}")
    scale = check_head(head, model.config, options)
    wanted = TYPES[options.dtype][0] if options.dtype else None
    dtype = wanted or (model.dtype if model.dtype in (t for t, _ in TYPES.values()) else torch.float32)
    kind = next(n for t, n in TYPES.values() if t == dtype)

    cuts = list(windows(tokenizer, options))
    n = sum(len(tokens) - skip for _, _, tokens, skip in cuts)
    if n == 0:
        raise Refused(f"{options.text}: no text: a document needs at least two tokens")
    cuts.sort(key=lambda cut: -len(cut[2]) if options.batch > 1 else 0)  # less padding; documents keep their numbers
    out = options.out
    out.mkdir(parents=True, exist_ok=True)
    width = model.config.get_text_config().hidden_size
    keep_hidden, keep_logits = not options.only_logits, options.logits or options.only_logits
    integers = Table(out / "target.safetensors", {name: ("I32", 4, (n,))
                                                  for name in ("target", "token", "document", "position")})
    columns = {name: [] for name in ("target", "token", "document", "position")}
    hidden_table = Table(out / "hidden.safetensors", {"hidden": (kind, dtype.itemsize, (n, width))}) if keep_hidden else None
    logit_table, vocabulary, caught, checked = None, None, [], False

    def catch(_, arguments):
        caught.append(arguments[0])
        if not keep_logits and checked:
            raise Enough  # the logits are not wanted

    if keep_hidden:
        head.register_forward_pre_hook(catch)
    pad = tokenizer.pad_token_id or 0
    place = next((p.device for p in model.get_input_embeddings().parameters() if not p.is_meta), options.device or "cpu")
    done = 0
    with torch.inference_mode():
        for first in range(0, len(cuts), options.batch):
            batch = cuts[first:first + options.batch]
            length = max(len(tokens) for _, _, tokens, _ in batch)
            ids = torch.tensor([tokens + [pad] * (length - len(tokens)) for _, _, tokens, _ in batch], device=place)
            mask = torch.tensor([[1] * len(tokens) + [0] * (length - len(tokens)) for _, _, tokens, _ in batch],
                                device=place)
            caught.clear()
            logits = None
            with contextlib.suppress(Enough):
                logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
            for i, (document, start, tokens, skip) in enumerate(batch):
                rows = slice(skip - 1, len(tokens) - 1)
                if keep_hidden:
                    hidden = caught[0][i, rows]
                    if not checked:
                        compare(hidden, head, scale, logits[i, rows])
                        checked = True
                    hidden_table.append(hidden.to(dtype))
                if keep_logits:
                    if logit_table is None:
                        vocabulary = logits.shape[-1]
                        logit_table = Table(out / "logits.safetensors",
                                            {"logits": (kind, dtype.itemsize, (n, vocabulary))})
                    logit_table.append(logits[i, rows].to(dtype))
                columns["target"] += tokens[skip:]
                columns["token"] += tokens[skip - 1:-1]
                columns["document"] += [document] * (len(tokens) - skip)
                columns["position"] += range(start + skip, start + len(tokens))
                done += len(tokens) - skip
            print(f"\r{done} of {n} tokens", end="", file=sys.stderr)
    print(file=sys.stderr)
    for name in columns:
        integers.append(torch.tensor(columns[name], dtype=torch.int32))
    head_type = None
    if keep_hidden:
        (vocabulary, _), head_type = write_head(head, scale, wanted, out / "head.safetensors")
        hidden_table.finish()
    if keep_logits:
        logit_table.finish()
    integers.finish()
    facts = {"format": "semcal-record", "format_version": 1, "model": str(options.model),
             "parameters": model.num_parameters(), "rows": n, "width": width, "vocabulary": vocabulary,
             "dtype": kind, "head_dtype": head_type, "logit_scale": scale, "window": options.window,
             "overlap": options.overlap, "text": str(options.text),
             "text_sha256": hashlib.sha256(options.text.read_bytes()).hexdigest(), "documents": len({c[0] for c in cuts}),
             "torch": torch.__version__, "transformers": transformers.__version__}
    temporary = out / "record.json.tmp"
    temporary.write_text(json.dumps(facts, indent=1) + "\n")
    os.replace(temporary, out / "record.json")
    print(f"{out}: {n} rows, width {width}, vocabulary {vocabulary}, {kind}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or name of a causal language model")
    parser.add_argument("text", type=Path, help="text file, or .jsonl with one document a line")
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--tokenizer", help="of another folder or name than the model's")
    parser.add_argument("--field", default="text", help="field of a .jsonl line with the text (text)")
    parser.add_argument("--context", help="field with what is read before the text and not scored")
    parser.add_argument("--window", type=int, default=None,
                        help="tokens the model reads at once (1024, or the model's context where that is shorter)")
    parser.add_argument("--overlap", type=int, default=1, help="tokens of a window that only give context (1)")
    parser.add_argument("--limit", type=int, default=0, help="use so many tokens of the text (all)")
    parser.add_argument("--batch", type=int, default=1, help="windows per forward pass (1)")
    parser.add_argument("--dtype", choices=sorted(TYPES), help="type stored (the model's)")
    parser.add_argument("--load-dtype", default="auto", help="type computed in, as in from_pretrained (auto)")
    parser.add_argument("--device", help="torch device of the whole model (cpu)")
    parser.add_argument("--device-map", help="spread over devices, e.g. auto (needs accelerate)")
    parser.add_argument("--logits", action="store_true", help="record the logits too: V/D times as large")
    parser.add_argument("--only-logits", action="store_true", help="record the logits alone")
    options = parser.parse_args()
    try:
        record(options)
    except Refused as error:
        for left in options.out.glob("*.tmp"):
            left.unlink()
        print(f"record_logits: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
