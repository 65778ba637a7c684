"""The documents of both listeners, what they say of a request and its answer, and schemathesis over them."""
import copy, dataclasses, json, os, pathlib, re, shutil, subprocess, sys

import httpx, jsonschema_rs

from contract_checks import gateway

SEED = 1
EXAMPLES = 100  # of each operation, beside several hundred that follow from the document
# That whatever fits a schema is accepted is not promised: fields contradict each other, and texts are screened.
NOT_PROMISED = "positive_data_acceptance"


@dataclasses.dataclass
class Contract:
    name: str
    url: str
    key: str
    document: dict
    examples: dict
    """Good bodies by operation, where the document has none."""

    def operation(self, method, path):
        """What is said of a request. `HEAD` asks what `GET` would say."""
        method = "get" if method == "HEAD" else method.lower()
        for template, item in self.document["paths"].items():
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
            if method in item and re.fullmatch(pattern, path):
                return item[method]
        return None

    def resolve(self, value):
        while "$ref" in value:
            found = self.document
            for step in value["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            value = found
        return value

    def validator(self, schema):
        """Compiled once for each schema."""
        text = json.dumps(schema, sort_keys=True)
        if text not in VALIDATORS:
            VALIDATORS[text] = jsonschema_rs.Draft202012Validator(schema | {"components": self.document["components"]})
        return VALIDATORS[text]


VALIDATORS = {}


def read(root, asked):
    callers = json.loads((root / "services/gateway/src/http/openapi.json").read_text())
    with_admin_key = {"Authorization": f"Bearer {asked.admin}"}
    admin = httpx.get(f"{asked.admin_url}/admin/openapi.json", headers=with_admin_key, timeout=30).raise_for_status().json()
    # Of models behind which somebody fails it would find only that.
    key = gateway.make_key(asked, "documents", gateway.MODELS)
    return [
        Contract("callers", asked.url, key, at_models(callers), {}),
        Contract("admin", asked.admin_url, asked.admin, admin, ADMIN_EXAMPLES),
    ]


def at_models(document):
    """Names of models that are there, beside any others: nobody would guess them."""
    document = copy.deepcopy(document)
    schemas, parameters = document["components"]["schemas"], document["components"]["parameters"]
    schemas["ModelName"] = {"anyOf": [{"enum": gateway.MODELS}, schemas["ModelName"]]}
    parameters["InferModel"]["schema"] = {"anyOf": [{"const": gateway.TENSOR}, parameters["InferModel"]["schema"]]}
    return document


INFERENCE = {"inference": {"models": ["*"], "operations": ["chat", "embed"]}}
ADMIN_EXAMPLES = {
    "issueKey": [
        {"name": "made", "scopes": INFERENCE},
        {
            "name": "limited", "scopes": INFERENCE, "limits": {"requests": "5/second burst 10", "concurrent": 2},
            "addresses": ["192.0.2.0/24"], "expires_in_seconds": 3600,
        },
        {"name": "reader", "scopes": {"admin": ["keys:read"]}},
        {"name": "maker", "scopes": {"admin": {"acts": ["keys:write"], "grants": {"models": ["echo-*"], "operations": ["infer"]}}}},
    ],
    "changeKey": [{"name": "changed", "limits": {"tokens": "1000/minute"}}, {"expires_at": None, "scopes": INFERENCE}],
    "rotateKey": [{"grace_seconds": 60}],
    "revokeKey": [{"family": True}],
    "addTenant": [{"id": "acme", "title": "Acme"}],
}


def explore(contract, asked, folder, home):
    """Runs schemathesis; how many of its checks failed."""
    document = copy.deepcopy(contract.document)
    for item in document["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict) and operation.get("operationId") in contract.examples:
                content = operation["requestBody"]["content"]["application/json"]
                values = contract.examples[operation["operationId"]]
                content["examples"] = {str(number): {"value": value} for number, value in enumerate(values)}
    place, report = folder / f"{contract.name}.json", folder / f"{contract.name}-report.json"
    place.write_text(json.dumps(document))
    log = home / f"{contract.name}.log"
    command = [pathlib.Path(sys.executable).with_name("schemathesis"), "run", place, "--url", contract.url]
    command += ["--header", f"Authorization: Bearer {contract.key}", "--tls-verify", asked.authority, "--no-color", "--warnings", "off"]
    command += ["--seed", str(SEED), "--max-examples", str(EXAMPLES), "--generation-database", "none", "--continue-on-failure"]
    command += ["--exclude-checks", NOT_PROMISED, "--report", "json", "--report-json-path", report]
    kept = [gateway.id_of(key) for key in (asked.key, asked.admin, contract.key)]
    hooks = {"SCHEMATHESIS_HOOKS": str(pathlib.Path(__file__).with_name("hooks.py")), "CONTRACT_KEEP": " ".join(kept)}
    with log.open("wb") as out:
        subprocess.run(command, cwd=folder, env=os.environ | hooks, stdout=out, stderr=out, timeout=400)
    if not report.exists():
        sys.exit(f"schemathesis did not run; see {log}")
    shutil.copy(report, home)
    told = json.loads(report.read_text())
    if told["stop_reason"] != "completed" or told["operations"]["tested"] != told["operations"]["total"]:
        sys.exit(f"schemathesis did not try everything; see {log}")
    wrong = told["test_cases"]["unique_failures"] + len(told["errors"])
    print(f"{contract.name}: {told['operations']['tested']} operations, {told['test_cases']['generated']} cases, {wrong} not as documented"
        + (f"; see {log}" if wrong else ""), flush=True)
    return wrong
