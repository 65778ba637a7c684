"""Raw bytes over TLS to a listener, and what comes back."""
import dataclasses, re, socket, ssl

HEAD_END = re.compile(rb"\n\r?\n")
MOST = 4 << 20


@dataclasses.dataclass
class Answer:
    status: int = 0
    headers: list = dataclasses.field(default_factory=list)
    body: bytes = b""
    end: str = "silent"
    """Whether it came "whole", or else "silent", "closed", "broken" or "nonsense"."""

    def all(self, name):
        return [value for key, value in self.headers if key == name]

    def one(self, name):
        found = self.all(name)
        return found[0] if len(found) == 1 else None


def is_whole(sent):
    """Whether a server that reads generously has all of the request; what it cannot read in no way it need not wait for."""
    sent = sent.lstrip(b"\r\n")
    end = HEAD_END.search(sent)
    if not end:
        return False
    head, body = sent[: end.start()].lower(), sent[end.end() :]
    field = lambda name: [value.strip() for value in re.findall(rb"\n%s[ \t]*:([^\r\n]*)" % name, head)]
    if any(b"chunked" in value for value in field(b"transfer-encoding")):
        return are_chunks_whole(body)
    lengths = field(b"content-length")
    return not (len(lengths) == 1 and lengths[0].isdigit() and int(lengths[0]) > len(body))


def are_chunks_whole(body):
    """Up to the last chunk and the line after the trailers, or to where they are no chunks."""
    while size := re.match(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\n]*)?\r?\n", body):
        length = int(size.group(1), 16)
        body = body[size.end() :]
        if length == 0:
            return bool(re.match(rb"([^\n]+\n)*\r?\n", body))
        if len(body) < length + 2:
            return False
        body = body[length:].removeprefix(b"\r").removeprefix(b"\n")
    return not re.fullmatch(rb"[0-9A-Fa-f]{0,15}[ \t]*(;[^\n]*)?\r?", body)


class Listener:
    def __init__(self, url, authority):
        host, _, port = url.removeprefix("https://").rpartition(":")
        self.host, self.address = host, (host, int(port))
        self.context = ssl.create_default_context(cafile=authority)

    def ask(self, sent, method, seconds):
        with socket.create_connection(self.address, timeout=20) as plain:
            with self.context.wrap_socket(plain, server_hostname=self.host) as stream:
                stream.settimeout(seconds)
                return self.exchange(stream, sent, method)

    def exchange(self, stream, sent, method):
        answer = Answer()
        reader = Reader(stream)
        try:
            try:
                stream.sendall(sent)
            except (ConnectionError, ssl.SSLError):
                pass  # it may be refused before all of it is there
            while answer.status < 200:
                head = reader.until(b"\r\n\r\n")
                if not head:
                    answer.end = "closed"
                    return answer
                line, *lines = head.decode("latin-1").split("\r\n")
                found = re.fullmatch(r"HTTP/1\.[01] ([1-5]\d\d) [ -~]*", line)
                if not found or not all(re.fullmatch(r"[a-z0-9-]+: [ -~]*", line) for line in lines):
                    answer.end, answer.body = "nonsense", head
                    return answer
                answer.status, answer.headers = int(found.group(1)), [tuple(line.split(": ", 1)) for line in lines]
            if method == b"HEAD" or answer.status in (204, 304):
                answer.end = "whole"
            elif answer.one("transfer-encoding") == "chunked":
                answer.body, is_complete = reader.chunks()
                answer.end = "whole" if is_complete else "broken"
            else:
                length = int(answer.one("content-length") or -1)
                answer.body = reader.exactly(length) if length >= 0 else reader.rest()
                answer.end = "whole" if length < 0 or len(answer.body) == length else "broken"
        except TimeoutError:
            answer.end = "silent"
        except (ConnectionError, ssl.SSLError):
            answer.end = "broken" if answer.status else "closed"
        return answer


class Reader:
    def __init__(self, stream):
        self.stream, self.held = stream, b""

    def more(self):
        piece = self.stream.recv(65_536) if len(self.held) < MOST else b""
        self.held += piece
        return bool(piece)

    def until(self, mark):
        while mark not in self.held:
            if not self.more():
                return b""
        found, _, self.held = self.held.partition(mark)
        return found

    def exactly(self, length):
        while len(self.held) < length and self.more():
            pass
        found, self.held = self.held[:length], self.held[length:]
        return found

    def rest(self):
        while self.more():
            pass
        return self.held

    def chunks(self):
        body = b""
        while True:
            size = self.until(b"\r\n")
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size):
                return body, False
            length = int(size, 16)
            piece = self.exactly(length + 2)
            body += piece[:length]
            if length == 0 or len(piece) < length + 2:
                return body, length == 0 and piece == b"\r\n"
