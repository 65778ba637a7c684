"""The openai library for node against the echo models; left out where there is no node."""
import json, os, shutil, subprocess

from client_cases.case import case

SCRIPT = """
import OpenAI from "openai";
const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: process.argv[3] });
const messages = [{ role: "user", content: "Hello, gate" }];
const whole = await client.chat.completions.create({ model: "echo-chat", messages });
let text = "";
for await (const event of await client.chat.completions.create({ model: "echo-chat", messages, stream: true })) {
  text += event.choices[0]?.delta?.content ?? "";
}
console.log(JSON.stringify([whole.choices[0].message.content, text]));
"""


def cases(gateway, home):
    if not shutil.which("node"):
        return print("left out  openai for node: there is no node")
    script = home / "chat.mjs"  # beside node_modules, where node looks for the library
    script.write_text(SCRIPT)
    said = subprocess.run(
        ["node", script, gateway.url, gateway.key],
        env=os.environ | {"NODE_EXTRA_CA_CERTS": gateway.authority}, capture_output=True, text=True, timeout=60,
    )
    wanted = json.dumps(["You said: Hello, gate"] * 2, separators=(",", ":"))
    case("openai for node, chat and stream", said.stdout.strip() == wanted, said.stderr)
