"""What instructor is driven through, around the openai SDK."""
from record_calls.parts import image, user


def calls(recorder):
    import instructor as sdk
    import openai
    import pydantic
    City = pydantic.create_model("City", __doc__="A city.", name=(str, pydantic.Field(description="Its name.", pattern="^[A-Z]")),
        people=(int | None, None))
    client = openai.OpenAI(base_url=f"http://{recorder.address}/v1", api_key="none", max_retries=0)
    says = {"JSON": '{"name": "Paris"}', "MD_JSON": '```json\n{"name": "Paris"}\n```', "JSON_SCHEMA": '{"name": "Paris"}'}
    for mode in ("TOOLS", "TOOLS_STRICT", "JSON", "MD_JSON", "JSON_SCHEMA", "RESPONSES_TOOLS"):
        asked = {"model": "gpt-4o-mini", "messages": [user("Paris?")], "response_model": City}
        recorder.shape(f"chat-{mode.lower().replace('_', '-')}",
            lambda: sdk.from_openai(client, mode=sdk.Mode[mode]).chat.completions.create(**asked), says.get(mode))
    recorder.shape("chat-partial", lambda: list(sdk.from_openai(client).chat.completions.create_partial(**asked)))
    recorder.shape("chat-list", lambda: sdk.from_openai(client).chat.completions.create(**asked | {"response_model": list[City]}))
    picture = sdk.Image.from_base64(image("png"))
    recorder.shape("chat-image", lambda: sdk.from_openai(client).chat.completions.create(**asked | {"messages": [user(["What?",
                            picture])]}))

    def again():
        try:
            sdk.from_openai(client, mode=sdk.Mode.JSON).chat.completions.create(**asked, max_retries=2)
        except Exception:
            pass  # it asks again with what was wrong, and that is what is recorded

    recorder.shape("chat-asks-again", again, says='{"name": "paris"}')
