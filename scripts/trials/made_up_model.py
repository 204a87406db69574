#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a made-up Llama model of 22 blocks and 2.2 GB of bf16, with the bundled model's tokenizer: for trials of where
blocks go, not of what is generated.  made_up_model.py FOLDER"""
import json
import os
import shutil
import struct
import sys
from pathlib import Path

HIDDEN, MLP, HEADS, KV_HEADS, HEAD_DIM, BLOCKS, VOCABULARY = 2048, 6528, 32, 4, 64, 22, 4096


def tensors():
    yield "model.embed_tokens.weight", [VOCABULARY, HIDDEN]
    for block in range(BLOCKS):
        layer = f"model.layers.{block}."
        yield layer + "input_layernorm.weight", [HIDDEN]
        yield layer + "mlp.down_proj.weight", [HIDDEN, MLP]
        yield layer + "mlp.gate_proj.weight", [MLP, HIDDEN]
        yield layer + "mlp.up_proj.weight", [MLP, HIDDEN]
        yield layer + "post_attention_layernorm.weight", [HIDDEN]
        yield layer + "self_attn.k_proj.weight", [KV_HEADS * HEAD_DIM, HIDDEN]
        yield layer + "self_attn.o_proj.weight", [HIDDEN, HEADS * HEAD_DIM]
        yield layer + "self_attn.q_proj.weight", [HEADS * HEAD_DIM, HIDDEN]
        yield layer + "self_attn.v_proj.weight", [KV_HEADS * HEAD_DIM, HIDDEN]
    yield "model.norm.weight", [HIDDEN]


def size_of(shape):
    size = 2
    for length in shape:
        size *= length
    return size


def write(folder):
    demo = Path(__file__).resolve().parents[2] / "models" / "demo"
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(demo / name, folder / name)
    config = json.loads((demo / "config.json").read_text())
    config.update(hidden_size=HIDDEN, intermediate_size=MLP, num_attention_heads=HEADS,
                  num_key_value_heads=KV_HEADS, head_dim=HEAD_DIM, num_hidden_layers=BLOCKS,
                  vocab_size=VOCABULARY, max_position_embeddings=2048)
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    # Random sign and mantissa, 2^-7 to 2^-5 large, as trained weights are; a MiB of it, again and again.
    count = (1 << 20) // 8
    noise = int.from_bytes(os.urandom(count * 8), "little")
    keep = int.from_bytes(bytes.fromhex("ff80") * (count * 4), "little")
    base = int.from_bytes(bytes.fromhex("003c") * (count * 4), "little")
    chunk = ((noise & keep) | base).to_bytes(count * 8, "little")
    ones = bytes.fromhex("803f") * HIDDEN
    header, offset = {}, 0
    for name, shape in tensors():
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size_of(shape)]}
        offset += size_of(shape)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors():
            left = size_of(shape)
            if name.endswith("norm.weight"):
                file.write(ones)
                continue
            while left > 0:
                left -= file.write(chunk[:left])


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    write(target)
