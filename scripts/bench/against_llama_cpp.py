#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The engine beside llama.cpp: the same random weights, the same machine, in turns.

Needs the packages llama_cpp_python (built here, for this processor: CMAKE_ARGS=-DGGML_NATIVE=ON pip install
--no-binary llama_cpp_python llama_cpp_python), gguf and numpy of PyPI, and build/release/bin/shoal-bench. For each
format (bf16; q8 and Q8_0; q4 and Q4_0) it measures decode of 1, 8 and 16 sequences and a prompt of 512 tokens, takes
the median of several turns, and prints a Markdown table. llama.cpp's time holds its head too (a vocabulary of 4096),
for each row, since it skips most of the last block for rows without: its share of the weights is taken off.
"""
import argparse
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time

FORMATS = {"stored": "BF16", "q8": "Q8_0", "q4": "Q4_0"}
SEQUENCES = (1, 8, 16)
PROMPT = 512


def write_gguf(folder, path, kind):
    import gguf
    import numpy as np

    config = json.load(open(folder + "/config.json"))
    with open(folder + "/model.safetensors", "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
    raw = np.memmap(folder + "/model.safetensors", dtype=np.uint8, mode="r", offset=8 + length)

    def tensor(name):
        begin, end = header[name]["data_offsets"]
        return raw[begin:end].view(np.uint16).reshape(header[name]["shape"])

    def widened(values):
        return (values.astype(np.uint32) << 16).view(np.float32)

    writer = gguf.GGUFWriter(path, "llama")
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    writer.add_context_length(32768)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    tokenizer = json.load(open(folder + "/tokenizer.json"))
    names = [f"<unused{i}>" for i in range(config["vocab_size"])]
    types = [gguf.TokenType.UNUSED] * len(names)
    for name, i in tokenizer["model"]["vocab"].items():
        names[i], types[i] = name, gguf.TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        names[added["id"]], types[added["id"]] = added["content"], gguf.TokenType.CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(names)
    writer.add_token_types(types)
    writer.add_token_merges(
        [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    quant = gguf.GGMLQuantizationType[kind]

    def add(name, values):
        if values.ndim == 1:
            writer.add_tensor(name, widened(values))
        elif kind == "BF16":
            writer.add_tensor(name, np.ascontiguousarray(values).view(np.uint8), raw_dtype=quant)
        else:
            writer.add_tensor(name, gguf.quants.quantize(widened(values), quant), raw_dtype=quant)

    add("token_embd.weight", tensor("model.embed_tokens.weight"))
    add("output_norm.weight", tensor("model.norm.weight"))
    names_of = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
                "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
                "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
                "ffn_down": "mlp.down_proj"}
    for block in range(config["num_hidden_layers"]):
        for theirs, ours in names_of.items():
            add(f"blk.{block}.{theirs}.weight", tensor(f"model.layers.{block}.{ours}.weight"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def measure_theirs(path, threads, sequences, steps, prompt):
    """In a process of its own: rows/s of all sequences together, one row each, and of a prompt."""
    import llama_cpp

    llama_cpp.llama_backend_init()
    model_params = llama_cpp.llama_model_default_params()
    model_params.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(path.encode(), model_params)
    params = llama_cpp.llama_context_default_params()
    params.n_ctx = (prompt + steps + 64) * sequences
    params.n_batch = params.n_ubatch = max(prompt, sequences, 32)
    params.n_seq_max = sequences
    params.n_threads = params.n_threads_batch = threads
    context = llama_cpp.llama_init_from_model(model, params)
    batch = llama_cpp.llama_batch_init(params.n_batch, 0, 1)

    def run(rows):
        batch.n_tokens = len(rows)
        for i, (sequence, position) in enumerate(rows):
            batch.token[i] = 2 + (7 * sequence + 13 * position) % 4000
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = True
        start = time.perf_counter()
        if llama_cpp.llama_decode(context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        llama_cpp.llama_synchronize(context)
        return time.perf_counter() - start

    took = 0
    if prompt > 0:
        for _ in range(2):  # the first one touches everything
            llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
            took = run([(0, i) for i in range(prompt)])
        rate = prompt / took
    else:
        took = statistics.median(run([(s, step) for s in range(sequences)]) for step in range(steps))
        rate = sequences / took
    print(json.dumps({"rate": rate}))


def theirs(path, threads, sequences, steps, prompt):
    command = [sys.executable, __file__, "--child", path, str(threads), str(sequences), str(steps), str(prompt)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads([line for line in out.splitlines() if line.startswith("{")][-1])["rate"]


def ours(bench, kind, geometry, blocks, weights, threads, rows, passes):
    out = subprocess.run([bench, kind, "--geometry", geometry, "--blocks", str(blocks), "--weights", weights,
                          "--threads", str(threads), "--rows", str(rows), "--passes", str(passes), "--json"],
                         check=True, capture_output=True, text=True).stdout
    return json.loads(out)["rows_per_s"]


def main():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--geometry", default="llama-3.2-1b")
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--bench", default=root + "/build/release/bin/shoal-bench")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([args.bench, "model", "--geometry", args.geometry, "--blocks", str(args.blocks), folder],
                       check=True)
        config = json.load(open(folder + "/config.json"))
        hidden, dim = config["hidden_size"], config["head_dim"]
        block = hidden * dim * 2 * (config["num_attention_heads"] + config["num_key_value_heads"])
        block += 3 * hidden * config["intermediate_size"]
        with_head = 1 + config["vocab_size"] * hidden / (block * args.blocks)
        print(f"{args.geometry}, {args.blocks} blocks, {args.threads} threads, {args.turns} turns\n")
        print("| weights | what | llama.cpp, tokens/s | shoal, tokens/s | ratio |\n| --- | --- | --- | --- | --- |")
        for weights, kind in FORMATS.items():
            path = folder + "/model.gguf"
            write_gguf(folder, path, kind)
            rates = {}
            for _ in range(args.turns):
                for sequences in SEQUENCES:
                    other = theirs(path, args.threads, sequences, 24, 0) * with_head
                    own = ours(args.bench, "decode", args.geometry, args.blocks, weights, args.threads, sequences, 9)
                    rates.setdefault(f"decode, {sequences}", []).append((other, own))
                other = theirs(path, args.threads, 1, 0, PROMPT) * with_head
                own = ours(args.bench, "prefill", args.geometry, args.blocks, weights, args.threads, PROMPT, 1)
                rates.setdefault(f"prompt of {PROMPT}", []).append((other, own))
            os.remove(path)
            for what, pairs in rates.items():
                other, own = (statistics.median(side) for side in zip(*pairs))
                ratio = statistics.median(b / a for a, b in pairs)
                print(f"| {weights}, {kind} | {what} | {other:.1f} | {own:.1f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--child":
        measure_theirs(sys.argv[2], *map(int, sys.argv[3:7]))
    else:
        main()
