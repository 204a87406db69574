#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`shoal serve` beside llama.cpp's server: the same model, the same machine, so many streams for so long.

Needs the packages xllamacpp (llama.cpp with its server), gguf and numpy of PyPI, and build/release/bin/shoal,
shoal-node and, with --geometry, shoal-bench. Each stream asks for one completion after the other (a prompt of random tokens, greedy,
no end before --tokens) until the time is over; a stream's requests never share a prompt. Time to the first token is
from the request to the first event that has text; time per token is the rest of an answer over its tokens but one.
The generator's own processor time is told beside that of the server, nodes included: where it comes near one core,
it is what was measured.
"""
import argparse
import json
import os
import random
import resource
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = ROOT + "/build/release/bin/"
FORMATS = {"stored": "BF16", "q8": "Q8_0", "q4": "Q4_0"}


class Stream:
    """One connection, which asks again when it was answered. Both servers write one event for each token."""

    def __init__(self, load, number):
        self.load, self.number, self.turn = load, number, 0
        self.connect()

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.load.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.load.selector.register(self.socket, selectors.EVENT_READ, self)
        self.ask()

    def ask(self):
        args = self.load.args
        draw = random.Random(self.number * 100_003 + self.turn)
        self.turn += 1
        body = json.dumps({"prompt": [0] + [draw.randrange(2, self.load.vocabulary) for _ in range(args.prompt - 1)],
                           "max_tokens": args.tokens, "temperature": 0, "ignore_eos": True, "stream": True,
                           "cache_prompt": False}).encode()
        self.tail, self.events, self.error, self.first = b"", 0, None, None
        self.answered = self.whole = False
        self.sent = self.last = time.perf_counter()
        self.socket.setblocking(True)
        self.socket.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                            b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.socket.setblocking(False)

    def read(self):
        load = self.load
        try:
            data = self.socket.recv(1 << 16)
        except OSError as error:
            return self.end(str(error))
        if not data and not self.answered and self.turn > 1:  # it takes so many requests, and no more
            load.selector.unregister(self.socket)
            self.socket.close()
            self.turn -= 1
            return self.connect()
        if not data:
            return self.end("the connection was closed")
        now = time.perf_counter()
        text = self.tail + data
        # A marker that is cut in two is counted with the next piece.
        self.answered = self.answered or b"HTTP/1.1 " in text
        count = text.count(b'"text":')
        if b'"error"' in text or (self.first is None and b"HTTP/1.1 200" not in text and b"HTTP/1.1" in text):
            self.error = text[:300].decode(errors="replace")
        if count:
            if self.first is None:
                self.first = now
            else:
                load.gaps.append(now - self.last)
            self.last = now
            self.events += count
        over = b"[DONE]" in text
        self.whole = self.whole or b'"length"' in text
        self.tail = b"" if over else text[max(text.rfind(b'"text":') + 7, len(text) - 8):]
        if over:
            self.end(self.error or (None if self.whole else f"it ended by itself after {self.events} events"))
        elif self.error:
            self.end(self.error)

    def end(self, error):
        load = self.load
        if error:
            load.failures.append(error)
            load.selector.unregister(self.socket)
            self.socket.close()
        elif self.sent >= load.begin:
            load.firsts.append(self.first - self.sent)
            load.per_token.append((self.last - self.first) / (load.args.tokens - 1))
        if time.perf_counter() < load.until:
            if error:
                time.sleep(0.01)
                return self.connect()
            return self.ask()  # the body's last chunk may still come, before the next head
        load.running -= 1
        if not error:
            load.selector.unregister(self.socket)
            self.socket.close()


class Load:
    def __init__(self, args, port, vocabulary):
        self.args, self.port, self.vocabulary = args, port, vocabulary
        self.selector = selectors.DefaultSelector()
        self.firsts, self.per_token, self.gaps, self.failures = [], [], [], []

    def run(self, seconds):
        self.running = self.args.streams
        self.begin = time.perf_counter()
        self.until = self.begin + seconds
        cpu = resource.getrusage(resource.RUSAGE_SELF)
        for number in range(self.args.streams):
            Stream(self, number)
        while self.running:
            for key, _ in self.selector.select(timeout=60):
                key.data.read()
        took = time.perf_counter() - self.begin
        now = resource.getrusage(resource.RUSAGE_SELF)
        self.own_cpu = (now.ru_utime + now.ru_stime - cpu.ru_utime - cpu.ru_stime) / took
        self.rate = len(self.firsts) * self.args.tokens / took
        self.took = took


def cpu_of(pids):
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Processes:
    def __init__(self):
        self.all = []

    def start(self, command, log):
        self.all.append(subprocess.Popen(command, stdout=open(log, "w"), stderr=subprocess.STDOUT))
        return self.all[-1]

    def pids(self):
        return [process.pid for process in self.all]

    def stop(self):
        for process in reversed(self.all):
            process.send_signal(signal.SIGTERM)
        for process in self.all:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(path, text, process):
    for _ in range(1200):
        if os.path.exists(path):
            with open(path) as file:
                read = file.read()
            if text in read:
                return read
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"no {text!r} in {path}: " + (open(path).read()[-2000:] if os.path.exists(path) else "no file"))


def start_shoal(args, folder, work, local):
    processes = Processes()
    blocks = json.load(open(folder + "/config.json"))["num_hidden_layers"]
    if local:
        command = ["--local", "--threads", str(args.threads)]
    else:
        subprocess.run([BIN + "shoal", "swarm", "new", work + "/swarm.key"], check=True, capture_output=True)
        address = None
        for i in range(args.nodes):
            ready, log = f"{work}/node{i}.json", f"{work}/node{i}.log"
            span = f"{blocks * i // args.nodes}:{blocks * (i + 1) // args.nodes}"
            node = processes.start(
                [BIN + "shoal-node", "run", "--model", folder, "--listen", "127.0.0.1:0", "--swarm-key",
                 work + "/swarm.key", "--identity", f"{work}/node{i}.key", "--ready-file", ready, "--blocks", span,
                 "--weights", args.weights, "--threads", str(max(1, args.threads // args.nodes)), "--log-level",
                 "warn"] + (["--join", address] if address else ["--new-swarm"]) + args.node_args, log)
            address = address or json.loads(wait_for(ready, "address", node))["address"]
        command = ["--join", address, "--swarm-key", work + "/swarm.key"]
    log = work + "/serve.log"
    serve = processes.start([BIN + "shoal", "serve", "--model", folder, "--listen", "127.0.0.1:0"] + command +
                            args.serve_args, log)
    said = wait_for(log, "/v1\n", serve)
    return processes, int(said[said.rindex("http://"):].split(":")[2].split("/")[0])


def start_llama(args, gguf_path, work):
    processes = Processes()
    log = work + "/llama.log"
    room = (args.prompt + args.tokens + 8) * args.streams
    server = processes.start([sys.executable, "-u", __file__, "--child", gguf_path, str(args.threads), str(args.streams),
                              str(room)], log)
    said = wait_for(log, "SERVED_AT ", server)
    return processes, int(said[said.index("SERVED_AT ") + 10:].split()[0])


def serve_llama(path, threads, streams, room):
    """In a process of its own: llama.cpp's server until SIGTERM."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.n_gpu_layers = 0
    params.n_ctx, params.n_parallel, params.cont_batching = room, streams, True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_threads_http = streams + 4
    params.port = 0
    params.cache_ram_mib = 0
    params.hostnames = ["127.0.0.1"]
    server = xllamacpp.Server(params)
    print("SERVED_AT", server.listening_address.rsplit(":", 1)[1].rstrip("/"), "", flush=True)
    signal.sigwait([signal.SIGTERM])
    os._exit(0)


def percentile(values, part):
    if not values:
        return float("nan")
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] * 1e3


def measure(args, name, processes, port, vocabulary):
    try:
        Load(args, port, vocabulary).run(min(3, args.seconds))  # the first one touches everything
        load = Load(args, port, vocabulary)
        before = cpu_of(processes.pids())
        load.run(args.seconds)
        cores = (cpu_of(processes.pids()) - before) / load.took
    finally:
        processes.stop()
    print(f"| {name} | {len(load.firsts)} | {len(load.failures)} | {percentile(load.firsts, .5):.1f} | "
          f"{percentile(load.firsts, .99):.1f} | {percentile(load.per_token, .5):.2f} | "
          f"{percentile(load.per_token, .99):.2f} | {percentile(load.gaps, .99):.1f} | {load.rate:.0f} | {cores:.2f} | "
          f"{load.own_cpu:.2f} |", flush=True)
    for failure in load.failures[:3]:
        print("failed:", failure, file=sys.stderr)
    return len(load.failures)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=ROOT + "/models/demo", help="a folder (Llama, one file, bf16)")
    parser.add_argument("--geometry", help="a model of random weights instead, as shoal-bench knows it")
    parser.add_argument("--blocks", type=int, default=4, help="of the random model")
    parser.add_argument("--weights", default="stored", choices=FORMATS)
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--prompt", type=int, default=32, help="tokens of a prompt")
    parser.add_argument("--tokens", type=int, default=64, help="of an answer")
    parser.add_argument("--threads", type=int, default=2, help="of each side, over all nodes")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--only", default="llama,swarm,local", help="some of these")
    parser.add_argument("--node-args", type=str.split, default=[])
    parser.add_argument("--serve-args", type=str.split, default=[])
    args = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        folder = args.model
        if args.geometry:
            folder = work + "/model"
            subprocess.run([BIN + "shoal-bench", "model", "--geometry", args.geometry, "--blocks", str(args.blocks),
                            folder], check=True, stdout=sys.stderr)
        vocabulary = json.load(open(folder + "/config.json"))["vocab_size"]
        print(f"{args.geometry or os.path.basename(folder)}, {args.weights}, {args.streams} streams for {args.seconds:.0f} s, "
              f"{args.prompt} and {args.tokens} tokens, {args.threads} threads\n")
        print("| server | answers | failed | first token, ms, p50 | p99 | per token, ms, p50 | p99 | longest gaps, p99 | tokens/s | "
              "cores | generator |\n" + "| --- " * 11 + "|")
        if "llama" in args.only:
            sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
            import against_llama_cpp

            path = work + "/model.gguf"
            against_llama_cpp.write_gguf(folder, path, FORMATS[args.weights])
            failed += measure(args, "llama.cpp", *start_llama(args, path, work), vocabulary)
        if "swarm" in args.only:
            failed += measure(args, f"shoal, {args.nodes} nodes", *start_shoal(args, folder, work, False), vocabulary)
        if "local" in args.only:
            failed += measure(args, "shoal --local", *start_shoal(args, folder, work, True), vocabulary)
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--child":
        serve_llama(sys.argv[2], *map(int, sys.argv[3:6]))
    else:
        sys.exit(main())
