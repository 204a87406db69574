# SPDX-License-Identifier: Apache-2.0
"""langchain-openai against a server (checks.py says how it is called)."""
import langchain_openai

from checks import check, main, same

STORY = "Once upon a time"


def arguments(server):
    return dict(model=server.model, base_url=server.base_url, api_key="any", max_tokens=12, temperature=0)


@check
def chat(server):
    """ChatOpenAI, whole, streamed and batched"""
    chat_model = langchain_openai.ChatOpenAI(**arguments(server))
    whole = chat_model.invoke(STORY)
    same(whole.usage_metadata["output_tokens"], 12)
    same("".join(part.content for part in chat_model.stream(STORY)), whole.content)
    same([answer.content for answer in chat_model.batch([STORY] * 4)], [whole.content] * 4)


@check
def completion(server):
    """OpenAI, whole and streamed"""
    model = langchain_openai.OpenAI(**arguments(server))
    whole = model.invoke(STORY)
    assert whole
    same("".join(model.stream(STORY)), whole)


@check
def embedding(server):
    """OpenAIEmbeddings, where the model makes them"""
    if server.has_embeddings():
        model = langchain_openai.OpenAIEmbeddings(model=server.model, base_url=server.base_url, api_key="any",
                                                  check_embedding_ctx_length=False)
        same(len(model.embed_documents([STORY, "The wolf"])), 2)


if __name__ == "__main__":
    main(["langchain-openai"])
