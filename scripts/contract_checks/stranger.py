"""A model server behind the gateway that fails in every way it can, and tells all about itself while it does."""
import http.server, json, threading, time, zlib

TELLING = 'Traceback: File "/srv/vllm/engine.py", line 7, in run\npanicked at src/main.rs:4:2: called `Option::unwrap()` on 10.0.0.7'
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "All is well."}, "finish_reason": "stop"}
WELL = {"id": "/srv/x", "model": "/srv/model.gguf", "system_fingerprint": "vllm", "choices": [CHOICE]}


class Stranger(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.tell(404, "text/plain", TELLING)

    def do_POST(self):
        asked = self.rfile.read(int(self.headers.get("content-length") or 0))
        # The same to the same question, but for the gateway's own id of it.
        answers = [
            lambda: self.tell(500, "text/plain", TELLING),
            lambda: self.tell(400, "application/json", json.dumps({"error": {"message": TELLING}})),
            lambda: self.tell(429, "text/plain", TELLING), lambda: self.tell(503, "text/html", TELLING),
            lambda: self.tell(504, "text/html", TELLING),
            lambda: self.tell(401, "text/plain", TELLING),
            lambda: self.tell(302, "text/plain", TELLING, [("Location", "http://169.254.169.254/")]),
            lambda: self.tell(200, "text/html", f"<html>{TELLING}</html>"),
            lambda: self.tell(200, "application/json", json.dumps({"error": TELLING})),
            lambda: self.tell(200, "application/json", '{"choices":['),
            lambda: self.tell(200, "application/json", "", [("Set-Cookie", "a=b")]),
            lambda: self.tell(200, "text/event-stream", f"data: {TELLING}\n\n"), self.hang_up, self.wait,
            lambda: self.tell(200, "application/json", json.dumps(WELL)),
        ]
        answers[zlib.crc32(asked) % len(answers)]()

    def tell(self, status, media_type, text, headers=()):
        self.send_response(status)
        for name, value in [("Content-Type", media_type), ("Content-Length", str(len(text))), ("X-Node", "gpu7"), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def hang_up(self):
        self.close_connection = True

    def wait(self):
        time.sleep(1.3)
        self.close_connection = True

    def log_message(self, *_):
        pass


def start():
    """Its address. It ends with this process."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # the gateway leaves, too
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
