# SPDX-License-Identifier: Apache-2.0
"""guidellm, which loads a server and measures it (checks.py says how it is called)."""
import json
import os
import subprocess
import sys
import tempfile

from checks import check, main, same


@check
def concurrent(server):
    """eight streams of chat for ten seconds, none fails"""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "report.json")
        subprocess.run([sys.executable, "-m", "guidellm", "run",
                        "--backend", f"kind=openai_http,target={server.root},model={server.model}",
                        "--profile", "kind=concurrent,streams=8", "--constraint", "kind=max_duration,seconds=10",
                        "--tokenizer", f"kind=huggingface_auto,model={server.folder}",
                        "--data", "kind=synthetic_text,prompt_tokens=64,output_tokens=32",
                        "--output", f"kind=json,path={out}", "--disable-console-interactive"],
                       check=True, stdout=sys.stderr)
        with open(out, encoding="utf-8") as file:
            totals = json.load(file)["benchmarks"][0]["metrics"]["request_totals"]
        print(totals, file=sys.stderr)
        assert totals["successful"] > 8, totals
        same(totals["errored"], 0)


if __name__ == "__main__":
    main(["guidellm"])
