# SPDX-License-Identifier: Apache-2.0
"""litellm against a server, by OpenAI's API and by ollama's (checks.py says how it is called)."""
import litellm

from checks import check, main, same

STORY = "Once upon a time"
MESSAGES = [{"role": "user", "content": STORY}]


def asked(server, provider):
    if provider == "ollama_chat":
        return dict(model="ollama_chat/" + server.model, api_base=server.root)
    return dict(model=provider + "/" + server.model, api_base=server.base_url, api_key="any")


@check
def chat(server):
    """chat, whole and streamed, as openai, hosted_vllm and ollama_chat"""
    texts = set()
    for provider in ("openai", "hosted_vllm", "ollama_chat"):
        more = dict(asked(server, provider), messages=MESSAGES, max_tokens=12, temperature=0)
        whole = litellm.completion(**more)
        same(whole.usage.completion_tokens, 12)
        text = "".join(part.choices[0].delta.content or "" for part in litellm.completion(**more, stream=True))
        same(text, whole.choices[0].message.content)
        texts.add(text)
    same(len(texts), 1)


@check
def completion(server):
    """text completions"""
    answer = litellm.text_completion(model="text-completion-openai/" + server.model, api_base=server.base_url,
                                     api_key="any", prompt=STORY, max_tokens=8, temperature=0)
    same(answer.usage.completion_tokens, 8)
    assert answer.choices[0].text


@check
def errors(server):
    """errors are the client's own exceptions"""
    try:
        litellm.completion(**dict(asked(server, "openai"), model="openai/other"), messages=MESSAGES)
        raise AssertionError("another model was taken")
    except litellm.NotFoundError:
        pass


@check
def embedding(server):
    """embeddings, where the model makes them"""
    if server.has_embeddings():
        answer = litellm.embedding(**asked(server, "openai"), input=[STORY], encoding_format="float")
        assert len(answer.data[0]["embedding"]) > 0


if __name__ == "__main__":
    main(["litellm"])
