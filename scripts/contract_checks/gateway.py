"""The gateway that is asked: the built-in models, a stranger behind it, a key for them, and one that may administer everything."""
import httpx

from client_cases import gateway
from client_cases.child import free_port

from contract_checks import stranger

ACTS = ["keys:read", "keys:write", "tenants:all", "audit:read", "metrics:read", "config:reload"]
CHAT, EMBED, TENSOR = MODELS = ["echo-chat", "echo-embed", "echo-tensor"]
# Any tensors, and the echo model refuses them; a model whose quota is soon used up; one whose budget is; one that is too small.
OPEN, SCARCE, SPENT, SMALL = "open", "scarce", "spent", "small"
STRANGER, STRANGER_TENSOR, AWAY = "stranger", "stranger-tensor", "away"
OTHERS = [SCARCE, SPENT, SMALL, STRANGER, AWAY]
# Keys are wrong on purpose, and bodies do not end: neither may slow the rest down.
SETTINGS = """
[backends.echo]
kind = "echo"

[models.echo-chat]
backends = ["echo"]
operations = ["chat", "complete", "respond", "message"]

[models.echo-embed]
backends = ["echo"]
operations = ["embed"]

[models.echo-tensor]
backends = ["echo"]
operations = ["infer"]
inputs = [{ name = "input", dtype = "FP32", shape = [-1, 4], max_elements = 4096 }]

[models.open]
backends = ["echo"]
operations = ["infer"]
tensors = "settings"

[backends.stranger]
kind = "openai"
url = "{stranger}/v1"
answer_seconds = 1

[backends.stranger-tensor]
kind = "oip"
url = "{stranger}"
answer_seconds = 1

[backends.away]
kind = "openai"
url = "{away}/v1"

[models.stranger]
backends = ["stranger"]
operations = ["chat", "complete", "respond", "message", "embed"]

[models.stranger-tensor]
backends = ["stranger-tensor"]
operations = ["infer"]
tensors = "settings"

[models.away]
backends = ["away"]
operations = ["chat", "complete", "respond", "message", "embed"]
""" + "".join(f"""
[models.{name}]
backends = ["echo"]
operations = ["chat", "complete", "respond", "message", "embed"]

[quotas.{name}]
of = "key"
counts = "{counts}"
limit = "{limit}"
models = ["{name}"]
""" for name, counts, limit in [("scarce", "requests", "5/hour"), ("spent", "requests", "5/total"), ("small", "tokens", "10/second")]) + """
[limits]
failures_per_minute = 100000000
body_seconds = 1

[log]
level = "error"
"""


def start(children):
    settings = SETTINGS.replace("{stranger}", stranger.start()).replace("{away}", f"http://127.0.0.1:{free_port()}")
    return gateway.with_settings(children, [settings], ACTS)


def make_key(asked, name, models):
    """A key that is made while the gateway runs."""
    form = {"name": name, "scopes": {"inference": {"models": models, "operations": ["chat", "complete", "embed", "infer"]}}}
    made = httpx.post(f"{asked.admin_url}/admin/keys", json=form, headers={"Authorization": f"Bearer {asked.admin}"}, timeout=30)
    return made.raise_for_status().json()["key"]


def id_of(key):
    """The public part of a key."""
    return key[: len("pck1_") + 16]
