# SPDX-License-Identifier: Apache-2.0
"""The collapse of a response to a class, as the C program is asked to do it.

choice: whole words of a closed list, case ignored; no hit or two different labels: unparsed.
numeric: the last number of the text; none: unparsed.
"""
import re

from world import FRUITS

CHOICES = [[label, plural] for label, plural, _ in FRUITS]
_LABEL = {word: c[0] for c in CHOICES for word in c}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def choice(text):
    hits = {_LABEL[w] for w in re.findall(r"[a-z]+", text.lower()) if w in _LABEL}
    return hits.pop() if len(hits) == 1 else None


def numeric(text):
    found = _NUMBER.findall(text)
    if not found:
        return None
    return str(int(found[-1])) if "." not in found[-1] else found[-1]


COLLAPSE = {"world": choice, "arithmetic": numeric}
