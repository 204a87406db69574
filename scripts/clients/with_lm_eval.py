# SPDX-License-Identifier: Apache-2.0
"""The evaluation harness lm-eval against a server, and against transformers (checks.py says how it is called).

Its own tasks need the Internet: two small ones are written here, over the texts of a file beside the model or
of its README.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

from checks import check, main, same

TASKS = {
    "tales_choice": """task: tales_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{start}}}}"
doc_to_target: 0
doc_to_choice: "{{{{choices}}}}"
metric_list: [{{metric: acc}}]
""",
    "tales_rolling": """task: tales_rolling
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list: [{{metric: word_perplexity}}]
""",
    "tales_goes_on": """task: tales_goes_on
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: generate_until
test_split: test
doc_to_text: "{{{{start}}}}"
doc_to_target: "x"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 16, do_sample: false, temperature: 0.0}}
metric_list: [{{metric: exact_match}}]
""",
}


def write_tasks(server, folder):
    path = os.path.join(server.folder, "heldout.txt")
    if not os.path.exists(path):
        path = os.path.join(server.folder, "README.md")
    with open(path, encoding="utf-8") as file:
        words = file.read().split()
    with open(os.path.join(folder, "data.jsonl"), "w", encoding="utf-8") as file:
        for i in range(12):
            some = words[60 * i:60 * i + 60]
            wrong = words[60 * i + 90:60 * i + 95]
            file.write(json.dumps({"start": " ".join(some[:20]), "text": " ".join(some),
                                   "choices": [" " + " ".join(some[20:25]), " " + " ".join(wrong)]}) + "\n")
    for name, text in TASKS.items():
        with open(os.path.join(folder, name + ".yaml"), "w", encoding="utf-8") as file:
            file.write(text.format(data=json.dumps(os.path.join(folder, "data.jsonl"))))


def run(folder, kind, arguments, tasks, more=()):
    """The samples of each task."""
    out = os.path.join(folder, kind)
    subprocess.run([sys.executable, "-m", "lm_eval", "run", "--model", kind, "--model_args", arguments, "--tasks",
                    ",".join(tasks), "--include_path", folder, "--output_path", out, "--log_samples", *more],
                   check=True, stdout=sys.stderr)
    samples = {}
    for task in tasks:
        path = glob.glob(f"{out}/**/samples_{task}_*.jsonl", recursive=True)[-1]
        with open(path, encoding="utf-8") as file:
            samples[task] = sorted((json.loads(line) for line in file), key=lambda sample: sample["doc_id"])
    return samples


def local(server, more=""):
    # Greedy tokens of a swarm do not depend on what runs beside: several at a time.
    return (f"model={server.model},base_url={server.base_url}/completions,tokenizer_backend=huggingface,"
            f"tokenizer={server.folder},add_bos_token=True,num_concurrent=4{more}")


@check
def likelihoods(server):
    """local-completions: log-likelihoods within 1e-3 a token of transformers in float32"""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(server.folder)
    with tempfile.TemporaryDirectory() as folder:
        write_tasks(server, folder)
        tasks = ["tales_choice", "tales_rolling"]
        ours = run(folder, "local-completions", local(server), tasks)
        theirs = run(folder, "hf", f"pretrained={server.folder},dtype=float32,add_bos_token=True", tasks,
                     ["--device", "cpu"])
        worst, count = 0.0, 0
        for task in tasks:
            for one, other in zip(ours[task], theirs[task]):
                for request, a, b in zip(one["arguments"].values(), one["resps"], other["resps"]):
                    text = request["arg_1"] if task == "tales_choice" else request["arg_0"]
                    tokens = len(tokenizer.encode(text, add_special_tokens=False))
                    a, b = (value[0][0] if isinstance(value[0], list) else value[0] for value in (a, b))
                    worst = max(worst, abs(float(a) - float(b)) / tokens)
                    count += 1
        print(f"{count} likelihoods, at most {worst:.1e} a token apart; torch {torch.__version__}", file=sys.stderr)
        assert count >= 36 and worst <= 1e-3, f"{worst} a token over {count}"


@check
def ids_or_texts(server):
    """local-completions: texts instead of ids give the same"""
    with tempfile.TemporaryDirectory() as folder:
        write_tasks(server, folder)
        by_ids = run(folder, "local-completions", local(server), ["tales_goes_on"])
        by_texts = run(folder, "local-completions", local(server, ",tokenized_requests=False"), ["tales_goes_on"])
        same([sample["resps"] for sample in by_texts["tales_goes_on"]],
             [sample["resps"] for sample in by_ids["tales_goes_on"]])
        assert all(sample["resps"][0][0] for sample in by_ids["tales_goes_on"])


@check
def chat(server):
    """local-chat-completions"""
    with tempfile.TemporaryDirectory() as folder:
        write_tasks(server, folder)
        samples = run(folder, "local-chat-completions",
                      f"model={server.model},base_url={server.base_url}/chat/completions,num_concurrent=4",
                      ["tales_goes_on"], ["--apply_chat_template"])
        same(len(samples["tales_goes_on"]), 12)


if __name__ == "__main__":
    main(["lm_eval", "transformers", "torch"])
