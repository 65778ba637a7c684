"""What the shapes are made of: media, messages, tools, schemas and texts."""
import base64, io, wave

IMAGES = {  # a black dot, 32 by 32
    "png": (
        "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgAQAAAABbAUdZAAAASElEQVR42n3OwQ1AUBgE4e9tJMqgFJ1RmlKUQSLvd3DmsqeZybZCfM41U8dYcdxi7xSls75IZ/8OhCV4"
        "tdiaWCLmgTqnar8PHnD9FUCdDRQdAAAAAElFTkSuQmCC"
    ),
    "jpeg": (
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAKBueIx4ZKCMgoy0qqC+8P//8Nzc8P//////////////////////////////////////////////////////////wAALCAAg"
        "ACABAREA/8QAFwABAQEBAAAAAAAAAAAAAAAAAQAEA//EABsQAAMAAgMAAAAAAAAAAAAAAAABAhESMTJR/9oACAEBAAA/AOwVcz2eCm5rq8iF1rDfhkbbeXySbTyuTXFb"
        "Qn6VztDXpkaaeHySTbwuTXE6wl4IVE12WSmJnqsCf//Z"
    ),
    "gif": (
        "R0lGODdhIAAgAIEAAAAAAP///wAAAAAAACwAAAAAIAAgAEAIZQADCBxIsKDBgwgNAljIsOHChAcdSpz4EKJCigAsatzIESPGjh4nchxJsqRJghJPCgzpECTLlBZfinQZ"
        "UqXNmzhz6tx50qNKmSRlNtwotGXMogw1Ik2qFOnIoiZZ4oTJs6pVnAEBADs="
    ),
    "webp": (
        "UklGRkQAAABXRUJQVlA4TDgAAAAvH8AHAIXitm0c7790enz9vhH9nwD5S6Tj0ByE9hCQA0BTGLgYhr6VjJDFhBOekZE9GduR4Zn8JQ=="
    ),
}


def image(kind):
    return f"data:image/{kind};base64,{IMAGES[kind]}"


def sound():
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 1, 8000, 0, "NONE", ""))
        writer.writeframes(bytes(range(100, 156)) * 7)
    return base64.b64encode(file.getvalue()).decode()


MP3 = base64.b64encode(b"\xff\xfb\x90\xc4" + bytes(413)).decode()  # one silent frame
PAGES = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
PDF = "data:application/pdf;base64," + base64.b64encode(PAGES).decode()
CAT = "https://example.com/pictures/cat.jpg?size=large&format=jpg"
HUB = "meta-llama/Llama-3.1-8B-Instruct"
QWEN = "Qwen/Qwen3-8B"


def of(kind, /, **fields):
    return {"type": kind, **fields}


def user(content, **more):
    return {"role": "user", "content": content, **more}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content, **more):
    return {"role": "system", "content": content, **more}


def result(content, call="call_1"):
    return {"role": "tool", "tool_call_id": call, "content": content}


def calling(name, arguments, key="call_1"):
    return of("function", id=key, function={"name": name, "arguments": arguments})


def thing(required=None, /, **properties):
    return of("object", properties=properties, required=list(properties) if required is None else required, additionalProperties=False)


def tool(name, parameters=None, **more):
    return of("function", function={"name": name} | ({"parameters": parameters} if parameters else {}) | more)


def schema_format(schema, **more):
    return of("json_schema", json_schema={"name": "answer", "schema": schema, **more})


def said_by(role, *content, **more):
    return of("message", role=role, content=list(content), **more)


def written(text):
    return of("input_text", text=text)


STRING, NUMBER = of("string"), of("number")
HELLO = [user("Hello")]
PLACE_SCHEMA = thing(["location"], location=of("string", description="City and country, e.g. Bogotá, Colombia"),
    unit=of("string", enum=["celsius", "fahrenheit"]))
WEATHER = tool("get_weather", PLACE_SCHEMA, description="Current temperature at a place.")
STEPS = thing(steps=of("array", items=thing(explanation=STRING, output=STRING)), final_answer=STRING)
TREE = {**thing(value=STRING, children=of("array", items={"$ref": "#"}))}
LINKED = {**thing(head={"$ref": "#/$defs/node"}),
    "$defs": {"node": thing(value=NUMBER, next={"anyOf": [{"$ref": "#/$defs/node"}, of("null")]})}}
EVERY_KEYWORD = thing(
    ["name", "kind"], name=of("string", pattern=r"^[A-Za-z0-9_\-]{1,64}$", minLength=1, maxLength=64, examples=["a_b"]),
    kind={"const": "order"}, when=of("string", format="date-time"),
    amount={"anyOf": [of("integer", minimum=0, exclusiveMaximum=10_000), of("string", pattern=r"^\d+(\.\d{2})?$"), of("null")],
        "default": None}, tags=of("array", items=STRING, minItems=0, maxItems=8, uniqueItems=True),
    rate=of("number", multipleOf=0.01, default=0.5), nullable={"type": ["string", "null"]},
    choice={"oneOf": [thing(a=STRING), thing(b=NUMBER)]}, both={"allOf": [thing(c=STRING)]}, free=of("object", additionalProperties=True),
    map=of("object", additionalProperties=STRING),
)
TALK = [system("You are helpful."), user("Weather in Paris?"), assistant(None, tool_calls=[calling("get_weather", '{"location":"Paris"}')])]
LONG = "The quick brown fox jumps over the lazy dog. " * 150

TEXTS = {
    "unicode": "Grüße aus Köln — naïve façade, Ελληνικά, русский, 日本語、中文、한국어, हिन्दी, ไทย, Việt", "emoji": "👋🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇨🇭 ❤️‍🔥 1️⃣",
    "right-to-left": "שלום עולם مرحبا بالعالم \u202babc\u202c", "zero-width": "zero\u200bwidth\u200d joiner\ufeff and\u00a0no-break\u00ad",
    "combining": "e\u0301 n\u0303 Z\u0351\u036b\u0343\u036a\u0302", "astral": "𝕳𝖊𝖑𝖑𝖔 𐍈 𒀀 \U0010ffff",
    "newlines": "a\nb\r\nc\rd\n\n\ne\tf\x0bg\x0ch\u2028i\u2029j",
    "control-characters": "bell\x07 escape\x1b[31mred\x1b[0m back\x08 delete\x7f unit\x1f next\x85", "nul": "before\x00after",
    "quotes-and-backslashes": r'"\" \\ C:\temp\new \u0041 \n ' + "'`",
    "json": '{"role": "user", "content": [1, 2.50, null, true, "\\u00e9"]}',
    "html": "<!DOCTYPE html><p class=\"x\">a &amp; b &lt;c&gt;</p><script>let a = 1 < 2;</script>",
    "code": "fn main() {\n    let x: Vec<u8> = vec![0; 10];\n    println!(\"{x:?} {{}} %s ${HOME}\");\n}\n", "space": " ", "empty": "",
    "long": LONG, "longer": LONG * 3, "long-line": "a" * 9000,
    "latex": r"$$\int_0^\infty e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2}$$ \begin{aligned} a &= b \\ \end{aligned}",
    "base64": base64.b64encode(bytes(range(256)) * 4).decode(), "replacement": "broken \ufffd text \ufffe \uffff",
}
