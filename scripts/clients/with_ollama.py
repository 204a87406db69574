# SPDX-License-Identifier: Apache-2.0
"""The ollama package against a server (checks.py says how it is called)."""
import ollama

from checks import check, main, same

STORY = "Once upon a time"
MESSAGES = [{"role": "user", "content": STORY}]
GREEDY = {"temperature": 0, "num_predict": 12}


@check
def lists(server):
    """list, show, ps"""
    client = ollama.Client(host=server.root)
    name = client.list().models[0].model
    same(name.removesuffix(":latest"), server.model)
    assert client.show(name).modelinfo
    same(client.ps().models[0].model, name)


@check
def chat(server):
    """chat, whole and streamed"""
    client = ollama.Client(host=server.root)
    whole = client.chat(server.model, MESSAGES, options=GREEDY)
    same((whole.done, whole.done_reason, whole.eval_count), (True, "length", 12))
    parts = list(client.chat(server.model, MESSAGES, options=GREEDY, stream=True))
    same("".join(part.message.content for part in parts), whole.message.content)
    same([part.done for part in parts], [False] * (len(parts) - 1) + [True])


@check
def generate(server):
    """generate, whole and streamed, raw too"""
    client = ollama.Client(host=server.root)
    whole = client.generate(server.model, STORY, options=GREEDY, raw=True)
    parts = list(client.generate(server.model, STORY, options=GREEDY, raw=True, stream=True))
    same("".join(part.response for part in parts), whole.response)
    same(client.generate(server.model, STORY, options=GREEDY, system="Be brief.").eval_count, 12)
    same(client.generate(server.model).done_reason, "load")


@check
def errors(server):
    """errors are the client's own exceptions"""
    try:
        ollama.Client(host=server.root).chat("other", MESSAGES)
        raise AssertionError("another model was taken")
    except ollama.ResponseError as error:
        same(error.status_code, 404)


@check
def embed(server):
    """embed and embeddings, where the model makes them"""
    client = ollama.Client(host=server.root)
    if not server.has_embeddings():
        try:
            client.embed(server.model, STORY)
            raise AssertionError("there is no rule for embeddings")
        except ollama.ResponseError as error:
            same(error.status_code, 400)
        return
    many = client.embed(server.model, [STORY, "The wolf"]).embeddings
    same(client.embeddings(server.model, STORY).embedding, many[0])


if __name__ == "__main__":
    main(["ollama"])
