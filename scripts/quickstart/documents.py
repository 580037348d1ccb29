#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fresh documents of the quickstart's training law, for next-token calibration.

    python3 scripts/quickstart/documents.py > configs/quickstart/data/documents.jsonl

One JSON object per line: `prompt`, `response` (what follows it, its newline included) and `document`, both together.
The base model was trained on the responses given the prompts, never on the prompts themselves. Standard library only.
"""
import json
import sys

from stream import Stream
from world import DEFAULT_SEED

N_DOCUMENTS = 1000


def documents(n=N_DOCUMENTS, seed=DEFAULT_SEED):
    stream = Stream(seed, "next-token calibration")
    for _ in range(n):
        _, _, _, _, prompt, response = stream.document()
        yield dict(prompt=prompt, response=response, document=prompt + response)


if __name__ == "__main__":
    for row in documents():
        sys.stdout.write(json.dumps(row) + "\n")
