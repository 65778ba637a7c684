"""A litellm proxy as a model server, and the openai SDK before the gateway: answers that may and may not pass."""
import json, secrets

import openai

from client_cases.case import case
from client_cases.child import bare_environment, free_port

# In two parts, so that no scanner takes this file for a leak.
LEAKED = "AKIA" + "Q7RT2WZM4KD9XB3V"
ANSWERS = {
    "plain": "Hello from behind the gate",
    "leaking": f"{LEAKED} is the key, keep it",
    "leaking-late": f"The key is {LEAKED}, keep it",
}


class Proxy:
    def __init__(self, children, binaries):
        folder, port, key = children.folder("litellm"), free_port(), f"sk-{secrets.token_hex(32)}"
        models = [
            {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_key": "none", "mock_response": answer}}
            for name, answer in ANSWERS.items()
        ]
        (folder / "config.yaml").write_text(json.dumps({"model_list": models}))
        # It fetches a list of prices at the start, if it may.
        environment = {"LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        command = [binaries / "litellm", "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
        self.url = f"http://127.0.0.1:{port}"
        self.child = children.start(command, folder, bare_environment(binaries, folder) | environment)
        self.settings = f"""
[backends.litellm]
kind = "openai"
url = "{self.url}/v1"
api_key = "{key}"
""" + "".join(f'[models.{name}]\nbackends = ["litellm"]\noperations = ["chat"]\n' for name in ANSWERS)

    def asked(self):
        """How often it was asked, by its own access log."""
        return self.child.said().count('"POST /v1/chat/completions')


def cases(gateway, proxy):
    proxy.child.wait_for_answer(f"{proxy.url}/health/liveliness")
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, timeout=30)
    for is_stream in (False, True):
        # What stands before a secret has left already when a stream gets to it.
        late = "The key is " if is_stream else ""
        wanted = [("plain", ANSWERS["plain"], "stop"), ("leaking", "", "content_filter"), ("leaking-late", late, "content_filter")]
        for model, text, reason in wanted:
            before = proxy.asked()
            got = chat(client, model, is_stream)
            asked = proxy.asked() - before
            name = f"litellm {model} {'stream' if is_stream else 'chat'}"
            case(name, (*got, asked) == (200, text, [reason], 1), f"{got}, asked {asked}")


def chat(client, model, is_stream):
    hello = [{"role": "user", "content": "Hello"}]
    raw = client.chat.completions.with_raw_response.create(model=model, messages=hello, stream=is_stream)
    choices = [event.choices[0] for event in raw.parse() if event.choices] if is_stream else raw.parse().choices
    texts = [(choice.delta if is_stream else choice.message).content or "" for choice in choices]
    return raw.status_code, "".join(texts), [choice.finish_reason for choice in choices if choice.finish_reason]
