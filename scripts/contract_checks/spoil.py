"""Makes odd requests of good ones: a wrong key or none, other heads, bodies changed by bytes, by structure, by type, by letters."""
import copy, gzip, json, random

# What somebody sends comes back in no refusal.
MARKER = "zq7k"
STRANGE_TEXTS = [
    "", " ", "\0", "\ufeff", "\u202eevil", "\u200b\u200d", "e\u0301" * 50, "\uff41\uff44\uff4d\uff49\uff4e",
    "\U0001f468\u200d\U0001f469", "\ufdfa", "\u2028",
    "\ud800", "\udfff\ud800", "\uffff", "\u0130\u0131\u00df", "\u0440\u0430ypal", "\U000e0069\U000e0067", "a" * 300, "a" * 70_000,
    "../../etc/passwd", "{{7*7}}", "${jndi:ldap://x}",
    "' OR '1'='1", "<script>", "%00%0d%0a", "\r\nX-Evil: 1", "nan", "-inf", "null", "data:image/png;base64,AAAA",
    "sk-" + "a" * 48, "\x1b[31m", "__proto__",
]
STRANGE_VALUES = [
    None, True, False, 0, -1, 1, 1.5, -0.0, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, 5e-324, "", "5", [], {},
    [[]], [None], [0] * 3000, {"": {}},
    {"type": "text"}, ["a", 1, None], [1, 2, [3]], {"a": {"b": [{}]}},
]
# What JSON has no value for, in the place of a value.
RAW = [
    b"NaN", b"Infinity", b"-Infinity", b"1e400", b"01", b"+1", b".5", b"5.", b"0x10", b"1e999999999", b"'a'", b"undefined",
    b"tru", b"[1,]", b'{"a":1,}', b"/**/1", b'"\\ud800"',
    b'"\\x41"', b'"\x00"', b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b"\xef\xbb\xbf1", b'"a', b'{"a":1,"a":2}',
    b'{"a":1,"\\u0061":2}', b"[" * 70 + b"]" * 70, b"[" * 30_000,
    b'{"a":' * 101 + b"1" + b"}" * 101, b"1 2", b"1\0", b"-", b'"' + b"\\n" * 40_000 + b'"', b"9" * 5000, b"1." + b"0" * 5000,
    b"[" + b"{}," * 26_000 + b"{}]",
]
BYTES = [
    b"\0", b"\xff", b"\xef\xbb\xbf", b"\xc3\x28", b"\xed\xa0\x80", b"\r\n", b"\n", b"\\", b'"', b"{", b"]", b",", b":", b"\\u0000",
    b"\\ud83d", b"-", b"e9", b"\x7f", b"\x1b",
]
FIELDS = ["x", "type", "name", "stream", "n", "tools", "id", "parameters", "limits", "admin", "__proto__", ""]
METHODS = [
    b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"CONNECT", b"QUERY", b"PROPFIND", b"get",
    b"Post", b"G", b"A" * 300, b"A" * 20_000, b"GE\0T", b"GET\t", b"",
    b"P\xc3\xb6ST", b"M-SEARCH", b"{GET}", b"PRI",
]
VERSIONS = [
    b"HTTP/1.0", b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b"HTTP/9.9", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1 ", b"HTTP/11", b"",
    b"HTCPCP/1.0",
]
TYPES = [
    "text/plain", "application/JSON; charset=utf-8", "application/json; charset=utf-7", "application/json;charset=\"utf-16\"",
    "multipart/form-data; boundary=x", "application/x-www-form-urlencoded",
    "application/octet-stream", "application/cbor", "", "json", "application/json, text/plain", "application/problem+json",
    "a" * 3000, "application/json;" + ";" * 100, "image/png",
]
HEADERS = [
    (b"Host", b"other"), (b"Host", b""), (b"Content-Length", b"5"), (b"Content-Length", b"+5"), (b"Content-Length", b"-1"),
    (b"Content-Length", b"0x5"), (b"Content-Length", b"5, 5"),
    (b"Content-Length", b"18446744073709551616"), (b"Transfer-Encoding", b"identity"), (b"Transfer-Encoding", b"gzip, chunked"),
    (b"Transfer-Encoding", b"xchunked"),
    (b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding ", b"chunked"), (b"Content-Encoding", b"gzip"),
    (b"Content-Encoding", b"identity"), (b"Content-Encoding", b"br, gzip"),
    (b"Upgrade", b"websocket"), (b"Upgrade", b"h2c"), (b"Connection", b"upgrade"), (b"Connection", b"close"),
    (b"Connection", b"authorization, keep-alive"), (b"Expect", b"100-continue"),
    (b"Expect", b"200-ok"), (b"Inference-Header-Content-Length", b"10"), (b"Inference-Header-Content-Length", b"0"),
    (b"Inference-Header-Content-Length", b"-1"),
    (b"Inference-Header-Content-Length", b"99999999999999999999"), (b"Idempotency-Key", b"once"),
    (b"Idempotency-Key", b"a" * 300), (b"Idempotency-Key", b"a b"), (b"Idempotency-Key", b""),
    (b"X-Forwarded-For", b"1.2.3.4, evil"), (b"X-Request-Id", b"mine"), (b"X-HTTP-Method-Override", b"DELETE"),
    (b"X-Original-URL", b"/admin/keys"), (b"Range", b"bytes=0-1"),
    (b"If-None-Match", b"*"), (b"Accept", b"text/html"), (b"Accept-Encoding", b"gzip"), (b"Origin", b"https://evil.example"),
    (b"Cookie", b"a=b; " * 200), (b"X-Long", b"a" * 17_000),
    (b"X-Longer", b"a" * 150_000), (b"X-Null", b"a\0b"), (b"X-Return", b"a\rb"), (b"X-High", b"caf\xc3\xa9"),
    (b"X-Fold", b"a\r\n b"), (b"X Space", b"a"), (b"", b"a"), (b"X-Del", b"\x7f"),
    (b"Authorization", b"Bearer other"), (b"Content-Type", b"text/plain"), (b"Trailer", b"Authorization"), (b"TE", b"trailers"),
    (b"User-Agent", b"\x1b[31m"), (b"X-Api-Key", b"abc"),
]
TARGETS = [
    b"*", b"", b"/", b"//", b"/v1", b"/v3/models", b"/metrics", b"/admin/keys", b"/livez", b"/v1/../admin/keys", b"/v1/%2e%2e/x",
    b"/%00", b"/v1/models/", b"/V1/models", b"/v2/", b"/v2x", b"/.env",
    b"/v2/models//infer", b"/v2/models/" + b"a" * 200 + b"/infer", b"/v2/models/echo-tensor/versions/..", b"/v2/repository/index",
    b"/v1/models/a%2fb", b"/" + b"a" * 2_100, b"/" + b"a" * 70_000,
    b"/caf\xc3\xa9", b"/a b", b"/v1/models?", b"/v1/models?a=b&" + b"c=d&" * 40, b"/v1/models#x", b"http://localhost/v1/models",
    b"https://other/v2/models/a", b"http://", b"localhost:443", b"v1/models",
    b"/v1/models\t", b"\\v1\\models", b"/v1;x/models", b"/admin/requests/..", b"/admin/keys/pck1_0000000000000000/rotate",
    b"/admin/tenants/default/revoke", b"/admin/keys?limit=0", b"/admin/keys?after=%00",
    b"/admin/keys?limit=1&limit=2", b"/admin/tenants?tenant=a", b"/admin/openapi.json", b"/admin/monitors/x/learn",
]


def spoiled(request, chance, others):
    """The request with one to three things wrong, or none; and its bytes."""
    request = copy.deepcopy(request)
    request.headers.append((b"X-Marker", MARKER.encode()))
    late = []
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3))):
        kinds = [spoil_head] * 2 + ([spoil_body] * 6 if request.body else [spoil_head])
        kind = chance.choice([*kinds, spoil_framing, spoil_bytes])
        if kind is spoil_bytes:
            late.append(kind)
        else:
            kind(request, chance, others)
    sent = request.to_bytes()
    for kind in late:
        sent = kind(sent, chance)
    return request, sent


def spoil_head(request, chance, others):
    what = chance.randrange(9)
    if what == 0:
        request.method = chance.choice(METHODS)
    elif what == 1:
        request.target = chance.choice(TARGETS)
    elif what == 2:
        request.target = mixed(request.target, chance)
    elif what == 3:
        request.version = chance.choice(VERSIONS)
    elif what == 4:
        request.host = chance.choice([None, b"", b"a b", b"user@localhost", b"localhost:99999", b"[::1", b"\xff", b"a" * 2000])
    elif what == 5:
        request.content_type = chance.choice([*TYPES, None])
    elif what == 6:
        request.headers += chance.choices(HEADERS, k=chance.choice((1, 1, 2, 70, 110)))
    elif what == 7:
        other = chance.choice(others)
        request.method, request.target = other.method, chance.choice((other.target, request.target))
    else:
        request.ending = chance.choice((b"\n", b"\r\n", b"\r", b"\r\n \r\n"))


def mixed(target, chance):
    """A path with another step, query or encoding."""
    steps = target.split(b"/")
    at = chance.randrange(1, len(steps) + 1)
    odd = [b"..", b".", b"", b"%2e", b"a" * 130, b"%zz", b"caf\xc3\xa9", b"*", b"a;b", b"x:y@z", b"\0", b"pck1_" + b"a" * 16]
    odd += [MARKER.encode(), b"versions", b"1", b"infer", b"ready"]
    ends = [b"?", b"?limit=5", b"?limit=x&after=y", b"?api_key=" + MARKER.encode(), b"#x", b"/", b"%20", b"?" + b"a" * 2_100, b"?a[]=\xff"]
    change = chance.randrange(4)
    if change == 0:
        steps[at - 1 or 1 if len(steps) > 1 else 0] = chance.choice(odd)
    elif change == 1:
        steps.insert(at, chance.choice(odd))
    elif change == 2 and len(steps) > 2:
        del steps[at - 1 or 1]
    else:
        steps[-1] += chance.choice(ends)
    return b"/".join(steps)


def spoil_framing(request, chance, others):
    what = chance.randrange(5)
    if what == 0:
        request.framing = "chunked"
    elif what == 1:
        request.framing = "none"
    elif what == 2:
        request.length = max(0, len(request.body) + chance.choice((-1, 1, -5, 1000, 10**7, 10**10)))
    elif what == 3:
        request.body = gzip.compress(request.body, mtime=0)
        request.headers.append((b"Content-Encoding", b"gzip"))
    else:
        request.body = request.body or b"{}"


def spoil_bytes(sent, chance):
    """Of all that is sent, mostly of its head."""
    reach = len(sent) if chance.random() < 0.3 else max(1, sent.find(b"\r\n\r\n") + 4)
    at = chance.randrange(reach)
    return changed(sent, at, chance)


def changed(data, at, chance):
    what = chance.randrange(6)
    length = chance.choice((1, 1, 2, 8, 50))
    if what == 0:
        return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :] if data else b"\0"
    if what == 1:
        return data[:at] + chance.choice(BYTES) + data[at:]
    if what == 2:
        return data[:at] + data[at + length :]
    if what == 3:
        return data[:at] + data[at : at + length] * 2 + data[at + length :]
    if what == 4:
        return data[:at] + chance.randbytes(length) + data[at + length :]
    return data[:at]


def spoil_body(request, chance, others):
    what = chance.choice((0, 1, 2, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7))
    if what == 0:
        request.body = changed(request.body, chance.randrange(len(request.body) or 1), chance)
        return
    if what == 1:
        other = chance.choice(others).body
        request.body = request.body[: chance.randrange(len(request.body) or 1)] + other[chance.randrange(len(other) or 1) :]
        return
    try:
        tree = json.loads(request.body)
    except (ValueError, RecursionError):
        request.body = changed(request.body, 0, chance)
        return
    if what == 2:
        request.body = with_raw(tree, chance)
        return
    places = list(below(tree))
    holder, key = chance.choice(places) if places else (None, None)
    if holder is None:
        tree = copy.deepcopy(chance.choice(STRANGE_VALUES))
    elif what == 3:
        holder[key] = copy.deepcopy(chance.choice(STRANGE_VALUES))
    elif what == 4:
        holder[key] = chance.choice(STRANGE_TEXTS) + chance.choice(("", MARKER))
    elif what == 5:
        value = holder.pop(key)
        if chance.random() < 0.4 and isinstance(holder, dict):
            holder[chance.choice([key.upper(), key + " ", "\u202e" + key, "_" + key, chance.choice(STRANGE_TEXTS)])] = value
    elif what == 6 and isinstance(holder, list):
        holder[key:key] = [copy.deepcopy(holder[key])] * chance.choice((1, 2, 70, 2000))
    elif what == 6:
        holder[chance.choice(FIELDS)] = copy.deepcopy(chance.choice(STRANGE_VALUES))
    else:
        (holder_two, key_two) = chance.choice(places)
        holder[key] = copy.deepcopy(holder_two[key_two]) if key_two in holder_two or isinstance(holder_two, list) else None
    # With a lone half of a pair, JSON has it as an escape.
    text = json.dumps(tree, ensure_ascii=chance.random() < 0.5)
    request.body = text.encode("utf-8", "surrogatepass")


def with_raw(tree, chance):
    """What no tree can hold, in the place of one of its values."""
    hole = "hole-in-the-tree"
    places = list(below(tree))
    if not places:
        return chance.choice(RAW)
    holder, key = chance.choice(places)
    holder[key] = hole
    return json.dumps(tree).encode().replace(f'"{hole}"'.encode(), chance.choice(RAW), 1)


def below(tree):
    """Every place of a tree, as what holds it and the key there."""
    steps = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(steps):
        yield tree, key
        yield from below(value)


def wrong_key(chance, key, other):
    """No key, a broken one, or one of the other listener. Never a good one."""
    def flipped():
        at = chance.randrange(len("Bearer pck1_"), len("Bearer ") + len(key))
        letter = chance.choice([letter for letter in "abcXYZ019" if letter != key[at - len("Bearer ")]])
        good = f"Bearer {key}"
        return good[:at] + letter + good[at + 1 :]

    made = [
        lambda: None, lambda: None, lambda: "", lambda: "Bearer", lambda: "Bearer ", lambda: f"Basic {key}", lambda: key,
        lambda: f"Bearer {other}", lambda: f"Bearer {key}x", flipped, flipped, flipped,
        lambda: f"Bearer {key[: chance.randrange(len(key))]}", lambda: f"Bearer {key} {key}", lambda: f"Bearer {key}\t.",
        lambda: f"Bearer {key.lower()}", lambda: "Bearer " + "a" * chance.choice((10, 3_000, 30_000)),
        lambda: f"Bearer {MARKER}", lambda: "Bearer ' OR '1'='1", lambda: "Bearer sk-" + "a" * 40, lambda: f"Bearer  {key}\0",
        lambda: f"Bearer \u0440{key[1:]}",
    ]
    value = chance.choice(made)()
    return value if value is None else value.encode()
