# SPDX-License-Identifier: Apache-2.0
"""JSON files and the data files.  Standard library only."""
import json
import os

from world import jsonl


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=2, ensure_ascii=False)
        f.write("\n")


def save_data(folder, sets, n):
    os.makedirs(folder, exist_ok=True)
    for name, data in sets.items():
        with open(os.path.join(folder, name + ".jsonl"), "w", encoding="utf-8") as f:
            f.write(jsonl(data.test_set(n)))

