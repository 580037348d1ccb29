# SPDX-License-Identifier: Apache-2.0
"""The prompts of the three styles; configs/quickstart.yaml repeats them word for word."""
PROMPTS = {
    "concise": "Q: {question}\nShort answer:",
    "sentence": "Q: {question}\nAnswer in a sentence:",
    "cot": "Q: {question}\nReasoning:",
}
STOP = "\n"
# tokens, the stop included; above the longest training response of the style
MAX_TOKENS = {"concise": 10, "sentence": 16, "cot": 56}
END_OF_TEXT = "<|endoftext|>"


def prompt(question, style):
    return PROMPTS[style].format(question=question)


def completion(response):
    """What follows the prompt: a space, the response, the stop."""
    return " " + response + STOP
