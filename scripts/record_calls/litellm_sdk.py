"""What litellm is driven through, as a library."""
import os

from record_calls.parts import HELLO, HUB, STEPS, TALK, WEATHER, image, of, result, thing, user


def calls(recorder):
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm as sdk
    import pydantic
    sdk.telemetry, sdk.suppress_debug_info = False, True
    place = {"api_base": f"http://{recorder.address}/v1", "api_key": "none"}
    City = pydantic.create_model("City", __doc__="A city.", name=(str, ...))

    def chat(name, **fields):
        fields = {"model": "openai/gpt-4o-mini", "messages": HELLO, **fields}
        recorder.shape(f"chat-{name}", lambda: sdk.completion(**place, **fields))

    chat("plain")
    chat("sampling", temperature=0.5, top_p=0.9, n=2, stop=["x"], seed=1, max_tokens=5, presence_penalty=0.1, frequency_penalty=0.1,
        user="u-1", logit_bias={"1": 1})
    chat("max-completion-tokens", max_completion_tokens=5, logprobs=True, top_logprobs=2)
    chat("tools", tools=[WEATHER], tool_choice="required", parallel_tool_calls=False)
    chat("tool-loop", messages=[*TALK, result("15")], tools=[WEATHER])
    chat("format-model", response_format=City)
    chat("format-json", response_format=of("json_object"))
    chat("reasoning", model="openai/gpt-5", reasoning_effort="low", verbosity="low")
    chat("image", messages=[user([of("text", text="What?"), of("image_url", image_url={"url": image("png")})])])
    chat("metadata", metadata={"trace": "t"})
    chat("vllm-extra-body | vllm", model=f"hosted_vllm/{HUB}", extra_body={"chat_template_kwargs": {"enable_thinking": False}})
    chat("vllm-unknown-argument | vllm", model=f"hosted_vllm/{HUB}", top_k=4, guided_json=STEPS)
    chat("openai-like", model="openai/local-model", top_k=4)
    chat("llamafile", model="llamafile/local-model")
    chat("lm-studio", model="lm_studio/local-model")
    recorder.shape("chat-stream", lambda: list(sdk.completion(model="openai/gpt-4o-mini", messages=HELLO, stream=True,
                stream_options={"include_usage": True}, **place)))
    for name, model in {"openai": "openai/gpt-4o-mini", "vllm": f"hosted_vllm/{HUB}"}.items():
        said = sdk.completion(model=model, messages=HELLO, tools=[WEATHER], tool_choice="required", **place).choices[0].message
        chat(f"back-tool-{name}", model=model, messages=[*HELLO, said, result("15")], tools=[WEATHER])
        said = sdk.completion(model=model, messages=HELLO, **place).choices[0].message
        chat(f"back-{name}", model=model, messages=[*HELLO, said, user("Go on.")])
        chat(f"back-dump-{name}", model=model, messages=[*HELLO, said.model_dump(), user("Go on.")])
    recorder.shape("completions", lambda: sdk.text_completion(model="text-completion-openai/gpt-3.5-turbo-instruct", prompt="Hi",
            max_tokens=5, **place))
    recorder.shape("embeddings", lambda: sdk.embedding(model="openai/text-embedding-3-small", input=["Hi", "Bye"], **place))
    recorder.shape("embeddings-vllm", lambda: sdk.embedding(model="hosted_vllm/BAAI/bge-m3", input=["Hi"], dimensions=4, **place))
    recorder.shape("responses", lambda: sdk.responses(model="openai/gpt-5-mini", input="Hi", max_output_tokens=20, instructions="Be brief.",
            **place))
    recorder.shape("responses-tools",
        lambda: sdk.responses(model="openai/gpt-5-mini", input=HELLO, tools=[of("function", name="ping", parameters=thing())], **place))
