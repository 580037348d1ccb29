# SPDX-License-Identifier: Apache-2.0
# A hundred thousand draws of a short law: memory stays bounded, the tree evaluates each prefix once, shares follow the law.
. "${SEMCAL_SOURCE:?}/tests/cli/run_common.sh"
"$python" -c 'import h5py' 2>/dev/null || { echo "skipped: $python has no h5py"; exit 77; }

# sanitizers: what is freed is not kept, as the test looks at the memory
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=1
toy_data 2 2
"$python" - "$semcal" <<'PY' || complain "a hundred thousand draws"
import h5py, json, math, resource, subprocess, sys
def run(draws, folder):
    return subprocess.run([sys.argv[1], "run", "toy.yaml", "-o", folder, "--set", f"sampling.draws={draws}"],
                          stderr=subprocess.PIPE, text=True)
bad = 0
def check(condition, text):
    global bad
    if not condition:
        print("FAILED:", text, file=sys.stderr)
        bad = 1
few = run(1000, "few")
few_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
many = run(100000, "many")
many_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
check(few.returncode == 0 and many.returncode == 0, f"exit {few.returncode}, {many.returncode}: {many.stderr[-300:]}")
print(f"peak memory: {few_mb:.0f} MB with 1000 draws, {many_mb:.0f} MB with 100000")
check(many_mb < few_mb + 150, "memory grows with the draws")
with h5py.File("many/cells/t.d.plain.T1.h5") as cell:
    c, forward = cell["confidence_frequency"][:], cell["forward_tokens"][:]
    check(cell["draw_logprob"].shape == (2 * 100000,) or cell["draw_logprob"].shape == (2, 100000), "draws are missing")
check(all(n < 400 for n in forward), f"forward tokens: {forward}")
for row, share in zip(map(json.loads, open("toy.jsonl")), c):
    p = max(row["law"].values())
    check(abs(share - p) < 4.5 * math.sqrt(p * (1 - p) / 100000), f"{row['id']}: {share}, the law says {p}")
sys.exit(bad)
PY
"$semcal" verify many >verify.txt 2>&1 || complain "verify: $(cat verify.txt)"
expect 2 "at most 1000000 are possible" "$semcal" run toy.yaml -o huge --set sampling.draws=1000001
finish
