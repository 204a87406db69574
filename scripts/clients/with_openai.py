# SPDX-License-Identifier: Apache-2.0
"""The openai package against a server (checks.py says how it is called)."""
import asyncio
import json
import time
import typing

import openai
import pydantic

from checks import check, main, same

STORY = "Once upon a time"
MESSAGES = [{"role": "user", "content": STORY}]


def client(server, **more):
    return openai.OpenAI(base_url=server.base_url, api_key="any", **more)


@check
def models(server):
    """models: list and retrieve"""
    same([model.id for model in client(server).models.list()], [server.model])
    same(client(server).models.retrieve(server.model).id, server.model)


@check
def chat(server):
    """chat, whole and streamed, with usage"""
    asked = dict(model=server.model, messages=MESSAGES, max_completion_tokens=16, temperature=0)
    whole = client(server).chat.completions.create(**asked)
    same(whole.usage.completion_tokens, 16)
    same(whole.choices[0].finish_reason, "length")
    text, usage, roles = "", None, []
    for chunk in client(server).chat.completions.create(**asked, stream=True,
                                                        stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            roles += [choice.delta.role] if choice.delta.role else []
    same(text, whole.choices[0].message.content)
    same(usage, whole.usage)
    same(roles, ["assistant"])


@check
def stream_helper(server):
    """chat by the stream helper"""
    asked = dict(model=server.model, messages=MESSAGES, max_tokens=300, temperature=0, stop=[","])
    whole = client(server).chat.completions.create(**asked)
    with client(server).chat.completions.stream(**asked) as stream:
        events = [event.type for event in stream]
        same(stream.get_final_completion().choices[0].message.content, whole.choices[0].message.content)
    assert "content.delta" in events and "content.done" in events, events


@check
def completion(server):
    """completions, whole and streamed, of several prompts"""
    asked = dict(model=server.model, prompt=[STORY, "The wolf"], max_tokens=8, temperature=0)
    whole = client(server).completions.create(**asked)
    texts = {0: "", 1: ""}
    for chunk in client(server).completions.create(**asked, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    same([texts[0], texts[1]], [choice.text for choice in whole.choices])


@check
def logprobs(server):
    """logprobs and top_logprobs, of the prompt too"""
    content = client(server).chat.completions.create(
        model=server.model, messages=MESSAGES, max_tokens=5, logprobs=True, top_logprobs=3,
        temperature=0).choices[0].logprobs.content
    same(len(content), 5)
    for token in content:
        same(len(token.top_logprobs), 3)
        same(token.logprob, token.top_logprobs[0].logprob)
    echoed = client(server).completions.create(model=server.model, prompt=STORY, max_tokens=0, echo=True, logprobs=1)
    same(echoed.choices[0].text, STORY)
    same(echoed.choices[0].logprobs.token_logprobs[0], None)
    assert all(value < 0 for value in echoed.choices[0].logprobs.token_logprobs[1:])


@check
def choices(server):
    """n, seed, stop and penalties"""
    asked = dict(model=server.model, messages=MESSAGES, max_tokens=12, n=3, seed=5, temperature=1)
    first = [choice.message.content for choice in client(server).chat.completions.create(**asked).choices]
    again = [choice.message.content for choice in client(server).chat.completions.create(**asked).choices]
    same(first, again)
    assert len(set(first)) > 1, first
    plain = client(server).completions.create(model=server.model, prompt=STORY, max_tokens=20, temperature=0)
    stop = plain.choices[0].text[8:11]
    cut = client(server).completions.create(model=server.model, prompt=STORY, max_tokens=20, temperature=0, stop=[stop],
                                            frequency_penalty=0, presence_penalty=0)
    same(cut.choices[0].text, plain.choices[0].text.split(stop)[0])
    same(cut.choices[0].finish_reason, "stop")


class Hero(pydantic.BaseModel):
    kind: typing.Literal["wolf", "girl", "king"]
    old: bool


@check
def form(server):
    """json_schema by a class, whole and streamed, and json_object"""
    # Hot, so that the form alone keeps it together.
    asked = dict(model=server.model, messages=MESSAGES, max_tokens=200, temperature=2, seed=1)
    whole = client(server).chat.completions.parse(**asked, response_format=Hero)
    assert isinstance(whole.choices[0].message.parsed, Hero)
    with client(server).chat.completions.stream(**asked, response_format=Hero) as stream:
        same(stream.get_final_completion().choices[0].message.parsed, whole.choices[0].message.parsed)


@check
def tools(server):
    """tools: a call that must be made, whole and streamed"""
    function = {"name": "find", "parameters": {"type": "object", "properties": {"who": {"enum": ["wolf", "girl"]}},
                                               "required": ["who"], "additionalProperties": False}}
    asked = dict(model=server.model, messages=MESSAGES, max_tokens=200, temperature=2, seed=1, tool_choice="required",
                 parallel_tool_calls=False, tools=[{"type": "function", "function": function}])
    whole = client(server).chat.completions.create(**asked).choices[0]
    same(whole.finish_reason, "tool_calls")
    call = whole.message.tool_calls[0].function
    same(call.name, "find")
    assert json.loads(call.arguments)["who"] in ("wolf", "girl")
    arguments = ""
    for chunk in client(server).chat.completions.create(**asked, stream=True):
        for part in chunk.choices[0].delta.tool_calls or []:
            arguments += part.function.arguments or ""
    same(arguments, call.arguments)


@check
def errors(server):
    """errors are the client's own exceptions"""
    try:
        client(server).completions.create(model="other", prompt="a")
        raise AssertionError("another model was taken")
    except openai.NotFoundError as error:
        same((error.code, error.param), ("model_not_found", "model"))
    try:
        client(server).completions.create(model=server.model, prompt="a", best_of=2)
        raise AssertionError("best_of was taken")
    except openai.BadRequestError as error:
        same((error.code, error.param), ("unsupported_parameter", "best_of"))
        assert error.request_id


@check
def embeddings(server):
    """embeddings, where the model makes them"""
    if not server.has_embeddings():
        try:
            client(server).embeddings.create(model=server.model, input="a")
            raise AssertionError("there is no rule for embeddings")
        except openai.BadRequestError as error:
            same(error.code, "no_pooling")
        return
    packed = client(server).embeddings.create(model=server.model, input=[STORY, "The wolf"])
    floats = client(server).embeddings.create(model=server.model, input=[STORY, "The wolf"], encoding_format="float")
    for one, other in zip(packed.data, floats.data):
        same(max(abs(a - b) for a, b in zip(one.embedding, other.embedding)) < 1e-7, True)


@check
def too_many(server):
    """429 where all is taken, and retries that come through"""

    async def ask(retries):
        asynchronous = openai.AsyncOpenAI(base_url=server.base_url, api_key="any", max_retries=retries, timeout=120)
        async with asynchronous:
            return await asyncio.gather(*[
                asynchronous.completions.create(model=server.model, prompt=STORY, max_tokens=100, n=2,
                                                extra_body={"ignore_eos": True}) for _ in range(120)
            ], return_exceptions=True)

    refused = asyncio.run(ask(0))
    kinds = {type(answer) for answer in refused}
    assert kinds == {openai.RateLimitError, openai.types.Completion}, kinds
    same({type(answer) for answer in asyncio.run(ask(20))}, {openai.types.Completion})


@check
def timeout(server):
    """a time-out frees what it took"""
    before = server.metric("shoal_serve_request_success_total")
    try:
        client(server, timeout=0.1, max_retries=0).completions.create(
            model=server.model, prompt=STORY, max_tokens=900, extra_body={"ignore_eos": True})
        raise AssertionError("it did not run out of time")
    except openai.APITimeoutError:
        pass
    goes_idle(server)
    assert server.metric("shoal_serve_request_success_total") > before


@check
def cancel(server):
    """a stream that is closed frees what it took"""
    stream = client(server).chat.completions.create(model=server.model, messages=MESSAGES, max_tokens=900, stream=True,
                                                    extra_body={"ignore_eos": True})
    for _ in range(5):
        next(iter(stream))
    stream.close()
    goes_idle(server)


def goes_idle(server):
    for _ in range(50):
        if server.metric("shoal_serve_num_requests_running") == 0:
            return
        time.sleep(0.05)
    raise AssertionError("the answer is still being made after 2.5 s")


if __name__ == "__main__":
    main(["openai"])
