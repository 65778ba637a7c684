"""What llama-index's client of servers like OpenAI is driven through."""
import base64

from record_calls.parts import HUB, image


def calls(recorder):
    import pydantic
    from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
    from llama_index.core.tools import FunctionTool
    from llama_index.llms.openai_like import OpenAILike
    City = pydantic.create_model("City", __doc__="A city.", name=(str, ...))

    def model(**more):
        return OpenAILike(**{"model": HUB, "api_base": f"http://{recorder.address}/v1", "api_key": "none", "max_retries": 0,
                "is_chat_model": True, **more})

    def add(a: int, b: int) -> int:
        """Adds."""
        return a + b

    hello = [ChatMessage(role="system", content="Be brief."), ChatMessage(role="user", content="Hi")]
    adding, able = FunctionTool.from_defaults(add), {"is_function_calling_model": True}
    recorder.shape("chat", lambda: model().chat(hello))
    recorder.shape("chat-settings", lambda: model(temperature=0.5, max_tokens=20, additional_kwargs={"seed": 1, "top_p": 0.5}).chat(hello))
    recorder.shape("chat-stream", lambda: list(model().stream_chat(hello)))
    recorder.shape("chat-complete", lambda: model().complete("Hi"))
    recorder.shape("completions", lambda: model(is_chat_model=False).complete("Hi"))
    recorder.shape("completions-stream", lambda: list(model(is_chat_model=False, max_tokens=7).stream_complete("Hi")))
    recorder.shape("chat-tools", lambda: model(**able).chat_with_tools([adding], "1 + 2?"))
    recorder.shape("chat-tools-required", lambda: model(**able).chat_with_tools([adding], "1 + 2?", tool_required=True))
    said = model(**able).chat_with_tools([adding], "1 + 2?", tool_required=True).message
    told = ChatMessage(role="tool", content="3", additional_kwargs={"tool_call_id": "call_1"})
    recorder.shape("chat-tool-loop", lambda: model(**able).chat([hello[1], said, told]))
    recorder.shape("chat-structured", lambda: model(**able).as_structured_llm(City).complete("Paris"))
    recorder.shape("chat-structured-format", lambda: model(should_use_structured_outputs=True).as_structured_llm(City).complete("Paris"))
    picture = base64.b64decode(image("png").partition("base64,")[2])
    recorder.shape("chat-image", lambda: model().chat([ChatMessage(role="user",
                    blocks=[TextBlock(text="What?"), ImageBlock(image=picture)])]))
