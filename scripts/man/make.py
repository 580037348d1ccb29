#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the man pages from the program itself: make.py PROGRAM FOLDER

semcal(1) from --help of every command, semcal-config(5) from `show config --json`, semcal-results(5) from the files of a
small run on toy laws. What needs prose is in *.in beside this file. Run it again after a change to a command, a key or a
variable; tests/cli/test_man.sh fails until that is done.
"""
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def tell(program, *arguments, cwd=None):
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True, cwd=cwd).stdout


def roff(text):
    """Text as roff shows it: dashes that can be copied, no line that looks like a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


# ---- semcal(1) ----

def command_page(program, name):
    lines = tell(program, name, "--help").splitlines()
    options_at = lines.index("options:")
    usage = lines[0].removeprefix("usage: ")
    body = "\n".join(lines[2:options_at]).strip()
    summary, _, details = body.partition("\n\n")
    out = [".SS " + name, ".B " + roff(usage), ".PP", roff(summary[0].upper() + summary[1:] + ".")]
    if details:
        out += [".PP", ".nf", roff(details), ".fi"]
    for line in lines[options_at + 1:]:
        left, meaning = re.match(r" +(.*?)(?:  +| (?=this text))(.*)", line).groups()
        out += [".TP", ".B " + roff(left), roff(meaning)]
    return "\n".join(out)


def commands(program):
    text = tell(program, "--help")
    names = re.findall(r"^  ([a-z]+) ", text.partition("commands:\n")[2].partition("\n\n")[0], re.M)
    return "\n".join(command_page(program, name) for name in names)


# ---- semcal-config(5) ----

def key(row):
    facts = row["type"]
    if row["words"]:
        facts = ("any of " if row["type"].startswith("list") else "one of ") + ", ".join(row["words"])
    facts += f" {row['range']}" if row["range"] else ""
    facts += f" ({row['unit']})" if row["unit"] and row["unit"] not in facts else ""
    facts += "; required" if row["required"] else f"; default {json.dumps(row['default'])[1:-1]}" if row["default"] is not None else ""
    facts += "; a list is swept" if row["swept"] else ""
    out = [".TP", ".B " + roff(row["key"]), roff(facts) + "."]
    if row["help"]:
        out += [".br", roff(row["help"][0].upper() + row["help"][1:].rstrip(".")) + "."]
    return "\n".join(out)


def keys(program):
    rows = json.loads(tell(program, "show", "config", "--json"))
    out, section = [], None
    for row in rows:
        head = re.split(r"[.\[]", row["key"])[0] if re.search(r"[.\[]", row["key"]) else ""
        if head != section and head:
            out.append(f".SS {head}")
        section = head or section if head else None
        out.append(key(row))
    return "\n".join(out)


# ---- semcal-results(5) ----

SAMPLE_CONFIG = """\
name: pages
models: [{name: t, source: toy}]
datasets:
  - {name: d, path: d.jsonl, question: question, answers: answer, id: id, law: law, collapse: choice, choices: [alfa, bravo]}
styles: [plain]
style: {plain: {prompt: "{question}\\n", max_tokens: 12, stop: ["\\n"]}}
sampling: {draws: 6, temperature: [1.0, 0.5], estimator: [tree, hybrid]}
mechanism: {questions: 2, draws: 2, positions: 2, forks: 32}
store: {full_logits: true}
"""
# A text cell needs a model.
MODEL = os.path.abspath(os.path.join(HERE, "..", "..", "configs", "quickstart", "models", "base"))
TEXT_CONFIG = """\
name: pages
models: [{name: m, path: %s}]
datasets: [{name: t, path: t.txt, format: text, limit: 400, window: 32}]
"""
SAMPLE_DATA = [
    {"id": "a", "question": "law: alfa=0.7 bravo=0.3 decide=last fillers=1", "answer": "alfa", "law": {"alfa": .7, "bravo": .3}},
    {"id": "b", "question": "law: alfa=0.2 bravo=0.8 decide=first fillers=1", "answer": "bravo", "law": {"alfa": .2, "bravo": .8}},
]
KINDS = {"f": "real", "i": "integer", "u": "integer", "O": "text", "S": "text"}


def variables(files):
    """name -> (dimensions, kind, units, meaning) over all files, in the order of their first dimension."""
    import h5py
    found = {}
    for path in files:
        with h5py.File(path, "r") as file:
            for name, data in file.items():
                if not isinstance(data, h5py.Dataset) or "CLASS" in data.attrs:
                    continue
                dims = [os.path.basename(d[0].name) for d in data.dims]
                text = {k: v.decode() if isinstance(v, bytes) else v
                        for k, v in data.attrs.items() if k in ("long_name", "units")}
                kind = KINDS[data.dtype.kind] + (str(8 * data.dtype.itemsize) if data.dtype.kind in "fiu" else "")
                found[name] = (dims, kind, text["units"], text["long_name"])
    return found


def attributes(files):
    import h5py
    names = set()
    for path in files:
        with h5py.File(path, "r") as file:
            names |= set(file.attrs)
    return sorted(names)


def variable_list(found):
    out, section = [], None
    order = ["cell", "estimator", "curve_confidence", "question", "draw", "node", "logits_row", "class", "answer", "law", "visit",
             "point", "response", "position", "block", "chunk", "sample", "place", "temperature", "text_cell", "text_class", "text_grid"]
    for name, (dims, kind, units, meaning) in sorted(
            found.items(), key=lambda item: (order.index(item[1][0][0]) if item[1][0][0] in order else 99, len(item[1][0]), item[0])):
        if dims[0] != section:
            section = dims[0]
            out.append(f".SS By {section}")
        unit = f" [{units}]" if units not in ("", "1") else ""
        out += [".TP", ".B " + roff(name), roff(f"({', '.join(dims)}) {kind}{unit}: {meaning}.")]
    return "\n".join(out)


def run(program, folder, config, name):
    open(os.path.join(folder, name + ".yaml"), "w").write(config)
    tell(program, "run", name + ".yaml", "-o", name, cwd=folder)
    tell(program, "analyze", name, cwd=folder)
    return os.path.join(folder, name)


def files_in(folder):
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]


def results(program):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "d.jsonl"), "w") as data:
            data.writelines(json.dumps(row) + "\n" for row in SAMPLE_DATA)
        with open(os.path.join(folder, "t.txt"), "w") as data:
            data.write("the cat sat on the mat\n" * 40)
        answers = run(program, folder, SAMPLE_CONFIG, "answers")
        text = run(program, folder, TEXT_CONFIG % MODEL, "text")
        mechanism = files_in(os.path.join(answers, "mechanism"))
        collapsed = [path for path in mechanism if path.endswith(".choice.h5")]
        kinds = {"cell": files_in(os.path.join(answers, "cells")),
                 "text": files_in(os.path.join(text, "cells")),
                 "mechanism": [path for path in mechanism if path not in collapsed],
                 "collapsed": collapsed,
                 "analysis": [os.path.join(run_folder, "analysis.h5") for run_folder in (answers, text)]}
        return ({f"{kind}_variables": variable_list(variables(files)) for kind, files in kinds.items()}
                | {f"{kind}_attributes": roff(", ".join(attributes(files))) + "." for kind, files in kinds.items()})


def fill(name, folder, values):
    text = open(os.path.join(HERE, name + ".in")).read()
    for key_name, value in values.items():
        text = text.replace(f"@{key_name}@", value)
    left = re.findall(r"@[a-z_]+@", text)
    assert not left, (name, left)
    open(os.path.join(folder, name), "w").write(text)


def main():
    program, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
    version = {"version": tell(program, "version").split()[1]}
    fill("semcal.1", folder, version | {"commands": commands(program)})
    fill("semcal-config.5", folder, version | {"keys": keys(program)})
    fill("semcal-results.5", folder, version | results(program))


if __name__ == "__main__":
    main()
