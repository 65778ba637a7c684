"""What every answer must be: whole, in the envelope of its route, with a code of ours and an id, and without leaks."""
import json, re, socket

CODES = re.compile(r"^\| (?:<a [^>]*></a>)?`(\w+)` \| (\d+) \| (.*) \|$", re.M)
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ALWAYS = {
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin", "cache-control": "no-store",
}
TELLING = {"server", "via", "x-powered-by", "location", "set-cookie"}
LEAKS = {
    "a path": r"(?<![\w:/])/(home|root|usr|tmp|work|var|src|opt|etc|proc|run|mnt|srv)/|\.rs\b|\.toml\b|\.cargo|portcullis-data",
    "a panic": r"(?i)panick|thread '|unwrap|backtrace|stack overflow|assertion",
    "a stack frame": r"\w::\w|0x[0-9a-f]{6,}|\bat line \d+ column|:\d+:\d+",
    "Rust": r"\b(Some|Ok|Err)\(|\bNone\b|\bpayload\b.*\b(EOF|limit)|(unknown|missing) (field|variant) `|invalid type:|expected `",
    "a library": r"(?i)\b(actix|serde|tokio|hyper|rustls|reqwest|httparse|sqlx|libsqlite|sqlite|postgres|argon2|utoipa|rustc)\b",
    "the system": r"(?i)os error|no such file|permission denied|connection (refused|reset)|broken pipe|errno",
    "a host": r"(?i)\blocalhost\b|\b\d{1,3}(\.\d{1,3}){3}\b|\.internal\b|\.local\b",
}
KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
ANTHROPIC_KINDS = KINDS | {413: "request_too_large", 503: "overloaded_error", 504: "timeout_error"}
BARE = "bare {}: no envelope, no code, no id"


def codes(root):
    """Status and meaning of each code, as they are documented."""
    table = CODES.findall((root / "docs/errors.md").read_text())
    return {code: (int(status), meaning) for code, status, meaning in table}


class Judge:
    def __init__(self, contracts, root, secrets):
        self.contracts = {contract.name: contract for contract in contracts}
        self.codes = codes(root)
        crates = re.findall(r'^name = "([a-z0-9]+[-_][a-z0-9_-]+)"', (root / "Cargo.lock").read_text(), re.M)
        words = "|".join(sorted({re.sub("[-_]", "[-_]", crate) for crate in crates}))
        leaks = LEAKS | {"a crate": rf"(?<![\w-])({words})(?![\w-])", "the host's name": rf"\b{re.escape(socket.gethostname())}\b"}
        self.leaks = {what: re.compile(pattern) for what, pattern in leaks.items()}
        # Their ids are no secret; half of what follows is.
        self.secrets = [secret[22:54] for secret in secrets]
        self.seen = set()

    def faults(self, request, sent, answer, marker):
        """Everything that is wrong, in words that are the same for the same fault."""
        if answer.end != "whole":
            return [f"{answer.end} after {answer.status}" if answer.status else f"no answer: {answer.end}"]
        told = "\n".join(f"{name}: {value}" for name, value in answer.headers) + "\n\n" + answer.body.decode("utf-8", "replace")
        faults = [f"the key in an answer of {answer.status}" for secret in self.secrets if secret in told]
        is_error = not 200 <= answer.status < 300
        if is_error and "x-error-code" not in dict(answer.headers):
            return faults + [BARE.format(answer.status)]
        faults += self.head(answer)
        path = path_of(sent)
        has_body = request.method != b"HEAD"
        if is_error:
            faults += self.refusal(request.listener, path, answer, has_body)
            # A date and an id are no input, and no address.
            told = re.sub(r"(?m)^(date|x-request-id): .*$", "", told)
            faults += [f"{what} leaks in {answer.one('x-error-code')}" for what, pattern in self.leaks.items() if pattern.search(told)]
            faults += [f"input comes back in {answer.one('x-error-code')}"] if marker in told else []
        return faults + self.documented(request, path, sent, answer, has_body)

    def head(self, answer):
        faults = [f"{name} is not as always" for name, value in ALWAYS.items() if answer.one(name) != value]
        faults += [f"a header {name}" for name in TELLING if answer.all(name)]
        request_id = answer.one("x-request-id") or ""
        if not ID.fullmatch(request_id):
            faults.append("no x-request-id")
        elif request_id in self.seen:
            faults.append("an x-request-id comes twice")
        self.seen.add(request_id)
        return faults

    def refusal(self, listener, path, answer, has_body):
        code = answer.one("x-error-code")
        if code not in self.codes:
            return [f"unknown code {code}"]
        status, meaning = self.codes[code]
        faults = [f"{code} has {answer.status}"] if answer.status != status else []
        wait = answer.one("retry-after")
        if wait is not None and not re.fullmatch(r"[1-9]\d*", wait):
            faults.append(f"Retry-After of {code}")
        if status == 401 and answer.one("www-authenticate") != "Bearer":
            faults.append("401 without WWW-Authenticate")
        if status == 405 and not re.fullmatch(r"[A-Z]+(, [A-Z]+)*", answer.one("allow") or ""):
            faults.append("405 without Allow")
        shape = problem if listener == "admin" else oip if below(path, "/v2") else anthropic if below(path, "/v1/messages") else openai
        media_type = "application/problem+json" if listener == "admin" else "application/json"
        if answer.one("content-type") != media_type:
            faults.append(f"{code} is {answer.one('content-type')}")
        if has_body:
            try:
                faults += [f"envelope of {code}: {fault}" for fault in shape(json.loads(answer.body), code, status, meaning)]
            except (ValueError, RecursionError):
                faults.append(f"envelope of {code}: no JSON")
        return faults

    def documented(self, request, path, sent, answer, has_body):
        contract = self.contracts[request.listener]
        method = sent.lstrip(b"\r\n").split(b" ", 1)[0].decode("latin-1")
        operation = contract.operation(method, path) if method in ("GET", "HEAD", "POST", "PATCH") else None
        name = operation and operation["operationId"]
        if operation is None:
            # Of what is not documented only refusals are.
            return [] if answer.status >= 400 or path == "/v2/" else [f"{answer.status} for what is not documented: {method} {path}"]
        response = operation["responses"].get(str(answer.status))
        if response is None:
            return [f"undocumented {answer.status} of {name}"]
        response = contract.resolve(response)
        media_type = (answer.one("content-type") or "").split(";")[0]
        content = response.get("content", {})
        if content and media_type not in content:
            return [f"undocumented {media_type} of {name}"]
        schema = content.get(media_type, {}).get("schema")
        faults = []
        if has_body and schema and "json" in media_type:
            faults += [f"{answer.status} of {name} is not as documented: {why}" for why in misfits(contract, schema, answer.body)]
        asked = contract.resolve(operation.get("requestBody", {})).get("content", {}).get("application/json", {}).get("schema")
        if answer.status == 200 and asked and request.listener == "callers" and "octet" not in str(request.content_type):
            faults += [f"accepted of {name}, but not as documented: {why}" for why in misfits(contract, asked, request.body)]
        return faults


def misfits(contract, schema, body):
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return ["no JSON"]
    for error in contract.validator(schema).iter_errors(value):
        steps = "/".join("*" if isinstance(step, int) else str(step) for step in error.instance_path)
        return [f"/{steps}"[:80]]
    return []


def path_of(sent):
    """The path as a server reads it, of whichever form the target is."""
    # No more of a head is read than this.
    words = sent[: 16 << 10].lstrip(b"\r\n").split(b"\n", 1)[0].split(b" ")
    target = words[1].decode("latin-1").strip() if len(words) > 1 else ""
    target = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*", "", target)
    return re.split(r"[?#]", target, maxsplit=1)[0]


def below(path, root):
    return path == root or path.startswith(f"{root}/")


def anthropic(body, code, status, meaning):
    if set(body) != {"type", "error", "request_id"} or body["type"] != "error" or set(body["error"]) != {"message", "type", "param", "code"}:
        return ["other fields"]
    error = body["error"]
    kind = ANTHROPIC_KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return common(error, code) + ([] if error["type"] == kind else [f"type {error['type']}"])


def openai(body, code, status, meaning):
    if set(body) != {"error"} or set(body["error"]) != {"message", "type", "param", "code"}:
        return ["other fields"]
    error = body["error"]
    kind = code if code == "insufficient_quota" else KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return common(error, code) + ([] if error["type"] == kind else [f"type {error['type']}"])


def common(error, code):
    faults = [] if error["code"] == code else ["another code"]
    faults += [] if error["message"] and isinstance(error["message"], str) else ["no message"]
    is_place = error["param"] is None or re.fullmatch(r"(/[\w.?-]{1,40}){1,64}", error["param"]) and len(error["param"]) <= 128
    return faults if is_place else [*faults, "param is no pointer"]


def oip(body, code, status, meaning):
    if set(body) != {"error"} or not isinstance(body["error"], str):
        return ["other fields"]
    return [] if re.match(rf"{code}: \S", body["error"]) else ["no code in the text"]


def problem(body, code, status, meaning):
    if set(body) != {"type", "title", "status", "detail", "code"}:
        return ["other fields"]
    wanted = {"type": f"urn:portcullis:error:{code}", "title": meaning, "status": status, "code": code}
    faults = [f"another {key}" for key, value in wanted.items() if body[key] != value]
    return faults if body["detail"] and isinstance(body["detail"], str) else [*faults, "no detail"]
