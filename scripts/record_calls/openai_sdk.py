"""What the openai SDK is driven through."""
import asyncio, base64

from record_calls.chat_shapes import CHAT, MESSAGES
from record_calls.completion_shapes import COMPLETIONS, EMBEDDINGS
from record_calls.engine_shapes import ENGINES, SHARED
from record_calls.parts import HELLO, HUB, QWEN, TEXTS, WEATHER, assistant, image, of, result, sound, system, user
from record_calls.response_shapes import FUNCTION, ITEMS, RESPONSES


def calls(recorder):
    import openai as sdk
    client = sdk.OpenAI(base_url=f"http://{recorder.address}/v1", api_key="none", max_retries=0, timeout=30)

    def chats(shapes, prefix="chat-", **defaults):
        for name, fields in shapes.items():
            fields = {"model": "gpt-4o-mini", "messages": HELLO, **defaults, **fields}
            recorder.shape(prefix + name, lambda: client.chat.completions.create(**fields))

    chats(CHAT)
    chats({name: {"messages": messages} for name, messages in MESSAGES.items()})
    chats({f"text-{name}": {"messages": [system(text), user(text)] if len(text) < 1000 else [user(text)]} for name, text in TEXTS.items()})
    pictures = {kind: of("image_url", image_url={"url": image(kind)}) for kind in ("png", "jpeg", "gif", "webp")}
    chats({f"image-{kind}": {"messages": [user([of("text", text="What is this?"), part])]} for kind, part in pictures.items()})
    chats({f"image-detail-{word}": {"messages": [user([of("image_url",
                                image_url={"url": image("jpeg"), "detail": word})])]} for word in ("auto", "low", "high")})
    chats({"images-four": {"messages": [user([of("text", text="Compare."), *pictures.values()])]},
            "image-in-turn": {"messages": [user([pictures["png"]]), assistant("A gradient."), user("Sure?")]}})
    chats({"image-cache-breakpoint": {"messages": [user([{**pictures["png"], "prompt_cache_breakpoint": {"mode": "explicit"}}])]},
            "audio-wav | audio": {"messages": [user([of("input_audio", input_audio={"data": sound(), "format": "wav"})])]}})
    for engine, (model, shapes) in ENGINES.items():
        for fields in shapes:
            said = [f"{key}-{value.get('type') or next(iter(value))}" if isinstance(value, dict) else key for key, value in fields.items()]
            chats({f"{'-'.join(said)} | {engine}".replace("_", "-"): {"model": model, "extra_body": fields}},
                f"chat-{engine}-".replace(".", "-"))
    chats({f"extra-{name}": {"model": QWEN, "extra_body": fields} for name, fields in SHARED.items()})
    video = of("video_url", video_url={"url": "data:video/mp4;base64," + base64.b64encode(bytes(64)).decode()})
    chats({"video | vllm": {"messages": [user([video])]},
            "video-url | vllm remote_media": {"messages": [user([of("video_url", video_url={"url": "https://example.com/a.mp4"})])]},
            "audio-url | vllm audio remote_media": {"messages": [user([of("audio_url", audio_url={"url": "https://example.com/a.wav"})])]}},
        "chat-vllm-", model=HUB)
    handed_back(recorder, client)
    other_ways(recorder, client)
    completions(recorder, client)
    embeddings(recorder, client)
    responses(recorder, client)
    response_loops(recorder, client)


def handed_back(recorder, client):
    """The usual loops: what the server said goes back as the SDK holds it."""
    ways = {"object": lambda message: message, "dump": lambda message: message.model_dump(),
        "dump-set": lambda message: message.model_dump(exclude_unset=True),
        "dump-some": lambda message: message.model_dump(exclude_none=True), "to-dict": lambda message: message.to_dict()}
    for flavour, model in {"openai": "gpt-4o-mini", "vllm": HUB}.items():
        for way, convert in ways.items():
            said = client.chat.completions.create(model=model, messages=HELLO).choices[0].message
            recorder.shape(f"chat-back-{flavour}-{way}",
                lambda: client.chat.completions.create(model=model, messages=[*HELLO, convert(said), user("Go on.")]))
            said = client.chat.completions.create(model=model, messages=HELLO, tools=[WEATHER], tool_choice="required").choices[0].message
            recorder.shape(f"chat-back-{flavour}-tool-{way}",
                lambda: client.chat.completions.create(model=model, messages=[*HELLO, convert(said), result("15")], tools=[WEATHER]))
    said = said.tool_calls
    recorder.shape("chat-back-tool-calls",
        lambda: client.chat.completions.create(model=HUB, messages=[*HELLO, assistant(None, tool_calls=said), result("15")]))
    with client.chat.completions.stream(model="gpt-4o-mini", messages=HELLO,
        tools=[{**WEATHER, "function": {**WEATHER["function"], "strict": True}}], tool_choice="required") as stream:
        said = stream.get_final_completion().choices[0].message
    recorder.shape("chat-back-stream", lambda: client.chat.completions.create(model="gpt-4o-mini", messages=[*HELLO, said, result("15")]))


def other_ways(recorder, client):
    """Other ways to call than create: parse, stream, raw answers, plain requests, the asynchronous client."""
    import enum
    import openai as sdk
    import pydantic
    Unit = enum.Enum("Unit", {"c": "celsius", "f": "fahrenheit"})
    City = pydantic.create_model("City", name=(str, pydantic.Field(description="Its name.", min_length=1)), unit=(Unit, ...),
        near=(list["City"], ...), mayor=(str | None, ...))
    Query = pydantic.create_model("Query", __doc__="Asks for cities.", city=(City, ...), most=(int, ...))
    asked = {"model": "gpt-4o-mini", "messages": HELLO}
    parse = client.chat.completions.parse
    recorder.shape("chat-parse-format", lambda: parse(**asked, response_format=City))
    recorder.shape("chat-parse-tool", lambda: parse(**asked, tools=[sdk.pydantic_function_tool(Query)]))
    recorder.shape("chat-parse-tool-named",
        lambda: parse(**asked, tools=[sdk.pydantic_function_tool(Query, name="find", description="Finds.")], tool_choice="required"))
    said = parse(**asked, response_format=City).choices[0].message
    recorder.shape("chat-back-parse", lambda: client.chat.completions.create(model="gpt-4o-mini", messages=[*HELLO, said, user("Go on.")]))
    said = parse(**asked, tools=[sdk.pydantic_function_tool(Query)], tool_choice="required").choices[0].message
    recorder.shape("chat-back-parse-tool",
        lambda: client.chat.completions.create(model="gpt-4o-mini", messages=[*HELLO, said, result("15")]))
    recorder.shape("chat-back-parse-dump",
        lambda: client.chat.completions.create(model="gpt-4o-mini", messages=[*HELLO, said.model_dump(mode="json"), result("15")]))

    def stream(**more):
        with client.chat.completions.stream(**asked, **more) as events:
            return list(events)

    recorder.shape("chat-stream-helper", stream)
    recorder.shape("chat-stream-helper-format", lambda: stream(response_format=City))
    recorder.shape("chat-raw", lambda: client.chat.completions.with_raw_response.create(**asked))
    recorder.shape("chat-post", lambda: client.post("/chat/completions", cast_to=object, body=asked))
    recorder.shape("chat-extra-overrides",
        lambda: client.chat.completions.create(**asked, temperature=1, extra_body={"temperature": 0.3, "messages": [user("Bye")]}))
    recorder.shape("chat-generator", lambda: client.chat.completions.create(model="gpt-4o-mini", messages=(message for message in HELLO)))
    recorder.shape("chat-async", lambda: asyncio.run(sdk.AsyncOpenAI(base_url=client.base_url,
                api_key="none").chat.completions.create(**asked, temperature=0.1)))
    recorder.shape("responses-parse", lambda: client.responses.parse(model="gpt-5", input="Hi", text_format=City))
    recorder.shape("responses-parse-tool",
        lambda: client.responses.parse(model="gpt-5", input="Hi", tools=[sdk.pydantic_function_tool(Query)]))
    said = client.responses.parse(model="gpt-5", input="Hi", tools=[sdk.pydantic_function_tool(Query)], tool_choice="required").output
    recorder.shape("responses-back-parse-tool",
        lambda: client.responses.create(model="gpt-5", input=[*HELLO, *said, of("function_call_output", call_id="call_1", output="15")]))

    def respond(**more):
        with client.responses.stream(model="gpt-5", input="Hi", **more) as events:
            return list(events)

    recorder.shape("responses-stream-helper", respond)
    recorder.shape("responses-stream-helper-format", lambda: respond(text_format=City))


def completions(recorder, client):
    for name, fields in COMPLETIONS.items():
        recorder.shape(f"completions-{name}",
            lambda: client.completions.create(**{"model": "gpt-3.5-turbo-instruct", "prompt": "Once upon a time", **fields}))


def embeddings(recorder, client):
    for name, fields in EMBEDDINGS.items():
        recorder.shape(f"embeddings-{name}",
            lambda: client.embeddings.create(**{"model": "text-embedding-3-small", "input": "Hello", **fields}))
    chat = {"model": HUB, "messages": [user([of("text", text="Hello"), of("image_url", image_url={"url": image("png")})])],
        "encoding_format": "float"}
    recorder.shape("embeddings-vllm-chat | vllm", lambda: client.post("/embeddings", cast_to=object, body=chat))


def responses(recorder, client):
    for name, fields in RESPONSES.items():
        fields = {key: value for key, value in {"model": "gpt-5-mini", "input": "Hello", **fields}.items() if value is not ...}
        recorder.shape(f"responses-{name}", lambda: client.responses.create(**fields))
    for item in ITEMS:
        recorder.shape(f"responses-item-{item['type'].replace('_', '-')} | hosted_tools",
            lambda: client.responses.create(model="gpt-5", input=[user("Hi"), item]))
    for name in ("unicode", "emoji", "control-characters", "newlines", "empty", "long"):
        recorder.shape(f"responses-text-{name}",
            lambda: client.responses.create(model="gpt-5-mini", input=[user(TEXTS[name])], instructions=TEXTS[name]))


def response_loops(recorder, client):
    ways = {"object": lambda item: item, "dump": lambda item: item.model_dump(),
        "dump-some": lambda item: item.model_dump(exclude_none=True), "to-dict": lambda item: item.to_dict()}
    asked = {"model": "gpt-5-mini", "reasoning": {"effort": "low"}}
    for way, convert in ways.items():
        said = [convert(item) for item in client.responses.create(**asked, input=HELLO).output]
        recorder.shape(f"responses-back-{way}", lambda: client.responses.create(**asked, input=[*HELLO, *said, user("Go on.")]))
        said = [convert(item) for item in client.responses.create(**asked, input=HELLO, tools=[FUNCTION], tool_choice="required").output]
        recorder.shape(f"responses-back-tool-{way}",
            lambda: client.responses.create(**asked, input=[*HELLO, *said, of("function_call_output", call_id="call_1", output="15")],
                tools=[FUNCTION]))
