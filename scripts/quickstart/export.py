# SPDX-License-Identifier: Apache-2.0
"""Write a model folder in Hugging Face format, bf16."""
import os

import torch
from safetensors.torch import save_file

from files import write_json
from prompts import END_OF_TEXT


def round_to_bf16(model):
    """Round the weights in place, so that what is measured is what is saved."""
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.bfloat16().float())


def save_model(folder, model, tok):
    os.makedirs(folder, exist_ok=True)
    s, end = model.s, tok.token_to_id(END_OF_TEXT)
    write_json(os.path.join(folder, "config.json"), {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "vocab_size": s.vocab, "hidden_size": s.width, "intermediate_size": s.hidden,
        "num_hidden_layers": s.layers, "num_attention_heads": s.heads,
        "num_key_value_heads": s.kv_heads, "head_dim": s.head_dim, "hidden_act": "silu",
        "max_position_embeddings": s.context, "rms_norm_eps": s.eps, "rope_theta": s.theta,
        "attention_bias": False, "mlp_bias": False, "attention_dropout": 0.0,
        "initializer_range": 0.02, "tie_word_embeddings": True, "use_cache": True,
        "bos_token_id": end, "eos_token_id": end, "torch_dtype": "bfloat16"})
    write_json(os.path.join(folder, "tokenizer_config.json"), {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": s.context,
        "eos_token": END_OF_TEXT, "bos_token": END_OF_TEXT, "add_bos_token": False,
        "add_prefix_space": False, "clean_up_tokenization_spaces": False})
    tok.save(os.path.join(folder, "tokenizer.json"))
    weights = os.path.join(folder, "model.safetensors")
    save_file({k: v.bfloat16().contiguous() for k, v in model.state_dict().items()}, weights,
              metadata={"format": "pt"})
    os.chmod(weights, 0o644)                              # the library writes it 0600
