#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python reader on a small run: its own numbers agree with the program's."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import h5netcdf  # noqa: F401
    import numpy as np
    import xarray  # noqa: F401
except ImportError as reason:
    print(f"skipped: {reason}")
    sys.exit(77)

sys.path.insert(0, str(Path(os.environ["SEMCAL_SOURCE"]) / "scripts" / "python"))
import semcal  # noqa: E402
from semcal import statistics  # noqa: E402

program = os.environ["SEMCAL"]


def make_run(folder: Path) -> Path:
    rng = np.random.default_rng(3)
    words = ["alfa", "bravo", "charlie"]
    with open(folder / "q.jsonl", "w") as out:
        for i in range(150):
            law = rng.dirichlet([.6, .6, .6])
            text = " ".join(f"{w}={p:.6f}" for w, p in zip(words, law))
            print(json.dumps({"id": f"q{i}", "question": f"law: {text} decide=last fillers={i % 3}",
                              "answer": str(rng.choice(words, p=law))}), file=out)
    (folder / "c.yaml").write_text(
        "name: small\nmodels: [{name: t, source: toy}]\n"
        "datasets: [{name: d, path: q.jsonl, id: id, question: question, answers: answer, collapse: choice,"
        " choices: [alfa, bravo, charlie]}]\nstyles: [plain]\n"
        "style: {plain: {prompt: \"{question}\\n\", max_tokens: 8, stop: []}}\nsampling: {draws: 24}\n"
        "analyze: {bootstrap: 100, floor_redraws: 20}\nstore: {full_logits: true}\n")
    run = folder / "run"
    subprocess.run([program, "run", str(folder / "c.yaml"), "-o", str(run)], check=True, stderr=subprocess.DEVNULL)
    subprocess.run([program, "analyze", str(run)], check=True, stdout=subprocess.DEVNULL)
    return run


def check_estimators(cell, analysis):
    for estimator in ("frequency", "split", "mass"):
        c, a = semcal.pairs(cell, estimator)
        row = analysis.sel(cell="t.d.plain.T1", estimator=estimator)
        assert len(c) == int(row.n)
        assert abs(statistics.smece(c, a) - float(row.smece)) < 1e-4, estimator
        assert abs(statistics.smece_at(.05, c, a) - float(row.smece_005)) < 1e-4, estimator
        assert abs(c.mean() - a.mean() - float(row.overconfidence)) < 1e-12


def check_questions(cell):
    first_class = np.concatenate([[0], np.cumsum(np.bincount(cell.class_question.values, minlength=150))])
    lower = cell.class_mass_lower.values
    for q in range(150):
        mine = slice(first_class[q], first_class[q + 1])
        local = cell.draw_class[q].values - first_class[q]
        c, k = statistics.frequency(local, lower[mine])
        assert abs(c - float(cell.confidence_frequency[q])) < 1e-12, q
        assert k == int(cell.mode_class[q]) - first_class[q], q
        counts = np.bincount(local)
        assert abs(statistics.semantic_entropy(counts) - float(cell.semantic_entropy_counts[q])) < 1e-12


def check_logits(cell):
    total = 0
    for q in (0, 7, 149):
        laws = semcal.logits(cell, q).load()
        assert laws.logits.dims == ("row", "vocabulary") and laws.logits.dtype == np.float32
        assert (cell.node_question.values[laws.node.values] == q).all()
        rows = {int(n): row.astype(float) for n, row in zip(laws.node.values, laws.logits.values)}
        for child in np.nonzero(cell.node_question.values == q)[0][1:]:
            row = rows[int(cell.node_parent[child])]
            logprob = row[int(cell.node_token[child])] - np.log(np.exp(row).sum())
            assert abs(logprob - float(cell.node_logprob[child])) < 5e-7
            total += 1
    assert total > 20
    try:
        semcal.logits(cell.drop_vars("logits"), 0)
    except ValueError as error:
        assert "full_logits" in str(error)
    else:
        raise AssertionError("missing laws went unnoticed")


def main():
    with tempfile.TemporaryDirectory() as temporary:
        run = semcal.open_run(make_run(Path(temporary)))
        assert run.cells == ["t.d.plain.T1"], run.cells
        cell, analysis = run["t.d.plain.T1"], run.analysis
        assert cell.sizes["question"] == 150 and cell.sizes["draw"] == 24
        for name in cell.data_vars:
            assert "long_name" in cell[name].attrs and "units" in cell[name].attrs, name
        check_estimators(cell, analysis)
        check_questions(cell)
        check_logits(cell)
        text, label, logprob = semcal.draws(cell, 0)[0]
        assert label in text and logprob < 0
        # the prefix tree: climbing from a leaf gives back the draw's log-probability
        leaf, total = int(cell.draw_leaf[0, 0]), 0.0
        while leaf >= 0:
            total += float(cell.node_logprob[leaf])
            leaf = int(cell.node_parent[leaf])
        assert abs(total - float(cell.draw_logprob[0, 0])) < 1e-9
        try:
            run["missing"]
        except KeyError as error:
            assert "t.d.plain.T1" in str(error)
        else:
            raise AssertionError("a missing cell went unnoticed")
        cell.close()
    print("reader agrees with the program")


main()
