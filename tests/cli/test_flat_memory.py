# SPDX-License-Identifier: Apache-2.0
"""Memory does not grow with the number of questions: peaks of run and collapse at N and 4 N questions of the toy."""
import json
import os
import subprocess
import sys
import tempfile

SEMCAL = os.environ["SEMCAL"]
FEW, TIMES = 2000, 4
# Some 100 bytes of a question are kept (indices); chunks of the file's variables fill up to 256 kilobytes each. With the
# questions' texts and a window of draws in memory, 6000 questions more took 35 MB in a run and 12 MB in a collapse.
SLACK_MB = 10

CONFIG = """
name: flat
seed: 1
models: [{name: t, source: toy}]
datasets: [{name: d, path: toy.jsonl, id: id, question: question, answers: answer, collapse: exact}]
styles: [plain]
style: {plain: {prompt: "{question}", max_tokens: 4, stop: ["\\n"], shots: 0}}
sampling: {draws: 24}
analyze: {floor_redraws: 0}
"""


def peak_mb(*arguments):
    """Peak memory of one child, which must succeed."""
    with open("messages", "w+", encoding="utf-8") as messages:
        child = subprocess.Popen([SEMCAL, *arguments], stdout=messages, stderr=messages)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            messages.seek(0)
            print("FAILED:", *arguments, messages.read())
            sys.exit(1)
    return usage.ru_maxrss / 1024


def main():
    most = FEW * TIMES
    with open("toy.jsonl", "w", encoding="utf-8") as out:
        for i in range(most):
            law = "alfa=0.6 bravo=0.25 charlie=0.1 delta=0.05 decide=first fillers=1"
            out.write(json.dumps({"id": f"question-{i}", "question": f"law: {law}", "answer": "alfa"}) + "\n")
    with open("flat.yaml", "w", encoding="utf-8") as out:
        out.write(CONFIG)
    bad = False
    peaks = {}
    for n in (FEW, most):
        peaks["run", n] = peak_mb("run", "flat.yaml", "-o", f"run{n}", "--set", f"datasets.d.limit={n}")
        peaks["collapse", n] = peak_mb("collapse", f"run{n}", "--with", "alias")
    for what in ("run", "collapse"):
        few, many = peaks[what, FEW], peaks[what, most]
        allowed = few + SLACK_MB
        print(f"{what}: {few:.1f} MB with {FEW} questions, {many:.1f} MB with {most}, at most {allowed:.1f} MB allowed")
        bad |= many > allowed
    if bad:
        print("FAILED: memory grows with the number of questions")
    return int(bad)


if __name__ == "__main__":
    with open(SEMCAL, "rb") as program:
        if b"__asan_init" in program.read():
            print("skipped: the sanitizers' allocator keeps what is freed")
            sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        code = main()
        os.chdir("/")
    sys.exit(code)
