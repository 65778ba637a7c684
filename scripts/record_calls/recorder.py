"""The recorder: a server on a free port, and the lines that come of what is sent to it."""
import base64, http.server, importlib.metadata, json, pathlib, re, struct, tempfile, threading

from record_calls.answers import ANSWERS, tensors

NEEDS = {"remote_media", "token_prompts", "audio", "file", "vllm", "sglang", "llama.cpp", "tgi", "sequence", "priority",
    "logit_bias_with_logprobs", "state", "hosted_tools"}
RECORDED = re.compile(r"/v1/(chat/completions|completions|embeddings|responses)|/v2/models/.+/infer")


class Recorder:
    """Answers one client, and keeps what it posts under the name of the shape that is driven."""

    def __init__(self, client, package):
        self.prefix, self.client = client, f"{package} {importlib.metadata.version(package)}"
        self.seen, self.sent, self.says, self.lines = [], set(), None, {}
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.answer("application/json", b"{}", {})

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                length = self.headers.get("inference-header-content-length")
                path = self.path.partition("?")[0]
                recorder.seen.append((path, self.headers.get("content-type"), int(length) if length else None, body))
                request = json.loads(body[: int(length)] if length else body)
                answer = ANSWERS.get(path, tensors)(request, recorder.says)
                if isinstance(answer, list):
                    names = [f"event: {event['type']}\n" if "type" in event else "" for event in answer]
                    events = "".join(f"{name}data: {json.dumps(event)}\n\n" for name, event in zip(names, answer))
                    return self.answer("text/event-stream", (events + "data: [DONE]\n\n").encode(), {})
                asked = [output.get("parameters", {}).get("binary_data") for output in request.get("outputs") or []]
                if "outputs" not in answer or not (any(asked) or (request.get("parameters") or {}).get("binary_data_output")):
                    return self.answer("application/json", json.dumps(answer).encode(), {})
                outputs = [{**output, "parameters": {"binary_data_size": 4}} for output in answer["outputs"]]
                outputs = [{key: value for key, value in output.items() if key != "data"} for output in outputs]
                head = json.dumps(answer | {"outputs": outputs}).encode()
                self.answer("application/octet-stream", head + struct.pack("<f", 0.5) * len(outputs),
                    {"Inference-Header-Content-Length": len(head)})

            def answer(self, kind, body, headers):
                self.send_response(200)
                for name, value in {"Content-Type": kind, "Content-Length": len(body), **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"127.0.0.1:{self.server.server_port}"

    def shape(self, name, call, says=None):
        """Drives one shape of call; each request of it becomes a line."""
        name, _, needs = name.partition(" | ")
        assert set(needs.split()) <= NEEDS, name
        self.seen, self.says = [], says
        try:
            answer = call()
        except Exception as error:
            error.add_note(f"driving the shape {name}")
            raise
        if type(answer).__name__ in ("Stream", "generator"):
            answer = list(answer)
        assert self.seen, f"{name}: nothing was sent"
        for i, sent in enumerate(self.seen):
            if sent in self.sent:
                continue  # another way to send the same
            self.sent.add(sent)
            path, kind, length, body = sent
            assert RECORDED.fullmatch(path), f"{name}: {path}"
            key = f"{self.prefix}-{name}" if i == 0 else f"{self.prefix}-{name}-{i + 1}"
            assert key not in self.lines, f"{key}: twice"
            for word in (self.address, str(pathlib.Path.home()), tempfile.gettempdir()):
                assert word.encode() not in body, f"{key}: holds {word}"
            line = {"name": key, "client": self.client, "path": path, "content_type": kind, "tensor_header_length": length}
            try:
                line["body"] = body.decode()
            except UnicodeDecodeError:
                line["body_base64"] = base64.b64encode(body).decode()
            self.lines[key] = line | ({"needs": needs.split()} if needs else {})
        return answer

    def write(self, file):
        text = "".join(json.dumps(line) + "\n" for line in self.lines.values())
        file.write_text(text)
        print(f"{self.client}: {len(self.lines)} shapes, {len(text.encode())} bytes")
