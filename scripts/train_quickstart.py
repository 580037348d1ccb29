#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the quickstart's data and its two trained models, from a seed.

    ./scripts/venv.sh                                  # once: the Python environment
    "${SEMCAL_VENV:-$HOME/.cache/semcal/venv}/bin/python" scripts/train_quickstart.py

Stages (each can be run alone with --stage, on what the earlier ones left):
  data      world.jsonl, arithmetic.jsonl            seconds (standard library only)
  base      tokenizer, next-token training           about 25 minutes on an idle core
  instruct  the base tuned by a policy gradient      a few minutes
  evaluate  50 draws per question, by the oracle     10 minutes or more
The model cards are then written from the program's own numbers:
  semcal run configs/quickstart.yaml -o RUN && semcal analyze RUN --json > RUN.json
  python scripts/quickstart/cards.py RUN.json
Training is seeded; on another machine or number of threads the weights differ in rounding,
and the committed models are the ones whose numbers stand in their cards.
"""
import argparse
import copy
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "quickstart"))
TARGET = os.path.join(HERE, "..", "configs", "quickstart")

BASE_STEPS, BASE_BATCH = (2500, 450), 64        # two phases
TUNE_STEPS, TUNE_QUESTIONS, TUNE_DRAWS, TUNE_LR = 40, 10, 16, 4e-4


def log(text):
    print(text, file=sys.stderr, flush=True)


def record(folder, facts):
    """Facts of a stage, kept beside the model until the card is written."""
    from files import write_json
    write_json(os.path.join(folder, "training.json"), facts)


def stage_base(o, tok):
    from export import round_to_bf16, save_model
    from train import test_losses, train_base
    start = time.time()
    model = None
    if o.first_phase:                         # continue from a saved end of the first phase
        from evaluate import load
        model, tok = load(o.first_phase)
    model, loss = train_base(tok, o.seed, o.steps, BASE_BATCH, log, model)
    round_to_bf16(model)
    folder = os.path.join(TARGET, "models", "base")
    save_model(folder, model, tok)
    record(folder, dict(seed=o.seed, steps=o.steps, documents=sum(o.steps) * BASE_BATCH,
                        train_loss=loss, losses=test_losses(model, tok, o.seed, 1000),
                        threads=o.threads, wall_s=round(time.time() - start)))


def stage_instruct(o):
    from evaluate import load
    from export import round_to_bf16, save_model
    from train import test_losses
    from tune import tune
    start = time.time()
    base, tok = load(os.path.join(TARGET, "models", "base"))
    model = copy.deepcopy(base)
    reward = tune(model, tok, o.seed, o.tune_steps, TUNE_QUESTIONS, TUNE_DRAWS, o.tune_lr,
                  log=log)
    round_to_bf16(model)
    folder = os.path.join(TARGET, "models", "instruct")
    save_model(folder, model, tok)
    record(folder, dict(seed=o.seed, steps=o.tune_steps, lr=o.tune_lr,
                        responses=o.tune_steps * 6 * TUNE_QUESTIONS * TUNE_DRAWS, reward=reward,
                        losses=test_losses(model, tok, o.seed, 1000), threads=o.threads,
                        wall_s=round(time.time() - start)))


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--stage", choices=["data", "base", "instruct", "evaluate", "all"],
                    default="all")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--steps", type=int, nargs=2, default=BASE_STEPS)
    ap.add_argument("--first-phase", help="model folder: skip the first phase of the base")
    ap.add_argument("--tune-steps", type=int, default=TUNE_STEPS)
    ap.add_argument("--tune-lr", type=float, default=TUNE_LR)
    ap.add_argument("--questions", type=int, default=1000, help="evaluated per row")
    ap.add_argument("--threads", type=int, default=1)
    o = ap.parse_args()
    run = lambda s: o.stage in (s, "all")                          # noqa: E731
    if run("data"):
        from arithmetic import Arithmetic
        from files import save_data
        from world import N_TEST, World
        save_data(os.path.join(TARGET, "data"),
                  {"world": World(o.seed), "arithmetic": Arithmetic(o.seed)}, N_TEST)
        log("data written")
    if o.stage == "data":
        return
    import torch
    torch.set_num_threads(o.threads)
    if run("base"):
        from tokenizer import train_tokenizer
        stage_base(o, train_tokenizer(o.seed))
    if run("instruct"):
        stage_instruct(o)
    if run("evaluate"):
        from evaluate import measure, table
        print(table(measure(["base", "instruct"], o.questions, 50, log=log)))


if __name__ == "__main__":
    main()
