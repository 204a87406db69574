#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The engine beside PyTorch: one decode step of the same span, on the same device, in turns.

Needs torch (2.0 or newer) with CUDA that works, and shoal-bench. Blocks of Llama's shape with random bf16 weights, batch 1,
keys and values of --context positions kept in bf16: eagerly, as torch.compile makes it (mode reduce-overhead, which records
a graph), and as `shoal-bench decode` does it with bf16 weights and KV. Each turn measures all of them; the table has the
medians and, of each turn, the ratio. Then a prefill of 2048 rows beside what torch makes of a large bf16 product.
Ends with 77, and a line, where torch or its device is missing.

Shoal's products are f32 unless it is asked for --compute mma; PyTorch's are bf16: the weights that are read, which a decode step
waits for, are the same bytes.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

# As tests/bench/geometry.h: hidden, heads, kv heads, head dim, mlp.
GEOMETRIES = {
    "demo": (256, 8, 4, 32, 704),
    "llama-3.2-1b": (2048, 32, 8, 64, 8192),
    "llama-3.1-8b": (4096, 32, 8, 128, 14336),
}


def import_torch(device):
    """torch, or None and why not."""
    try:
        import torch
    except ImportError as error:
        return None, f"torch cannot be imported: {error}"
    if device == "cuda" and not torch.cuda.is_available():
        return None, f"the CUDA of torch {torch.__version__} does not work on this machine"
    return torch, ""


def span(torch, geometry, blocks, context, device):
    """A module that makes of one row's activations [1, hidden] a decode step at position `context`; bytes of its weights."""
    hidden, heads, kv_heads, dim, mlp = GEOMETRIES[geometry]
    functional = torch.nn.functional

    def weight(out, inputs):
        values = torch.randn(out, inputs, device=device).mul_(inputs**-0.5).to(torch.bfloat16)
        return torch.nn.Parameter(values, requires_grad=False)

    def vector():
        return torch.nn.Parameter(torch.ones(hidden, device=device, dtype=torch.bfloat16), requires_grad=False)

    def norm(x, by):
        wide = x.float()
        return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5)).to(x.dtype) * by

    class Block(torch.nn.Module):
        # Weights and pages are a module's own, so that torch.compile may record what changes them.
        def __init__(self):
            super().__init__()
            self.attention_norm, self.mlp_norm = vector(), vector()
            self.qkv, self.out = weight((heads + 2 * kv_heads) * dim, hidden), weight(hidden, heads * dim)
            self.gate_up, self.down = weight(2 * mlp, hidden), weight(hidden, mlp)
            for name in ("keys", "values"):
                kept = torch.randn(1, kv_heads, context + 1, dim, device=device).to(torch.bfloat16)
                self.register_buffer(name, kept)
            inverse = 500000.0 ** (-torch.arange(0, dim, 2, device=device).float() / dim)
            angles = torch.cat([context * inverse] * 2)
            self.register_buffer("cos", angles.cos().to(torch.bfloat16))
            self.register_buffer("sin", angles.sin().to(torch.bfloat16))

        def rotate(self, x):
            low, high = x.chunk(2, -1)
            return x * self.cos + torch.cat([-high, low], -1) * self.sin

        def forward(self, x):
            qkv = functional.linear(norm(x, self.attention_norm), self.qkv)
            q, k, v = qkv.split([heads * dim, kv_heads * dim, kv_heads * dim], -1)
            self.keys[:, :, context] = self.rotate(k.view(1, kv_heads, dim))
            self.values[:, :, context] = v.view(1, kv_heads, dim)
            # Each kv head's queries as rows of one head, which needs no copy of keys and values.
            q = self.rotate(q.view(1, heads, dim)).view(1, kv_heads, heads // kv_heads, dim)
            seen = functional.scaled_dot_product_attention(q, self.keys, self.values)
            x = x + functional.linear(seen.reshape(1, heads * dim), self.out)
            gate, up = functional.linear(norm(x, self.mlp_norm), self.gate_up).chunk(2, -1)
            return x + functional.linear(functional.silu(gate) * up, self.down)

    model = torch.nn.Sequential(*[Block() for _ in range(blocks)])
    return model, sum(2 * parameter.numel() for parameter in model.parameters())


def median_us(torch, run, steps, device):
    """Of one call among `steps`, each waited for, as a node waits for each step's rows."""
    def wait():
        if device == "cuda":
            torch.cuda.synchronize()

    run()
    wait()
    taken = []
    for _ in range(steps):
        start = time.perf_counter()
        run()
        wait()
        taken.append((time.perf_counter() - start) * 1e6)
    return statistics.median(taken)


def ours(args, kind, rows, context, blocks, passes, compute):
    """What shoal-bench measured, of one point."""
    command = [args.bench, kind, "--geometry", args.geometry, "--blocks", str(blocks), "--weights", "bf16",
               "--kv-dtype", "bf16", "--rows", str(rows), "--context", str(context), "--device", args.device,
               "--passes", str(passes), "--json"] + (["--compute", compute] if compute else [])
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"against_pytorch: {args.bench} failed: {done.stderr.strip() or done.stdout.strip()}")
    return json.loads(done.stdout)


def our_step(args, compute):
    return ours(args, "decode", 1, args.context, args.blocks, args.steps, compute)["step_us"]


def our_prefill(args, compute):
    """TFLOP/s."""
    return ours(args, "prefill", 2048 if args.device == "cuda" else 64, 0, min(args.blocks, 2), 3, compute)["gop_s"] / 1e3


def knows_compute(bench):
    return "--compute" in subprocess.run([bench, "decode", "--help"], capture_output=True, text=True).stdout


def product_rate(torch, device, rows):
    """TFLOP/s of [rows, rows] x [rows, rows] in bf16."""
    a = torch.randn(rows, rows, device=device).to(torch.bfloat16)
    b = torch.randn(rows, rows, device=device).to(torch.bfloat16)
    us = median_us(torch, lambda: torch.matmul(a, b), 5, device)
    return 2.0 * rows**3 / us / 1e6


def table(turns, order):
    """Markdown; `turns`: of each turn, microseconds by name. Ratios are of one turn."""
    lines = ["| | us a step, median | shoal is so many times as fast, median | least |", "| --- | --- | --- | --- |"]
    for name in order:
        us = statistics.median(turn[name] for turn in turns)
        if name == "shoal":
            lines.append(f"| {name} | {us:.0f} | | |")
            continue
        ratios = [turn[name] / turn["shoal"] for turn in turns]
        lines.append(f"| {name} | {us:.0f} | {statistics.median(ratios):.2f} | {min(ratios):.2f} |")
    return "\n".join(lines)


def main():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--geometry", default="llama-3.1-8b", choices=sorted(GEOMETRIES))
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=50, help="of each turn")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--eager-only", action="store_true", help="without torch.compile, which takes up to a minute")
    parser.add_argument("--bench", default=root + "/build/release/bin/shoal-bench")
    args = parser.parse_args()
    torch, why = import_torch(args.device)
    if torch is None:
        print(f"against_pytorch: left out: {why}")
        return 77
    torch.manual_seed(1)
    with torch.no_grad():
        step, weight_bytes = span(torch, args.geometry, args.blocks, args.context, args.device)
        x = torch.randn(1, GEOMETRIES[args.geometry][0], device=args.device).to(torch.bfloat16)
        if not torch.isfinite(step(x)).all():
            raise SystemExit("against_pytorch: PyTorch's span gives what is not finite")
        runs = {"PyTorch, eager": lambda: median_us(torch, lambda: step(x), args.steps, args.device)}
        if not args.eager_only:
            try:
                compiled = torch.compile(step, mode="reduce-overhead", dynamic=False)
                for _ in range(3):  # compiles, warms up, records
                    compiled(x)
                runs["PyTorch, compiled"] = lambda: median_us(torch, lambda: compiled(x), args.steps, args.device)
            except Exception as error:  # a compiler of the host may be missing: any kind of exception
                print(f"torch.compile left out: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
        runs["shoal"] = lambda: our_step(args, "")
        if knows_compute(args.bench):
            runs["shoal, --compute mma"] = lambda: our_step(args, "mma")
        turns = []
        for turn in range(args.turns):
            turns.append({name: run() for name, run in runs.items()})
            print(f"turn {turn + 1}: " + ", ".join(f"{name} {us:.0f} us" for name, us in turns[-1].items()), flush=True)
        rate = product_rate(torch, args.device, 8192 if args.device == "cuda" else 256)
    computes = ["", "mma"] if "shoal, --compute mma" in runs else [""]
    prefills = {f"prefill{' --compute ' + each if each else ''}": our_prefill(args, each) for each in computes}
    where = torch.cuda.get_device_name() if args.device == "cuda" else "CPU"
    print(f"\n{where}, torch {torch.__version__}: {args.blocks} blocks of {args.geometry}, {weight_bytes >> 20} MiB of bf16 weights, "
          f"context {args.context}, one row, {args.turns} turns of {args.steps} steps\n")
    print(table(turns, list(runs)))
    print(f"\ntorch.matmul, bf16: {rate:.1f} TFLOP/s; of it: " +
          ", ".join(f"{name} {value / rate:.2f}" for name, value in prefills.items()))
    ratio = {name: statistics.median(turn[name] / turn["shoal"] for turn in turns) for name in runs if name != "shoal"}
    print("KEY: shoal is " + ", ".join(f"{value:.2f} times as fast as {name}" for name, value in ratio.items()) +
          "; of torch.matmul: " + ", ".join(f"{name} {value / rate:.2f}" for name, value in prefills.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
