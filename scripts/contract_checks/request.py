"""A request that can be spoiled: its parts, and the bytes they make."""
import base64, dataclasses, json

from contract_checks import gateway


@dataclasses.dataclass
class Request:
    listener: str
    method: bytes
    target: bytes
    body: bytes = b""
    content_type: str = "application/json"
    headers: list = dataclasses.field(default_factory=list)
    """Names and values, apart from Host, the key and those of the body."""
    version: bytes = b"HTTP/1.1"
    key: bytes | None = None
    """The value of Authorization."""
    host: bytes | None = b"localhost"
    framing: str = "length"
    """How the body is sent: "length", "chunked" or "none"."""
    length: int | None = None
    """Another length than the body's own."""
    ending: bytes = b"\r\n"

    def to_bytes(self):
        lines = [b" ".join(part for part in (self.method, self.target, self.version) if part)]
        lines += [b"Host: " + self.host] if self.host is not None else []
        lines += [b"Authorization: " + self.key] if self.key is not None else []
        lines += [b"Content-Type: " + self.content_type.encode()] if self.body and self.content_type is not None else []
        body = self.body
        if self.framing == "chunked":
            lines += [b"Transfer-Encoding: chunked"]
            pieces = [body[start : start + 700] for start in range(0, len(body), 700)] + [b""]
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        elif self.framing == "length" and (body or self.length is not None or self.method in (b"POST", b"PATCH")):
            lines += [b"Content-Length: %d" % (len(body) if self.length is None else self.length)]
        lines += [name + b": " + value for name, value in self.headers]
        return self.ending.join(lines) + self.ending * 2 + body


def as_request(listener, method, target, body=None, **more):
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body, ensure_ascii=False).encode()
    return Request(listener, method.encode(), target.encode(), body or b"", **more)


TENSOR = {"name": "input", "shape": [2, 4], "datatype": "FP32", "data": [5.1, 3.5, 1.4, 0.2, 6.7, 3.0, 5.2, 2.3]}
ANSWERABLE = "The tower is 81 m high; \u00bfqu\u00e9 tal? \U0001f600 \u65e5\u672c"


def seeds(contracts, asked, root, made):
    """Good requests of both listeners. `made` are keys that may be changed."""
    callers, admin = contracts
    for path, item in callers.document["paths"].items():
        for method, operation in item.items():
            if method not in ("get", "post"):
                continue
            target = path.replace("{model}", gateway.TENSOR).replace("{version}", "1")
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            bodies = [example["value"] for example in content.get("examples", {}).values()] or [None]
            yield from (as_request("callers", method.upper(), target, body) for body in bodies)
    infer = f"/v2/models/{gateway.TENSOR}/infer"
    binary = {"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}],
        "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]}
    head = json.dumps(binary).encode()
    yield as_request("callers", "POST", infer, head + bytes(8) + b"\0\0\x80\x3f" * 2, content_type="application/octet-stream",
        headers=[(b"Inference-Header-Content-Length", b"%d" % len(head))])
    plain = {"id": "7", "inputs": [TENSOR | {"parameters": {"content_type": "np"}}], "parameters": {"binary_data_output": False}}
    yield as_request("callers", "POST", infer, plain)
    yield as_request("callers", "POST", "/v1/chat/completions", {
        "model": gateway.CHAT, "n": 2, "stop": ["x"], "logit_bias": {"50256": -100}, "seed": 7,
        "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": {"type": "object", "properties": {
            "name": {"type": "string", "pattern": "^[A-Z]"}, "of": {"$ref": "#/$defs/land"}},
            "$defs": {"land": {"enum": ["a", "b"]}}}}},
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ANSWERABLE}]})
    yield from recorded(root)
    for model in gateway.OTHERS * 12:
        hello = [{"role": "user", "content": "Hello"}]
        yield as_request("callers", "POST", "/v1/chat/completions", {"model": model, "messages": hello})
        yield as_request("callers", "POST", "/v1/chat/completions", {"model": model, "messages": hello, "stream": True})
        yield as_request("callers", "POST", "/v1/completions", {"model": model, "prompt": "Once", "max_tokens": 5})
        yield as_request("callers", "POST", "/v1/responses", {"model": model, "input": "Hello"})
        yield as_request("callers", "POST", "/v1/messages", {"model": model, "max_tokens": 20, "messages": hello})
        yield as_request("callers", "POST", "/v1/embeddings", {"model": model, "input": "Hello"})
    for model in (gateway.OPEN, gateway.STRANGER_TENSOR) * 5:
        texts = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["Hello"]}
        yield as_request("callers", "POST", f"/v2/models/{model}/infer", {"inputs": [TENSOR, texts]})
        yield as_request("callers", "GET", f"/v2/models/{model}/ready")
    for path, item in admin.document["paths"].items():
        for method, operation in item.items():
            bodies = admin.examples.get(operation["operationId"], [None])
            for number, body in enumerate(bodies):
                thing = "acme" if "tenants" in path else gateway.TENSOR if "monitors" in path else made[number % len(made)]
                yield as_request("admin", method.upper(), path.replace("{id}", thing), body)


def recorded(root):
    """What official clients were recorded to send, asked of models that are there."""
    places = {"/chat/completions": gateway.CHAT, "/completions": gateway.CHAT, "/responses": gateway.CHAT, "/embeddings": gateway.EMBED}
    for file in sorted((root / "crates/core-validate/tests/recorded").glob("*.jsonl")):
        for line in file.read_text().splitlines():
            record = json.loads(line)
            body = base64.b64decode(record["body_base64"]) if "body_base64" in record else record["body"].encode()
            if len(body) > 16_384:
                continue
            length = record["tensor_header_length"]
            headers = [] if length is None else [(b"Inference-Header-Content-Length", b"%d" % length)]
            place = next((ending for ending in places if record["path"].endswith(ending)), None)
            if place is None and record["path"].endswith("/infer"):
                target, content_type = f"/v2/models/{gateway.OPEN}/infer", record["content_type"]
                yield as_request("callers", "POST", target, body, content_type=content_type, headers=headers)
            elif place is not None:
                fields = json.loads(body)
                fields["model"] = places[place]
                yield as_request("callers", "POST", f"/v1{place}", fields)
