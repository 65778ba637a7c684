"""What langchain-openai is driven through."""
import asyncio

from record_calls.parts import CAT, HUB, PDF, STEPS, image, of, sound


def calls(recorder):
    from langchain_core.messages import HumanMessage, SystemMessage
    from langchain_openai import ChatOpenAI, OpenAI
    from langchain_openai.chat_models.base import BaseChatOpenAI
    shared = {"base_url": f"http://{recorder.address}/v1", "api_key": "none", "max_retries": 0}
    hello = [SystemMessage("Be brief."), HumanMessage("Hi")]

    def chat(model="gpt-4o-mini", **more):
        return ChatOpenAI(model=model, **shared, **more)

    settings = {
        "plain": {}, "temperature": {"temperature": 0},
        "sampling": {"temperature": 0.5, "top_p": 0.9, "presence_penalty": 0.1, "frequency_penalty": 0.2, "seed": 3, "n": 2, "stop": ["x"]},
        "max-tokens": {"max_tokens": 100}, "logprobs": {"logprobs": True, "top_logprobs": 2}, "logit-bias": {"logit_bias": {1734: 5}},
        "reasoning": {"model": "gpt-5", "reasoning_effort": "low"},
        "service-tier": {"service_tier": "flex"}, "verbosity": {"model": "gpt-5", "verbosity": "low"},
        "model-kwargs": {"model_kwargs": {"user": "u-1", "prompt_cache_key": "k"}},
        "store | state": {"store": True, "metadata": {"a": "b"}},
        "extra-body | vllm": {"model": HUB, "extra_body": {"top_k": 5, "chat_template_kwargs": {"enable_thinking": False}}},
        "responses": {"use_responses_api": True},
        "responses-v1": {"use_responses_api": True, "output_version": "v1", "temperature": 0.2, "max_tokens": 50},
        "responses-reasoning": {"model": "gpt-5", "reasoning": {"effort": "low", "summary": "auto"}},
        "responses-store | state": {"use_responses_api": True, "store": True},
        "responses-include": {"model": "gpt-5", "include": ["reasoning.encrypted_content"], "store": False, "truncation": "auto"},
    }
    for name, fields in settings.items():
        recorder.shape(f"chat-{name}", lambda: chat(**fields).invoke(hello))
    recorder.shape("chat-base", lambda: BaseChatOpenAI(model="deepseek-chat", **shared, max_tokens=9).invoke("Hi"))
    recorder.shape("chat-stream", lambda: list(chat().stream(hello)))
    recorder.shape("chat-stream-usage", lambda: list(chat(stream_usage=True).stream(hello)))
    recorder.shape("chat-stop", lambda: chat().invoke("Hi", stop=["a", "b"]))
    recorder.shape("chat-async", lambda: asyncio.run(chat().ainvoke(hello)))
    recorder.shape("responses-stream", lambda: list(chat(use_responses_api=True).stream(hello)))
    recorder.shape("completions-plain", lambda: OpenAI(**shared).invoke("Hi"))
    recorder.shape("completions-several", lambda: OpenAI(**shared).generate(["a", "b"], stop=["x"]))
    recorder.shape("completions-sampling",
        lambda: OpenAI(**shared, temperature=0, top_p=0.5, max_tokens=5, best_of=2, n=2, seed=1, frequency_penalty=0.5,
            presence_penalty=0.5, model_kwargs={"user": "u"}).invoke("Hi"))
    recorder.shape("completions-stream", lambda: list(OpenAI(**shared).stream("Hi")))
    recorder.shape("completions-logit-bias-logprobs | logit_bias_with_logprobs",
        lambda: OpenAI(**shared, logit_bias={"1": 1}, logprobs=2).invoke("Hi"))
    tools(recorder, chat, hello)
    messages(recorder, chat)
    embeddings(recorder, shared)


def tools(recorder, chat, hello):
    import pydantic
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_core.tools import tool as as_tool
    City = pydantic.create_model("City", __doc__="A city.", name=(str, pydantic.Field(description="Its name.")), people=(int | None, None))

    @as_tool
    def get_weather(location: str, days: int = 1) -> str:
        """Weather at a place."""
        return "15"

    for name, fields in {"": {}, "-any": {"tool_choice": "any"}, "-named": {"tool_choice": "get_weather"}, "-auto": {"tool_choice": "auto"},
        "-strict": {"strict": True}, "-parallel-false": {"parallel_tool_calls": False}}.items():
        recorder.shape(f"chat-tools{name}", lambda: chat().bind_tools([get_weather, City], **fields).invoke(hello))
    recorder.shape("responses-tools", lambda: chat(use_responses_api=True).bind_tools([get_weather]).invoke(hello))
    recorder.shape("responses-web-search | hosted_tools", lambda: chat().bind_tools([of("web_search_preview")]).invoke(hello))
    for method in ("json_schema", "function_calling", "json_mode"):
        recorder.shape(f"chat-structured-{method.replace('_', '-')}",
            lambda: chat().with_structured_output(City, method=method).invoke("JSON of Paris"), says='{"name": "Paris"}')
    recorder.shape("chat-structured-strict-raw",
        lambda: chat().with_structured_output(STEPS | {"title": "steps", "description": "Steps."}, strict=True,
            include_raw=True).invoke("Hi"))
    recorder.shape("responses-structured", lambda: chat(use_responses_api=True).with_structured_output(City).invoke("Hi"))
    for name, model in {"openai": chat(), "vllm": chat(HUB), "responses": chat(use_responses_api=True)}.items():
        said = model.invoke(hello)
        recorder.shape(f"chat-back-{name}", lambda: model.invoke([*hello, said, HumanMessage("Go on.")]))
        said = model.bind_tools([get_weather], tool_choice="any").invoke(hello)
        recorder.shape(f"chat-back-tool-{name}",
            lambda: model.bind_tools([get_weather]).invoke([*hello, said, ToolMessage([of("text", text="15")], tool_call_id="call_1")]))


def messages(recorder, chat):
    from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
    asked = {"name": "get_weather", "args": {"location": "Köln"}, "id": "call_1"}
    loop = [HumanMessage("Weather?", name="ann"), AIMessage("", tool_calls=[asked]), ToolMessage("15", tool_call_id="call_1"),
        AIMessage("It is 15."), HumanMessage("Thanks")]
    recorder.shape("chat-tool-loop", lambda: chat().invoke(loop))
    recorder.shape("responses-tool-loop", lambda: chat(use_responses_api=True).invoke(loop))
    picture = image("png").partition("base64,")[2]
    parts = {
        "text-block": of("text", text="Hi"), "image-openai": of("image_url", image_url={"url": image("jpeg")}),
        "image-block": of("image", base64=picture, mime_type="image/png"),
        "image-block-old": of("image", source_type="base64", data=picture, mime_type="image/png"),
        "image-block-url | remote_media": of("image", url=CAT), "image-string | remote_media": of("image_url", image_url=CAT),
        "file-block | file": of("file", base64=PDF.partition("base64,")[2], mime_type="application/pdf", filename="a.pdf"),
        "audio-block | audio": of("audio", base64=sound(), mime_type="audio/wav"),
    }
    for name, part in parts.items():
        recorder.shape(f"chat-part-{name}", lambda: chat().invoke([HumanMessage([of("text", text="What?"), part])]))
    for name in ("image-block", "file-block | file"):
        recorder.shape(f"responses-part-{name}", lambda: chat(use_responses_api=True).invoke([HumanMessage([parts[name]])]))


def embeddings(recorder, shared):
    import tiktoken
    from langchain_openai import OpenAIEmbeddings
    # It sends token numbers by default; its vocabulary would be fetched, so that bytes are made tokens.
    tiktoken.registry.ENCODINGS["cl100k_base"] = tiktoken.Encoding("cl100k_base", pat_str="[^ ]+| ",
        mergeable_ranks={bytes([i]): i for i in range(256)}, special_tokens={"<|endoftext|>": 256})
    recorder.shape("embeddings-default | token_prompts",
        lambda: OpenAIEmbeddings(**shared, model="text-embedding-3-small").embed_documents(["Hello", "Bye"]))
    recorder.shape("embeddings-query | token_prompts",
        lambda: OpenAIEmbeddings(**shared, model="text-embedding-3-small").embed_query("Hello"))
    recorder.shape("embeddings-texts",
        lambda: OpenAIEmbeddings(**shared, check_embedding_ctx_length=False).embed_documents(["Hello", "Bye"]))
    recorder.shape("embeddings-dimensions",
        lambda: OpenAIEmbeddings(**shared, check_embedding_ctx_length=False, model="text-embedding-3-large",
            dimensions=64).embed_query("Hello"))
