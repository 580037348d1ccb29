#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Reports, the view in a terminal and the live view: of a run whose model, data and log try to get out of the page, of
# runs that did not end well, without gnuplot, and of files of a newer format.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
command -v gnuplot >/dev/null || { echo "skipped: gnuplot is not installed"; exit 77; }
"$python" -c 'import h5py' 2>/dev/null || { echo "skipped: python3 has no h5py"; exit 77; }
escape=$(printf '\033')

# ---- model output that looks like HTML and like terminal escapes ----
mkdir hostile
cp "$SEMCAL_SOURCE"/configs/quickstart/models/base/* hostile/
"$python" - "$SEMCAL_SOURCE/configs/quickstart" <<'PY'
import json, sys
tokenizer = json.load(open("hostile/tokenizer.json"))
vocabulary, model = tokenizer["model"]["vocab"], tokenizer["model"]
def speak(token, text):
    model["merges"] = [m for m in model["merges"] if token != "".join(m) and token not in m]
    tokenizer["added_tokens"].append({"id": vocabulary.pop(token), "content": text, "single_word": False, "lstrip": False,
                                      "rstrip": False, "normalized": False, "special": False})
texts = [' <script>alert("1")</script>\x1b[31m', " </td></table>&amp;\u202e", "'\x07\x9b2J]]>\u2028"]
for i, word in enumerate(["apple", "pear", "plum", "peach", "cherry", "lemon", "grape", "fig", "melon", "mango"]):
    for token in [t for t in vocabulary if t.startswith("\u0120" + word)]:
        speak(token, texts[i % 3] + token[1:])
json.dump(tokenizer, open("hostile/tokenizer.json", "w"))
with open("hostile.jsonl", "w") as out:
    for i, line in zip(range(30), open(sys.argv[1] + "/data/world.jsonl")):
        row = json.loads(line)
        row["id"] = f"<b onclick='x'>{i}\x1b]0;title\x07"
        row["question"] += " <img src=x onerror=alert(1)>\x1b[2J"
        print(json.dumps(row), file=out)
PY
cat >hostile.yaml <<'YAML'
name: hostile
models: [{name: m, path: hostile}]
datasets:
  - {name: w, path: hostile.jsonl, id: id, question: question, answers: answers, collapse: exact}
  - {name: text, path: hostile.jsonl, format: text-jsonl, question: question, window: 64}
styles: [concise]
style: {concise: {prompt: "Q: {question}\nShort answer:", max_tokens: 10, stop: ["\n"], shots: 0}}
sampling: {draws: 10, temperature: [1.0, 0.6]}
analyze: {bootstrap: 40, floor_redraws: 40}
YAML
expect 0 "4 of 4 cells done" "$semcal" run hostile.yaml -o hostile-run
expect 0 "" "$semcal" report hostile-run
grep -q "hostile-run/report/index.html: 4 cells" out.txt || complain "report does not say where it is: $(cat out.txt)"
[ -s hostile-run/analysis.h5 ] || complain "the analysis was not made by the way"
cat >check.py <<'PY'
import csv, glob, html.parser, json, os, re, subprocess, sys, xml.etree.ElementTree as xml
folder, program, run = sys.argv[1:4]
page = open(folder + "/index.html", encoding="utf-8").read()
void = {"meta", "br", "img", "link", "input", "hr"}
allowed = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "b", "i", "a", "br", "div",
           "span", "small", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "details", "summary",
           "bdi", "ul", "li", "code", "svg", "g", "path", "rect", "circle", "use", "text", "tspan", "defs", "filter",
           "feflood", "fecomposite", "clippath", "polygon", "line", "image"}
class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.links, self.ids, self.text = [], [], [], []
    def handle_starttag(self, tag, attributes):
        assert tag in allowed, f"<{tag}> in the page"
        for name, value in attributes:
            assert not name.startswith("on"), f"{name} in <{tag}>"
            assert name != "src", "something is loaded"
            if name in ("href", "xlink:href"): self.links.append(value)
            if name == "id": self.ids.append(value)
        if tag not in void: self.open.append(tag)
    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in void: self.open.pop()
    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes <{self.open[-1:]}>"
        self.open.pop()
    def handle_data(self, data):
        self.text.append(data)
parsed = Page()
parsed.feed(page)
parsed.close()
assert not parsed.open, parsed.open
assert len(set(parsed.ids)) == len(parsed.ids), "an id stands twice"
for link in parsed.links:
    assert link[1:] in parsed.ids if link.startswith("#") else os.path.exists(f"{folder}/{link}"), link
bad = re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]", page)
assert not bad, f"character {bad.group()!r} at {bad.start()}: {page[bad.start() - 40:bad.start() + 20]!r}"
if "hostile" in folder:
    text = "".join(parsed.text)
    assert '<script>alert("1")</script>\u241b[31m' in text, "the response is not shown as it is"
    assert "<img src=x onerror=alert(1)>\u241b[2J" in text and "<b onclick='x'>" in text
names = sorted(os.path.basename(p)[:-3] for p in glob.glob(folder + "/*.gp"))
assert {"reliability", "smece", "smece_accuracy", "draws_per_forward", "risk_coverage", "semantic_entropy",
        "overconfidence", "loss_gap", "loss_gaps"} <= set(names), names
texts = json.loads(subprocess.run([program, "analyze", "--json", run], capture_output=True, text=True,
                                  check=True).stdout)["text_cells"]
if texts: # next-token calibration stands beside the semantic one
    assert {"next_token", "next_token_classes", "next_token_temperature"} <= set(names), names
    assert "Next-token calibration" in page and "What calibrating would save" in page
    rows = list(csv.DictReader(open(folder + "/texts.csv", newline="", encoding="utf-8")))
    assert [r["cell"] for r in rows] == [t["name"] for t in texts]
    for row, text in zip(rows, texts):
        assert "cell_" + text["name"] in names and f'{text["n_tokens"]:.0f}</td>' in page
        for key in ("smece", "smece_classwise", "gap_temperature_crossfit", "gap_lipschitz", "log_loss"):
            assert abs(float(row[key]) - text[key]) <= 1e-9 * abs(text[key]), key
    rows = list(csv.DictReader(open(folder + "/text_classes.csv", newline="", encoding="utf-8")))
    for text in texts:
        mine = [r for r in rows if r["cell"] == text["name"]]
        assert [r["class"] for r in mine] == [c["label"] for c in text["classes"]]
        assert abs(sum(float(r["share_of_tokens"]) for r in mine) - 1) < 1e-6
    for name in ("smece.dat", "loss_gaps.dat"):
        assert all(t["name"] in open(f"{folder}/{name}").read() for t in texts), name
for name in names:
    assert page.count(f'<figure id="{name}"') == 1, name
    svg = open(f"{folder}/{name}.svg", encoding="utf-8").read()
    root = xml.fromstring(svg)
    assert root.tag.endswith("svg") and len(root.find("{http://www.w3.org/2000/svg}title").text) > 5
    assert "prefers-color-scheme" in svg and "rgb(" not in svg
    assert open(f"{folder}/{name}.png", "rb").read(8) == b"\x89PNG\r\n\x1a\n"
for picture in re.findall("<svg.*?</svg>", page, re.S):
    xml.fromstring(picture)
assert len(re.findall("<svg", page)) == len(names)
# the tables are those of the analysis
cells = list(csv.DictReader(open(folder + "/cells.csv", newline="", encoding="utf-8")))
said = {c["cell_name"]: c for c in json.loads(subprocess.run([program, "analyze", "--json", run], capture_output=True,
                                                              text=True, check=True).stdout)["cells"]}
assert [c["cell"] for c in cells] == list(said)
for cell in cells:
    for key, number in said[cell["cell"]]["estimators"]["frequency"].items():
        text = cell["frequency_" + key]
        assert (text == "") == (number is None) and (number is None or abs(float(text) - number) <= 1e-9 * abs(number))
smece = {c["cell"]: float(c["frequency_smece"]) for c in cells}
over = {c["cell"]: float(c["frequency_overconfidence"]) for c in cells}
pairs = list(csv.DictReader(open(folder + "/comparisons.csv", newline="", encoding="utf-8")))
assert [p["differ_in"] for p in pairs] == ["temperature"]
for p in pairs: # the same questions in both: the difference of the cells' own numbers
    assert abs(float(p["smece_difference"]) - (smece[p["cell_b"]] - smece[p["cell_a"]])) < 3e-4
    assert abs(float(p["overconfidence_difference"]) - (over[p["cell_b"]] - over[p["cell_a"]])) < 1e-9
    assert float(p["smece_low"]) <= float(p["smece_high"])
rows = list(csv.DictReader(open(folder + "/questions.csv", newline="", encoding="utf-8")))
assert rows and all(None not in r and None not in r.values() for r in rows)
assert all(float(r["confidence"]) > float(r["deserved"]) for r in rows)
totals = {}
for r in rows: totals[r["cell"], r["question_id"]] = totals.get((r["cell"], r["question_id"]), 0) + int(r["class_count"])
draws = {c["cell"]: float(c["draws"]) for c in cells}
assert all(n == draws[cell] for (cell, _), n in totals.items()), totals
PY
grep -q "texts.csv" hostile-run/report/index.html || complain "the report has no text cells"
"$python" check.py hostile-run/report "$semcal" hostile-run || complain "the report of hostile output is wrong"

# the same report twice, the second from the stored analysis; a figure drawn again by hand
touch before
expect 0 "" "$semcal" report hostile-run -o again
[ hostile-run/analysis.h5 -nt before ] && complain "a fresh analysis was made again"
for file in index.html cells.csv comparisons.csv questions.csv reliability.svg reliability.dat smece.gp; do
  cmp -s "hostile-run/report/$file" "again/$file" || complain "$file is not reproducible"
done
rm again/reliability.svg again/reliability.png
(cd again && gnuplot reliability.gp 2>../err.txt) || complain "gnuplot reliability.gp failed: $(cat err.txt)"
[ -s again/reliability.svg ] && [ -s again/reliability.png ] || complain "a figure cannot be drawn again by hand"

# a run of text alone has a report, too
sed '/{name: w,/d; /^styles:/d; /^style:/d; /^sampling:/d; s/^name: .*/name: text/' hostile.yaml >text.yaml
expect 0 "1 of 1 cells done" "$semcal" run text.yaml -o text-run
expect 0 "" "$semcal" report text-run
[ -s text-run/report/next_token.svg ] && [ ! -e text-run/report/reliability.svg ] || complain "figures of a run of text"
expect 0 "" "$semcal" show text-run
grep -q "^next token" out.txt && ! grep -q "^cell" out.txt || complain "show RUN of text: $(cat out.txt)"

# in the terminal
export LC_ALL=C.UTF-8
expect 0 "" "$semcal" show hostile-run
grep -q "m.w.concise.T0.6" out.txt && grep -q "smECE" out.txt && grep -q "^next token" out.txt || complain "show RUN shows no table"
grep -q "$escape" out.txt && complain "show RUN lets an escape through"
for width in 40 70 100 160; do
  COLUMNS=$width expect 0 "" "$semcal" show hostile-run
  "$python" -c 'import sys
wide = max(len(line.rstrip("\n")) for line in open("out.txt", encoding="utf-8") if "│" in line)
assert wide <= max(int(sys.argv[1]), 31), wide' "$width" || complain "diagrams do not fit $width columns"
done
"$semcal" show hostile-run --json | "$python" -c 'import json,sys; d = json.load(sys.stdin); assert len(d["cells"]) == len(d["text_cells"]) == 2' ||
  complain "show RUN --json is no JSON"
"$semcal" analyze hostile-run --json >made.json
"$semcal" show hostile-run --json >stored.json
cmp -s made.json stored.json || complain "the stored analysis is not the one that was made"
LC_ALL=C "$semcal" show hostile-run >out.txt
LC_ALL=C grep -q '[^ -~]' out.txt && complain "show RUN writes no plain ASCII where the locale asks for it"
grep -q '^1|' out.txt || complain "show RUN draws nothing in ASCII"
# what an analysis was made of: another collapse is another analysis for the report, a changed cell for all
collapse_of() { h5dump -a collapse_wanted "$1/analysis.h5" | sed -n 's/.*(0): "\(.*\)"/\1/p'; }
"$semcal" analyze hostile-run --collapse exact >/dev/null
expect 0 "" "$semcal" show hostile-run
[ "$(collapse_of hostile-run)" = exact ] || complain "show RUN replaced the analysis that was asked for"
expect 0 "" "$semcal" report hostile-run -o again
[ "$(collapse_of hostile-run)" = "" ] || complain "the report is not of the active collapse"
touch before
touch hostile-run/cells/m.w.concise.T1.h5
expect 0 "" "$semcal" show hostile-run
[ hostile-run/analysis.h5 -nt before ] || complain "a cell that changed was not analysed again"

# ---- next-token calibration beside the questions ----
cat >mixed.yaml <<YAML
name: mixed
models: [{name: m, path: $SEMCAL_SOURCE/configs/quickstart/models/base}]
datasets:
  - {name: w, path: $SEMCAL_SOURCE/configs/quickstart/data/world.jsonl, id: id, question: question, answers: answers,
     collapse: exact, limit: 20}
  - {name: tokens, path: $SEMCAL_SOURCE/configs/quickstart/data/documents.jsonl, format: text-jsonl, question: document,
     limit: 600}
styles: [concise]
style: {concise: {prompt: "Q: {question}\nShort answer:", max_tokens: 10, stop: ["\n"], shots: 0}}
sampling: {draws: 10}
analyze: {bootstrap: 40, floor_redraws: 40}
YAML
expect 0 "2 of 2 cells done" "$semcal" run mixed.yaml -o mixed
expect 0 "" "$semcal" report mixed
grep -q "2 cells" out.txt && grep -q "5 tables" out.txt || complain "the report does not count its tables: $(cat out.txt)"
"$semcal" analyze mixed --json | "$python" -c '
import csv, json, sys
want = json.load(sys.stdin)["text_cells"]
rows = list(csv.DictReader(open("mixed/report/texts.csv", newline="")))
page = open("mixed/report/index.html", encoding="utf-8").read()
assert [r["cell"] for r in rows] == [t["name"] for t in want] == ["m.tokens.tokens.T1"], rows
for key, number in want[0].items():
    if isinstance(number, float):
        assert abs(float(rows[0][key]) - number) <= 1e-9 * abs(number), key
for key in ("smece", "smece_floor", "smece_classwise", "log_loss", "gap_temperature_crossfit", "gap_shift_crossfit"):
    assert ">%.4f<" % want[0][key] in page, key
assert "<bdi>m.tokens.tokens.T1</bdi>" in page and page.count("<h2 id=\"tokens\">") == 1' ||
  complain "next tokens are not in the report"

# ---- without gnuplot, and with one that fails ----
mkdir bin
expect 0 "gnuplot is not installed" env PATH="$work/bin" "$semcal" report hostile-run -o bare
grep -q "No figures:" bare/index.html || complain "the page does not say that figures are missing"
[ -s bare/cells.csv ] && [ -s bare/reliability.gp ] && [ ! -e bare/reliability.svg ] || complain "files without gnuplot"
printf '#!/bin/sh\necho "no <terminal> today" >&2\nexit 1\n' >bin/gnuplot
chmod +x bin/gnuplot
expect 0 "no <terminal> today" env PATH="$work/bin:/usr/bin:/bin" "$semcal" report hostile-run -o failing
grep -q "no &lt;terminal&gt; today" failing/index.html || complain "the page does not quote gnuplot"

# ---- runs that did not end well ----
toy_data 60
sed 's/models: .*/models: [{name: t, source: toy}, {name: gone, path: nomodel}]/' toy.yaml >two.yaml
printf 'analyze: {bootstrap: 40, floor_redraws: 40}\n' >>two.yaml
expect 1 "1 of 2 cells failed" "$semcal" run two.yaml -o two
expect 0 "1 cells are not finished" "$semcal" report two
grep -q "This run is not complete" two/report/index.html || complain "the report does not begin with what is missing"
grep -q "<bdi>gone.d.plain.T1</bdi>: <bdi>model &#39;gone&#39;" two/report/index.html || complain "the report does not say why"
expect 0 "" "$semcal" show two
grep -q "gone.d.plain.T1: model 'gone'" out.txt || complain "show RUN does not name the failed cell"
expect 0 "" "$semcal" watch --once two
grep -q "1 of 2 cells, 1 failed" out.txt || complain "watch does not count the failed cell"
grep -q "ended; not every cell" out.txt || complain "watch does not say that the run has ended"
# a log that was torn, then one with escapes in a message
printf '{"time": "2026-01-01T00:00:00.000Z", "event": "cell_fai' >>two/log.jsonl
expect 0 "" "$semcal" watch --once two
printf '\n{"time": "2026-01-01T00:00:00.000Z", "event": "cell_failed", "message": "cell gone.d.plain.T1 failed: \\u001b[2J<b>\\u0007"}\n' >>two/log.jsonl
expect 0 "" "$semcal" watch --once two
grep -q "␛\[2J<b>␇" out.txt || complain "watch hides what the log says"
grep -q "$escape" out.txt && complain "watch lets an escape through"
expect 0 "" "$semcal" report two
grep -q "␛\[2J&lt;b&gt;␇" two/report/index.html || complain "the report lets a message of the log through"
# stopped by its user: what the log of such a run ends with
sed -i '/run_ends/d; /cell_failed/d; /cell_fai$/d' two/log.jsonl
printf '{"time": "2026-01-01T00:00:00.000Z", "event": "interrupted", "cell": "gone.d.plain.T1"}\n' >>two/log.jsonl
expect 0 "" "$semcal" report two
grep -q "it was interrupted" two/report/index.html || complain "the report does not say that the run was interrupted"
expect 0 "" "$semcal" watch two
grep -q "^interrupted" out.txt || complain "watch does not say that the run was interrupted"

# a damaged cell leaves the others
cp -r hostile-run damaged
printf x >>damaged/cells/m.w.concise.T1.h5
expect 1 "1 cells could not be analysed" "$semcal" report damaged
grep -q "Cells that could not be analysed" damaged/report/index.html && grep -q "m.w.concise.T0.6" damaged/report/cells.csv ||
  complain "a damaged cell is not told, or takes the others with it"
expect 0 "" "$semcal" show damaged
grep -q "m.w.concise.T1 could not be analysed" out.txt || complain "show RUN does not tell of the damaged cell"

# ---- watching a run at work ----
toy_data 4000
"$semcal" run toy.yaml -o live 2>run.txt &
for _ in $(seq 100); do [ -e live/log.jsonl ] && break; sleep 0.1; done
expect 0 "" timeout 300 "$semcal" watch live
wait
grep -q "^finished" out.txt || complain "watch did not see the end: $(tail -n 3 out.txt)"
grep -q "4000/4000  done" out.txt || complain "watch does not count the questions: $(tail -n 3 out.txt)"

# ---- newer formats, and what is no run ----
cp -r hostile-run newer
"$python" - <<'PY'
import h5py
with h5py.File("newer/analysis.h5", "r+") as f: f.attrs["format_version"] = 99
PY
expect 3 "format version 99, this program reads 1" "$semcal" report newer
expect 3 "format version 99, this program reads 1" "$semcal" show newer
rm newer/analysis.h5
"$python" - <<'PY'
import glob, h5py, hashlib
for path in glob.glob("newer/cells/*.h5"):
    data = open(path, "rb").read()
    open(path, "wb").write(data[:data.rindex(b"\nsemcal sha256 ")])
    with h5py.File(path, "r+") as f: f.attrs["format_version"] = 99
    data = open(path, "rb").read()
    open(path, "ab").write(b"\nsemcal sha256 " + hashlib.sha256(data).hexdigest().encode() + b"\n")
PY
expect 3 "format version 99, this program reads" "$semcal" report newer
expect 3 "not a run folder" "$semcal" report .
expect 3 "neither a run (there is no resolved.yaml in it) nor a model" "$semcal" show .
expect 3 "not a run folder" "$semcal" watch nowhere
expect 2 "--bootstrap" "$semcal" report hostile-run --bootstrap -1
expect 3 "" "$semcal" report hostile-run -o hostile.yaml/x
finish
