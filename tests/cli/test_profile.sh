#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Where the device's time goes: `run` tells the idle share, --profile the kernels, and neither touches the draws.
source "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
needs_device
toy_data 10
model_data 6 10 '\n'
cell=base.world.concise.T1

expect 0 "device idle " "$semcal" run model.yaml -o plain
[ -s out.txt ] && complain "run prints on stdout without --profile"
grep -q '"event": "run_ends".*"device_busy_s": [0-9]' plain/log.jsonl || complain "the log does not tell device_busy_s"
h5dump -a device_idle plain/cells/$cell.h5 | grep -qE '"0\.[0-9]+"' || complain "the cell does not tell device_idle"

expect 0 "device idle " "$semcal" run model.yaml -o profiled --profile
grep -qE '^gemm_packed +[0-9]+|^gemm_' out.txt || complain "--profile has no matrix products"
grep -q '^of floor' out.txt || complain "--profile does not explain itself"
grep -qE '^attention( +[0-9.]+){3}%( +[0-9.]+){4} +([0-9.]+|above 1)$' out.txt || complain "--profile leaves columns of attention empty"
grep -qiE '\b(nan|inf)\b' out.txt && complain "--profile prints what is no number"
for phase in opening text trees collapse store launching waiting rest; do
    grep -qE "^$phase +[0-9]+\.[0-9]{3} +[0-9.]+%" out.txt || complain "--profile does not tell the host's '$phase'"
done
grep -qE '^first token: [0-9]+\.[0-9]{2} s after the start of the process$' out.txt || complain "--profile does not tell the first token"
[ "$(digest plain $cell)" = "$(digest profiled $cell)" ] || complain "--profile changes the draws"
expect 0 "" "$semcal" verify profiled

began=$(date +%s%N)
expect 0 "" "$semcal" run model.yaml -o json --profile --json
took_s=$((($(date +%s%N) - began) / 1000000))e-3
"$python" - $took_s <<'PY' || complain "--profile --json is wrong"
import json, sys
p = json.load(open("out.txt"))
# later than the model is opened, before the run ends; the start of the process is known to a hundredth
assert p["host"]["opening"] < p["first_token_s"] + .01, p["first_token_s"]
assert p["first_token_s"] < float(sys.argv[1]) + .01, (p["first_token_s"], sys.argv[1])
kernels = {k["kernel"]: k for k in p["kernels"]}
assert 0 < p["busy_s"] < p["wall_s"] and abs(p["idle"] - (1 - p["busy_s"] / p["wall_s"])) < 1e-4, p
assert 1e8 < p["read_bytes_per_s"] < 1e14 and 1e8 < p["flops_per_s"] < 1e16, p
assert abs(sum(k["seconds"] for k in p["kernels"]) / p["busy_s"] - 1) < 1e-3
product = next(k for name, k in kernels.items() if name.startswith("gemm_"))
assert product["launches"] > 0 and product["flops"] > 0 and product["bytes"] > 0
# Above 1 is possible, as weights this small stay in caches, so not the time is checked but the floor: of a sum of launches,
# each bound by its bytes or its operations.
bytes_s, flops_s = product["bytes"] / p["read_bytes_per_s"], product["flops"] / p["flops_per_s"]
floor_s = product["of_floor"] * product["seconds"]
assert max(bytes_s, flops_s) * (1 - 1e-4) <= floor_s <= (bytes_s + flops_s) * (1 + 1e-4), (bytes_s, flops_s, floor_s)
# every kernel says what it cannot do without
assert all(k["bytes"] > 0 and k["of_floor"] > 0 for k in p["kernels"]), p["kernels"]
attention = kernels["attention"]
assert attention["flops"] > 0 and attention["of_floor"] * attention["seconds"] >= attention["bytes"] / p["read_bytes_per_s"] * (1 - 1e-4)
host = p["host"]
assert all(seconds > 0 for phase, seconds in host.items() if phase not in ("rest", "collapse", "beside_text")) and len(host) == 11, host
assert abs(sum(s for phase, s in host.items() if not phase.startswith("beside_")) - p["wall_s"]) < 1e-3 + 1e-4 * p["wall_s"], p
assert {"rows_merge", "rows_draw"} < set(kernels)
PY

# texts come last, and what the next cell asks is made beside the one being drawn; neither changes anything
head -n 6 "$SEMCAL_SOURCE/configs/quickstart/data/documents.jsonl" >documents.jsonl
sed -e 's/^datasets: .\(.*\)\]$/datasets: [{name: a, path: documents.jsonl, format: text-jsonl, question: response, window: 64}, \1]/' \
  -e 's/draws: 20/draws: 20, temperature: [1, 0.5]/' model.yaml >several.yaml
expect 0 "4 of 4 cells done" "$semcal" run several.yaml -o several --profile --json
"$python" - <<'PY' || complain "cells of texts are not last, or nothing is made ahead"
import json
done = [e["cell"] for e in map(json.loads, open("several/log.jsonl")) if e["event"] == "cell_done"]
assert done == ["base.world.concise.T1", "base.world.concise.T0.5", "base.a.tokens.T1", "base.a.tokens.T0.5"], done
assert json.load(open("out.txt"))["host"]["beside_text"] > 0
PY
"$semcal" run several.yaml -o several --profile >out.txt 2>err.txt || complain "run again: $(tail -n 1 err.txt)"
grep -q '^first token' out.txt && complain "a first token where nothing is drawn"
[ "$(digest several $cell)" = "$(digest plain $cell)" ] || complain "other cells change the draws"
expect 0 "" "$semcal" verify several
for one in base.a.tokens.T1 base.a.tokens.T0.5; do
  t=${one##*.T}
  "$semcal" run several.yaml -o alone$t --set sampling.temperature=[$t] >/dev/null 2>err.txt || complain "alone: $(tail -n 1 err.txt)"
  [ -n "$(digest alone$t $one)" ] && [ "$(digest alone$t $one)" = "$(digest several $one)" ] || complain "$one differs when it runs alone"
done

# laws on the host: no device, nothing to tell
expect 0 "1 of 1 cells done" "$semcal" run toy.yaml -o toy --profile
grep -q "device idle" err.txt && complain "a toy run tells of a device"
finish
