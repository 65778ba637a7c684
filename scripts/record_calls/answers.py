"""Answers, the smallest that clients are content with, to each kind of request."""
import base64, json, struct


def example(schema, root=None):
    """A value that fits a JSON schema."""
    root = root or schema
    if "$ref" in schema:
        found = root
        for step in schema["$ref"].removeprefix("#").strip("/").split("/"):
            found = found[step] if step else found
        return example(found, root)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            options = [option for option in schema[key] if option.get("type") != "null"]
            return None if "$ref" in options[0] and len(schema[key]) > len(options) else example(options[0], root)
    if "const" in schema or "enum" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        wanted = schema.get("required", [])
        return {key: example(value, root) for key, value in schema.get("properties", {}).items() if key in wanted}
    simple = {"string": "Paris", "integer": 1, "number": 0.5, "boolean": True, "null": None}
    return simple[kind] if kind in simple else [example(schema["items"], root) for _ in range(schema.get("minItems", 0))]


def called(request):
    """Name and arguments of the tool that must be called, if one must."""
    tools = [tool.get("function", tool) for tool in request.get("tools") or [] if tool["type"] == "function"]
    choice = request.get("tool_choice")
    name = choice.get("function", choice).get("name") if isinstance(choice, dict) else None
    if not tools or choice in (None, "auto", "none") or isinstance(choice, dict) and not name:
        return None
    found = next((tool for tool in tools if tool["name"] == name), tools[0])
    return found["name"], json.dumps(example(found.get("parameters") or {"type": "object"}))


def text_of(request, says):
    wanted = request.get("response_format") or (request.get("text") or {}).get("format") or {}
    schema = wanted.get("schema") or (wanted.get("json_schema") or {}).get("schema")
    return says or (json.dumps(example(schema)) if schema else "Hello.")


def chat(request, says):
    message = {"role": "assistant", "content": text_of(request, says), "refusal": None, "annotations": []}
    if "/" in request["model"]:
        message |= {"annotations": None, "audio": None, "function_call": None, "tool_calls": [], "reasoning_content": "The user greets."}
    if call := called(request):
        function = {"name": call[0], "arguments": call[1]}
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    head = {"id": "chatcmpl-1", "created": 1, "model": request["model"]}
    end = "tool_calls" if call else "stop"
    if not request.get("stream"):
        choices = [{"index": i, "message": message, "logprobs": None, "finish_reason": end} for i in range(request.get("n") or 1)]
        return head | {"object": "chat.completion", "choices": choices, "usage": usage}
    delta = message | {"tool_calls": [{"index": 0} | call for call in message.get("tool_calls") or []]}
    steps = [(delta, None), ({}, end)]
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in steps] + [{"choices": [], "usage": usage}]
    return [head | {"object": "chat.completion.chunk"} | chunk for chunk in chunks]


def completion(request, says):
    prompt = request["prompt"]
    several = isinstance(prompt, list) and not isinstance(prompt[0], int)
    choices = [{"index": i, "text": says or "Hello.", "logprobs": None,
            "finish_reason": "stop"} for i in range((len(prompt) if several else 1) * (request.get("n") or 1))]
    answer = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": request["model"], "choices": choices}
    usage = {"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}
    return [answer] if request.get("stream") else answer | usage


def embedding(request, _):
    given = request.get("input", "")
    count = len(given) if isinstance(given, list) and not isinstance(given[0], int) else 1
    vector = base64.b64encode(struct.pack("<4f", *[0.5] * 4)).decode() if request.get("encoding_format") == "base64" else [0.5] * 4
    data = [{"object": "embedding", "index": i, "embedding": vector} for i in range(count)]
    return {"object": "list", "data": data, "model": request["model"], "usage": {"prompt_tokens": 3, "total_tokens": 3}}


def response(request, says):
    part = {"type": "output_text", "text": text_of(request, says), "annotations": [], "logprobs": []}
    item = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    if call := called(request):
        item = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1", "name": call[0], "arguments": call[1]}
    thought = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "Zm9v"}
    whole = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": request["model"], "error": None}
    whole |= {"output": [thought, item] if request.get("reasoning") else [item], "parallel_tool_calls": True, "tool_choice": "auto",
        "tools": []}
    whole["usage"] = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0}}
    if not request.get("stream"):
        return whole
    place, inside = {"output_index": 0}, {"output_index": 0, "content_index": 0, "item_id": "msg_1"}
    events = [("created", {"response": whole | {"output": [], "status": "in_progress"}}),
        ("output_item.added", place | {"item": item | ({} if call else {"content": []})})]
    if not call:
        events += [("content_part.added", inside | {"part": part | {"text": ""}}),
            ("output_text.delta", inside | {"delta": part["text"], "logprobs": []})]
        events += [("output_text.done", inside | {"text": part["text"], "logprobs": []}), ("content_part.done", inside | {"part": part})]
    events += [("output_item.done", place | {"item": item}), ("completed", {"response": whole | {"output": [item]}})]
    return [{"type": f"response.{kind}", "sequence_number": i} | event for i, (kind, event) in enumerate(events)]


def tensors(request, _):
    names = [output["name"] for output in request.get("outputs") or [{"name": "output"}]]
    outputs = [{"name": name, "datatype": "FP32", "shape": [1], "data": [0.5]} for name in names]
    return {"model_name": "resnet", "model_version": "1", "id": request.get("id", ""), "outputs": outputs}


ANSWERS = {"/v1/chat/completions": chat, "/v1/completions": completion, "/v1/embeddings": embedding, "/v1/responses": response}
