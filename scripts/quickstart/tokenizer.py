# SPDX-License-Identifier: Apache-2.0
"""The quickstart's tokenizer."""
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from prompts import END_OF_TEXT
from stream import Stream


def train_tokenizer(seed, vocab=1024, documents=20000):
    """Byte-level BPE; digits are split singly before the GPT-2 pattern."""
    stream = Stream(seed, "tokenizer", "easy")
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tok.decoder = decoders.ByteLevel()
    texts = []
    for _ in range(documents):
        _, _, _, _, p, c = stream.document()
        texts.append(p + c)
    tok.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=[END_OF_TEXT], min_frequency=2, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    return tok
