#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""semcal perturb against float64 numpy: every format of rows, hidden states with a head, every family, the output."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import h5py
    import numpy as np
    import xarray
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

SEMCAL = os.environ["SEMCAL"]
SOURCE = Path(os.environ["SEMCAL_SOURCE"])
RECORDS = SOURCE / "tests/fixtures/record"
N, V, K, D = 57, 3001, 12, 24
SAFETENSORS = {"float32": "F32", "float16": "F16", "uint16": "BF16", "int64": "I64", "int32": "I32"}


def save_safetensors(path, arrays):
    """numpy arrays as a .safetensors file; uint16 stands for bfloat16."""
    header, at = {}, 0
    for name, array in arrays.items():
        header[name] = {"dtype": SAFETENSORS[array.dtype.name], "shape": array.shape,
                        "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array).tobytes())


def to_bfloat(array):
    return (np.ascontiguousarray(array, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def from_bfloat(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def lse(x):
    top = x.max(axis=-1, keepdims=True)
    return (top + np.log(np.exp(x - top).sum(axis=-1, keepdims=True)))[..., 0]


def losses(logits, target, bias=None, temperature=1.0):
    x = logits / temperature + (0 if bias is None else bias)
    return lse(x) - x[np.arange(len(x)), target]


def close(got, want, what):
    got, want = np.asarray(got, float), np.asarray(want, float)
    assert got.shape == want.shape, (what, got.shape, want.shape)
    both = np.isneginf(want) & np.isneginf(got)
    with np.errstate(invalid="ignore"):
        wrong = ~both & ~(np.abs(got - want) <= 1e-5 * np.maximum(1, np.abs(want)))
    assert not wrong.any(), (what, got[wrong][:5], want[wrong][:5])


def perturb(*arguments, code=0, text=None):
    done = subprocess.run([SEMCAL, "perturb", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == code, (arguments, done.returncode, done.stderr)
    if code:
        assert text in done.stderr and done.stderr.count("\n") == 1 and not done.stdout, (arguments, done.stderr)
        return None
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


def make(folder):
    rng = np.random.default_rng(5)
    logits = (3 * rng.standard_normal((N, V))).astype(np.float32)
    logits[rng.random((N, V)) < 0.1] = -np.inf
    target = rng.integers(0, V, N)
    logits[np.arange(N), target] = 2
    data = {"logits": logits, "target": target, "class": rng.integers(0, K, V).astype(np.int32),
            "tilt": rng.standard_normal((9, K)), "bias": rng.standard_normal((6, V)).astype(np.float32),
            "sparse": [{"name": "eos", "tokens": [3], "values": [2.5]},
                       {"tokens": [0, 3000, 17], "values": [-1, 4.5, -100]}]}
    for name in ("target", "class", "tilt", "bias"):
        np.save(folder / f"{name}.npy", data[name])
    (folder / "sparse.json").write_text(json.dumps(data["sparse"]))
    return data


def check_formats(folder, data):
    """Every way to store the same rows, and one way to store each side file elsewhere."""
    single, half = data["logits"], data["logits"].astype(np.float16)
    brain = to_bfloat(data["logits"])
    np.save(folder / "f32.npy", single)
    np.save(folder / "f16.npy", half)
    np.save(folder / "bf16.npy", brain)
    save_safetensors(folder / "f32.safetensors", {"logits": single, "target": data["target"]})
    save_safetensors(folder / "mixed.safetensors", {"half": half, "brain": brain, "class": data["class"]})
    with h5py.File(folder / "rows.h5", "w") as file:
        file["group/half"] = half
        file["logits"] = single
        file["tilt"] = data["tilt"].astype(np.float32)
    for rows, values, more in (("f32.npy", single, []), ("f16.npy", half, []),
                               ("bf16.npy", from_bfloat(brain), ["--bf16"]),
                               ("f32.safetensors", single, []), ("mixed.safetensors:half", half, []),
                               ("mixed.safetensors:brain", from_bfloat(brain), []), ("rows.h5", single, []),
                               ("rows.h5:group/half", half, [])):
        result = perturb(folder / rows, "--targets", folder / "f32.safetensors", "--temperatures", "0.5,1",
                         "--classes", folder / "mixed.safetensors", "--tilts", folder / "rows.h5", "--json", *more)
        x, t = values.astype(np.float64), data["target"]
        base = losses(x, t)
        assert result["rows"] == N and result["vocabulary"] == V
        close(result["mean_loss"], base.mean(), rows)
        close(result["mean_loss_error"], base.std(ddof=1) / np.sqrt(N), rows)
        gaps = {(p["family"], p["index"]): p for p in result["perturbations"]}
        assert len(gaps) == 2 + 9
        half_loss = losses(x, t, temperature=0.5)
        close(gaps["temperature", 0]["mean_loss"], half_loss.mean(), rows)
        close(gaps["temperature", 0]["gap"], (base - half_loss).mean(), rows)
        close(gaps["temperature", 0]["gap_error"], (base - half_loss).std(ddof=1) / np.sqrt(N), rows)
        assert gaps["temperature", 1]["gap"] == 0
        for p in range(9):
            tilted = losses(x, t, bias=data["tilt"].astype(np.float32).astype(float)[p][data["class"]])
            close(gaps["tilt", p]["mean_loss"], tilted.mean(), (rows, p))
        best = max(result["perturbations"], key=lambda p: p["gap"])
        assert result["best"] == best


def check_output(folder, data):
    """All variables, in several batches, through h5py and xarray."""
    out = folder / "out.h5"
    x, t, c = data["logits"].astype(np.float64), data["target"], data["class"]
    text = perturb(folder / "f32.npy", "--targets", folder / "target.npy", "--classes", folder / "class.npy", "--tilts",
                   folder / "tilt.npy", "--biases", folder / "bias.npy", "--temperatures", "0.8,1.3", "--top", 4,
                   "--rows", 10, "-o", out)
    assert f"{N} rows of {V} logits" in text and "<- best" in text and "nats per token" in text
    assert not list(folder.glob("*.tmp"))
    with xarray.open_dataset(out) as file:
        assert dict(file.sizes) == {"row": N, "top": 4, "class": K, "temperature": 2, "tilt": 9, "bias": 6}
        for name, variable in file.variables.items():
            assert variable.attrs["long_name"] and "units" in variable.attrs or name in file.sizes, name
        assert file.attrs["format"] == "semcal-perturb" and file.attrs["kernels_sha256"] and file.attrs["device"]
        assert file.attrs["semcal_version"] and file.attrs["input"].endswith("f32.npy")
        normalizer = lse(x)
        p = np.exp(x - normalizer[:, None])
        close(file["log_normalizer"], normalizer, "log_normalizer")
        with np.errstate(invalid="ignore", divide="ignore"):
            close(file["entropy"], -np.nansum(np.where(p > 0, p * np.log(p), 0), axis=1), "entropy")
        base = losses(x, t)
        close(file["loss"], base, "loss")
        close(file.attrs["mean_loss"], base.mean(), "mean_loss")
        assert (file["target"].values == t).all()
        order = np.argsort(-x, axis=1, kind="stable")
        assert (file["top_token"].values == order[:, :4]).all()
        assert (file["rank"].values == np.argmax(order == t[:, None], axis=1)).all()
        close(file["top_logprob"], np.take_along_axis(x - normalizer[:, None], order[:, :4], 1), "top_logprob")
        masses = np.stack([p[:, c == k].sum(axis=1) for k in range(K)], axis=1)
        close(file["class_logmass"], np.log(masses), "class_logmass")
        close(file["loss_temperature"], np.stack([losses(x, t, temperature=a) for a in (0.8, 1.3)], 1), "temperature")
        assert file["temperature_value"].values.tolist() == [0.8, 1.3]
        close(file["tilt_value"], data["tilt"], "tilt_value")
        tilted = np.stack([losses(x, t, bias=tilt[c]) for tilt in data["tilt"]], 1)
        biased = np.stack([losses(x, t, bias=b.astype(float)) for b in data["bias"]], 1)
        close(file["loss_tilt"], tilted, "loss_tilt")
        close(file["loss_bias"], biased, "loss_bias")
        close(file["gap_tilt"], (base[:, None] - tilted).mean(axis=0), "gap_tilt")
        close(file["gap_error_bias"], (base[:, None] - biased).std(axis=0, ddof=1) / np.sqrt(N), "gap_error_bias")

    # sparse biases, and a class map of its own for every row
    rows = np.stack([np.roll(c, i) for i in range(N)])
    np.save(folder / "classes_by_row.npy", rows)
    perturb(folder / "f32.npy", "--targets", folder / "target.npy", "--classes", folder / "classes_by_row.npy",
            "--tilts", folder / "tilt.npy", "--biases", folder / "sparse.json", "--rows", 7, "-o", out)
    with h5py.File(out) as file:
        tilted = np.stack([losses(x, t, bias=tilt[rows]) for tilt in data["tilt"]], 1)
        close(file["loss_tilt"], tilted, "loss_tilt by row")
        for i, sparse in enumerate(data["sparse"]):
            bias = np.zeros(V)
            bias[sparse["tokens"]] = sparse["values"]
            close(file["loss_sparse_bias"][:, i], losses(x, t, bias=bias), f"sparse {i}")
        assert [name.decode() for name in file["sparse_bias_name"][:]] == ["eos", ""]

    # no targets: laws only
    perturb(folder / "f32.npy", "--classes", folder / "class.npy", "-o", out)
    with h5py.File(out) as file:
        assert "loss" not in file and "target" not in file
        close(file["class_logmass"][:], np.log(masses), "class_logmass")


def check_without_kernels(folder):
    """Row kernels that fail their self-test: the host computes, a warning says so, the same numbers."""
    words = [SEMCAL, "perturb", folder / "f32.npy", "--targets", folder / "target.npy", "--classes",
             folder / "class.npy", "--tilts", folder / "tilt.npy", "--biases", folder / "sparse.json", "--temperatures",
             "0.5", "--json"]
    results = []
    for failing in ("", "rows"):
        done = subprocess.run(words, capture_output=True, text=True, check=True,
                              env=dict(os.environ, SEMCAL_SELFTEST_FAIL=failing))
        results.append(json.loads(done.stdout))
        assert ("self-test of rows failed" in done.stderr) == (failing != ""), done.stderr
    close(results[1]["mean_loss"], results[0]["mean_loss"], "host")
    for device, host in zip(*(r["perturbations"] for r in results), strict=True):
        close(host["mean_loss"], device["mean_loss"], device)


def check_hidden(folder, data):
    """Hidden states with a head give the logits of their product."""
    rng = np.random.default_rng(6)
    hidden = rng.standard_normal((N, D)).astype(np.float32)
    head = rng.standard_normal((V, D)).astype(np.float32)
    brain_hidden, brain_head = to_bfloat(hidden), to_bfloat(head)
    np.save(folder / "hidden.npy", hidden)
    np.save(folder / "head.npy", head)
    np.save(folder / "brain_hidden.npy", brain_hidden)
    save_safetensors(folder / "record.safetensors", {"hidden": brain_hidden, "target": data["target"]})
    save_safetensors(folder / "head.safetensors", {"head": brain_head})
    out = folder / "hidden.h5"
    for rows, head_file, h, w, more in (
            ("hidden.npy", "head.npy", hidden, head, []),
            ("record.safetensors", "head.safetensors", from_bfloat(brain_hidden), from_bfloat(brain_head), []),
            ("brain_hidden.npy", "head.safetensors", from_bfloat(brain_hidden), from_bfloat(brain_head), ["--bf16"])):
        perturb(folder / rows, "--head", folder / head_file, "--targets", folder / "record.safetensors",
                "--temperatures", "0.7", "--biases", folder / "bias.npy", "--rows", 11, "-o", out, *more)
        x = h.astype(np.float64) @ w.astype(np.float64).T
        with h5py.File(out) as file:
            close(file["loss"][:], losses(x, data["target"]), rows)
            close(file["loss_temperature"][:, 0], losses(x, data["target"], temperature=0.7), rows)
            close(file["loss_bias"][:, 2], losses(x, data["target"], bias=data["bias"][2].astype(float)), rows)


def check_refusals(folder, data):
    rows, targets = folder / "f32.npy", ["--targets", folder / "target.npy"]
    out = folder / "never.h5"
    bad = np.array(data["logits"])
    for value, row, token, text in ((np.nan, 33, 5, "row 33: the logit of token 5 is NaN"),
                                    (np.inf, 0, 3000, "row 0: the logit of token 3000 is +inf"),
                                    (-np.inf, 56, int(data["target"][56]), "row 56: the target, token")):
        bad[:] = data["logits"]
        bad[row, token] = value
        np.save(folder / "bad.npy", bad)
        perturb(folder / "bad.npy", *targets, "--rows", 10, "-o", out, code=5, text=text)
        assert not out.exists() and not list(folder.glob("*.tmp"))
    bad[:] = data["logits"]
    bad[41] = -np.inf
    np.save(folder / "bad.npy", bad)
    perturb(folder / "bad.npy", "--rows", 10, code=5, text="row 41: every logit is -inf")

    for name in ("f32.npy", "f32.safetensors", "rows.h5"):  # files that end early
        content = (folder / name).read_bytes()
        short = folder / f"short_{name}"
        for length in (len(content) // 2, 100, 4, 0):
            short.write_bytes(content[:length])
            perturb(short, code=3, text=f"short_{name}")
    perturb(folder / "nothing.npy", code=3, text="no such file")
    perturb(folder / "nothing", "--temperatures", "2", code=3, text="there is no such file or folder")
    (folder / "text.npy").write_text("this is text and nothing else")
    perturb(folder / "text.npy", code=3, text="text.npy")

    def side(option, array, code, text, *more):
        np.save(folder / "side.npy", array)
        perturb(rows, *(() if option == "--targets" else targets), option, folder / "side.npy", *more, code=code,
                text=text)

    target = np.array(data["target"])
    target[50] = V
    side("--targets", target, 3, f"row 50: target {V} is not below {V}", "--rows", 10)
    target[50] = -1
    side("--targets", target, 3, "row 50: target -1")
    side("--targets", data["target"][:-1], 3, f"one target for each of the {N} rows, has shape [56]")
    side("--targets", data["target"].astype(float), 3, "must hold integers, has F64")
    side("--classes", data["class"][:-1], 3, f"a class for each of the {V} tokens")
    classes = np.array(data["class"])
    classes[7] = 4096
    side("--classes", classes, 3, "token 7: class 4096")
    classes[7] = K
    side("--classes", classes, 3, f"token 7: class {K}, there are {K} classes", "--tilts", folder / "tilt.npy")
    classes = ["--classes", folder / "class.npy"]
    tilt = np.array(data["tilt"])
    tilt[2, 3] = np.nan
    side("--tilts", tilt, 3, "tilt 2: class 3: must be finite, got nan", *classes)
    side("--tilts", np.zeros((2, 4097)), 2, "at most 1024 of 4096", *classes)
    side("--tilts", np.zeros((1025, K)), 2, "1025 tilts", *classes)
    side("--tilts", np.zeros((1000, K)), 2, "at most 1024", *classes, "--temperatures", ",".join(["2"] * 25))
    side("--tilts", data["tilt"], 2, "--tilts needs --classes")
    side("--biases", data["bias"][:, :-1], 3, "biases and the 3001 tokens")
    bias = np.array(data["bias"])
    bias[1, 2] = np.inf
    side("--biases", bias, 3, "dense bias 1: token 2: must be finite, got inf")
    perturb(rows, "--temperatures", "0.5", code=2, text="need --targets")
    perturb(rows, *targets, "--temperatures", "0.5,warm", code=2, text="no list of numbers")
    perturb(rows, *targets, "--temperatures", "0.5,,2", code=2, text="no list of numbers")
    perturb(rows, *targets, "--temperatures", "0", code=2, text="must be between 1e-6 and 1e6")
    perturb(rows, *targets, "--top", "257", code=2, text="--top must be 0 to 256")
    perturb(rows, *targets, "--temperature", "2", code=2, text="did you mean '--temperatures'")
    perturb(rows, "--device", "voodoo", code=4, text="no OpenCL device")
    perturb(folder / "bf16.npy", code=3, text="--bf16 reads that as bfloat16")
    perturb(folder / "mixed.safetensors", code=3, text="which array is meant?")
    perturb(folder / "mixed.safetensors:quarter", code=3, text="no such array; it has")
    perturb(folder / "target.npy", code=3, text="two dimensions, rows and vocabulary")
    perturb(folder / "hidden.npy", "--head", folder / "tilt.npy", code=3, text=f"[vocabulary, {D}]")
    perturb(rows, *targets, "-o", folder / "no" / "folder.h5", code=3, text="folder.h5")
    np.save(folder / "double.npy", data["logits"].astype(float))
    perturb(folder / "double.npy", code=3, text="must be float32, float16 or bfloat16, is F64")
    np.save(folder / "empty.npy", data["logits"][:0])
    perturb(folder / "empty.npy", code=3, text="has no rows")
    for content, text in (("{}", "must be a list of biases"), ("[3]", "bias 0: must be an object"),
                          ('[{"tokens": [1], "values": []}]', "1 tokens, but 0 values"),
                          ('[{"tokens": [3001], "values": [1]}]', "pair 0: must be a token id below 3001"),
                          ('[{"tokens": [1, 1], "values": [1, 2]}]', "token 1 is named twice"), ("[", "sparse_bad.json")):
        (folder / "sparse_bad.json").write_text(content)
        perturb(rows, *targets, "--biases", folder / "sparse_bad.json", code=3, text=text)


def reflected_smece(c, a, sigma):
    """The definition: integral over [0, 1] of |mean K(t, c)(a - c)| with the reflected Gaussian kernel."""
    t = (np.arange(4000) + 0.5) / 4000
    total = np.zeros_like(t)
    for m in range(-2, 3):
        for sign in (1, -1):
            d = t[:, None] - (sign * c[None, :] + 2 * m)
            total += np.exp(-0.5 * (d / sigma) ** 2) @ (a - c)
    return np.abs(total / (sigma * np.sqrt(2 * np.pi)) / len(c)).mean()


def check_calibration(result, x, target):
    p = np.exp(x - lse(x)[:, None])
    top = np.argmax(p, axis=1)
    c, a = p.max(axis=1), (top == target).astype(float)
    facts = result["calibration"]
    close(facts["accuracy"], a.mean(), "accuracy")
    close(facts["mean_confidence"], c.mean(), "mean confidence")
    assert abs(facts["smece_005"] - reflected_smece(c, a, 0.05)) < 1e-4, (facts, reflected_smece(c, a, 0.05))
    if facts["smece"] > 0.02:  # the value is its own width
        assert abs(reflected_smece(c, a, facts["smece"]) - facts["smece"]) < 1e-3, facts
    gaps = [facts["gap_" + name] for name in ("shift", "affine", "lipschitz", "isotonic")]
    assert all(x <= y + 1e-6 for x, y in zip(gaps, gaps[1:])), gaps


def load_safetensors(path):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    tensors, types = {}, {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I32": np.int32}
    for name, tensor in json.loads(content[8:8 + length]).items():
        begin, end = (8 + length + offset for offset in tensor["data_offsets"])
        array = np.frombuffer(content[begin:end], types[tensor["dtype"]]).reshape(tensor["shape"])
        tensors[name] = from_bfloat(array) if tensor["dtype"] == "BF16" else array
    return tensors


def check_records(folder):
    """Folders of scripts/record_logits.py: the losses of hidden states times head, and Transformers' own."""
    rows = {}
    for name in ("one", "two", "three"):
        record = RECORDS / name
        x = (load_safetensors(record / "hidden.safetensors")["hidden"].astype(np.float64)
             @ load_safetensors(record / "head.safetensors")["head"].astype(np.float64).T)
        table = load_safetensors(record / "target.safetensors")
        expected = json.loads((record / "expected.json").read_text())
        out = folder / "record.h5"
        result = perturb(record, "--temperatures", "0.5,1,2", "--json", "-o", out)
        target = table["target"]
        assert result["rows"] == expected["rows"] == len(target) and result["vocabulary"] == x.shape[1]
        close(result["mean_loss"], losses(x, target).mean(), name)
        # the model computed in its own type: nothing is left of float32's error, a little of bfloat16's
        assert abs(result["mean_loss"] - expected["mean_loss"]) < (1e-5 if name == "one" else 5e-3), (name, result)
        with h5py.File(out) as file:
            close(file["loss"][:], losses(x, target), name)
            close(file["loss_temperature"][:, 2], losses(x, target, temperature=2), name)
            assert json.loads(file.attrs["record"])["model"] == name and file.attrs["input_sha256"]
        check_calibration(result, x, target)
        rows[name] = result
        # every token but the first of a document is a target once
        assert len(set(zip(table["document"], table["position"]))) == len(target)
    logits = load_safetensors(RECORDS / "one" / "logits.safetensors")["logits"]
    by_logits = perturb(RECORDS / "one" / "logits.safetensors", "--targets", RECORDS / "one" / "target.safetensors", "--json")
    close(by_logits["mean_loss"], rows["one"]["mean_loss"], "logits")
    close(losses(logits.astype(np.float64), load_safetensors(RECORDS / "one" / "target.safetensors")["target"]).mean(),
          rows["one"]["mean_loss"], "logits of the file")
    check_series(folder, rows)


def check_series(folder, rows):
    """One table over several sizes, by size, as text, CSV and JSON; what is missing is named and left out."""
    config, table = folder / "scaling.yaml", folder / "scaling.csv"
    models = "".join(f"  - {{name: {name}, path: {RECORDS / name}}}\n" for name in ("three", "one", "two"))
    config.write_text(f"name: test\ntemperatures: [0.5, 1, 2]\nmodels:\n{models}")
    text = perturb(config, "-o", table)
    assert all(name in text for name in rows)
    lines = [dict(zip(table.read_text().split("\n")[0].split(","), line.split(",")))
             for line in table.read_text().split("\n")[1:-1]]
    assert [line["model"] for line in lines] == ["one", "two", "three"]  # by size
    for line in lines:
        want = rows[line["model"]]
        close(float(line["log_loss"]), want["mean_loss"], "series")
        close(float(line["smece"]), want["calibration"]["smece"], "series")
        close(float(line["gap_lipschitz"]), want["calibration"]["gap_lipschitz"], "series")
        best = max(want["perturbations"], key=lambda p: p["gap"])
        close(float(line["gap_temperature"]), max(0, best["gap"]), "series")
        assert float(line["temperature_best"]) == best["temperature"]
        assert abs(float(line["size_billion"]) * 1e9 - json.loads((RECORDS / line["model"] / "record.json").read_text())
                   ["parameters"]) < 1
    as_json = perturb(config, "--json")
    assert {row["model"]: row["log_loss"] for row in as_json} == {name: rows[name]["mean_loss"] for name in rows}
    config.write_text(f"models:\n{models}  - {{name: absent, path: nowhere, size: 70}}\n")
    done = subprocess.run([SEMCAL, "perturb", config, "-o", table], capture_output=True, text=True)
    assert done.returncode == 1 and "model 'absent'" in done.stderr and "1 of 4 models" in done.stderr, done.stderr
    assert table.read_text().count("\n") == 4
    for content, code, text in (("models: []", 2, "must be a list"), ("model: [1]", 2, "did you mean 'models'"),
                                ("models: [{name: a}]", 2, "1:10: a model needs 'path'"),
                                ("models: [{name: a, path: b}]\ntemperatures: warm", 2, "2:15"),
                                ("models: [{name: a, path: b}]", 3, "record_logits.py makes one")):
        config.write_text(content)
        perturb(config, code=code, text=text)
    broken = folder / "broken"
    shutil.copytree(RECORDS / "one", broken)
    (broken / "head.safetensors").unlink()
    perturb(broken, code=3, text="head.safetensors: no such file: the record is not complete")
    (broken / "record.json").write_text('{"format": "other"}')
    perturb(broken, code=3, text="format 'other' is not semcal-record")
    ready = subprocess.run([SEMCAL, "perturb", SOURCE / "configs/scaling/scaling.yaml"], capture_output=True, text=True)
    assert ready.returncode in (0, 1, 3) and "unknown" not in ready.stderr, ready.stderr  # it is read


def check_live(folder):
    """Rows straight from a model are those `semcal score` scores."""
    model = SOURCE / "configs/quickstart/models/base"
    lines = [json.loads(line) for line in (SOURCE / "configs/quickstart/data/documents.jsonl").open()][:6]
    text = folder / "text.jsonl"
    text.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out, classes = folder / "live.h5", folder / "classes.npy"
    result = perturb("--model", model, "--text", text, "--field", "response", "--context", "prompt", "--temperatures",
                     "0.7", "--json", "-o", out, "--top", 2)
    asked = "".join(json.dumps({"prompt": line["prompt"], "completion": line["response"]}) + "\n" for line in lines)
    (folder / "ask.jsonl").write_text(asked)
    scored = subprocess.run([SEMCAL, "score", model, "--input", folder / "ask.jsonl", "--json"], capture_output=True,
                            text=True, check=True)
    ids = subprocess.run([SEMCAL, "tokenize", model, "--json"], capture_output=True, text=True, check=True,
                         input="".join(json.dumps({"text": line["response"]}) + "\n" for line in lines))
    want, tokens = [], []
    for row, own in zip(scored.stdout.splitlines(), ids.stdout.splitlines()):
        own = json.loads(own)["ids"]
        want += json.loads(row)["logprobs"][-len(own):]
        tokens += own
    with h5py.File(out) as file:
        close(file["loss"][:], -np.array(want, float), "live")
        assert file["target"][:].tolist() == tokens
        assert file.attrs["model_sha256"] and file.attrs["dataset_sha256"]
    assert result["rows"] == len(want)
    np.save(classes, np.arange(result["vocabulary"], dtype=np.int32) % 5)
    np.save(folder / "fives.npy", np.eye(5) * 0.3)
    tilted = perturb("--model", model, "--text", text, "--field", "response", "--context", "prompt", "--classes", classes,
                     "--tilts", folder / "fives.npy", "--rows", 3, "--json")
    assert len(tilted["perturbations"]) == 5 and tilted["rows"] == len(want)
    close(tilted["mean_loss"], result["mean_loss"], "in smaller pieces")
    perturb("--model", model, code=2, text="--model and --text go together")
    perturb("--model", model, "--text", text, "--targets", text, code=2, text="belong to recorded rows")
    perturb("--model", model, "--text", folder / "none.txt", code=3, text="none.txt: no such file")
    perturb("--model", model, "--text", text, "--field", "answer", code=3, text="answer")
    perturb("--model", model, "--text", text, "--field", "response", "--window", 4, "--overlap", 4, code=2,
            text="overlap 4, but the window is 4 tokens")
    short = perturb("--model", model, "--text", text, "--field", "document", "--window", 20, "--limit", 100, "--json")
    assert short["rows"] <= 100
    perturb(folder / "f32.npy", "--limit", 5, code=2, text="belong to --model and --text")
    perturb(code=2, text="either LOGITS or --model and --text")


def check_memory(folder):
    """Three times the rows take no more memory, in either kind of file; reading goes on while others compute."""
    v, piece = 8192, np.random.default_rng(8).standard_normal((1000, 8192)).astype(np.float32)
    for kind in ("npy", "safetensors"):
        peak = {}
        for n in (4000, 12000):
            path = folder / f"large.{kind}"
            with path.open("wb") as file:
                if kind == "npy":
                    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (n, v)})
                else:
                    header = json.dumps({"logits": {"dtype": "F32", "shape": [n, v], "data_offsets": [0, 4 * n * v]}})
                    file.write(len(header).to_bytes(8, "little") + header.encode())
                for _ in range(n // 1000):
                    file.write(piece.tobytes())
            np.save(folder / "many.npy", np.arange(n) % v)
            with subprocess.Popen([SEMCAL, "perturb", path, "--targets", folder / "many.npy", "--rows", "400", "--json"],
                                  stdout=subprocess.PIPE) as child:
                result = json.load(child.stdout)
                _, status, usage = os.wait4(child.pid, 0)
                child.returncode = status
            assert status == 0 and result["rows"] == n
            peak[n] = usage.ru_maxrss / 1024
            path.unlink()
        print(f"{kind}: peak {peak[4000]:.0f} MiB with 125 MiB of logits, {peak[12000]:.0f} MiB with 375 MiB")
        assert peak[12000] < peak[4000] + 40, peak
    seconds = result["seconds"]
    assert 0 < seconds["read"] < seconds["wall"] and 0 < seconds["compute"] < seconds["wall"], seconds


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = make(folder)
        check_formats(folder, data)
        check_without_kernels(folder)
        check_output(folder, data)
        check_hidden(folder, data)
        check_refusals(folder, data)
        check_records(folder)
        check_live(folder)
        check_memory(folder)
    print("perturb agrees with numpy")


main()
