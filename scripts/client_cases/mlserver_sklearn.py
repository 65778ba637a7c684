"""MLServer with a scikit-learn model as a model server: it answers bad tensors with its stack, the gateway must not."""
import json, subprocess, time

import httpx
import tritonclient.http

from client_cases import triton
from client_cases.case import case
from client_cases.child import bare_environment, free_port

TRAIN = """
import joblib, sklearn.datasets, sklearn.linear_model
flowers, kinds = sklearn.datasets.load_iris(return_X_y=True)
joblib.dump(sklearn.linear_model.LogisticRegression(max_iter=1000).fit(flowers, kinds), "model.joblib")
"""
MODEL = {
    "name": "iris", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib"},
    "inputs": [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "predict", "datatype": "INT64", "shape": [-1, 1]}],
}
FLOWER = [5.1, 3.5, 1.4, 0.2]
# What a traceback of it holds, in whatever part.
INSIDE = ["Traceback", "File \"", "site-packages", ".py", "sklearn", "mlserver", "ValueError", "features"]


class Server:
    def __init__(self, children, binaries):
        folder = children.folder("mlserver")
        environment = bare_environment(binaries, folder)
        subprocess.run([binaries / "python", "-c", TRAIN], cwd=folder, env=environment, check=True, timeout=120)
        port = free_port()
        ports = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
        (folder / "settings.json").write_text(json.dumps({"host": "127.0.0.1", "parallel_workers": 0} | ports))
        (folder / "model-settings.json").write_text(json.dumps(MODEL))
        self.url = f"http://127.0.0.1:{port}"
        self.child = children.start([binaries / "mlserver", "start", "."], folder, environment)
        self.settings = f"""
[backends.mlserver]
kind = "oip"
url = "{self.url}"
[models.iris]
backends = ["mlserver"]
operations = ["infer"]
inputs = [{{ name = "input", dtype = "FP32", shape = [-1, 4] }}]
[models.iris-learnt]
backends = ["mlserver"]
backend_model = "iris"
operations = ["infer"]
[models.iris-unchecked]
backends = ["mlserver"]
backend_model = "iris"
operations = ["infer"]
tensors = "settings"
"""

    def asked(self):
        """How often it was asked to infer, by its own access log."""
        return self.child.said().count('"POST /v2/models/iris/infer')


def cases(gateway, server):
    server.child.wait_for_answer(f"{server.url}/v2/models/iris/ready")
    served(gateway)
    flat = body([1, 5], FLOWER)
    alone = httpx.post(f"{server.url}/v2/models/iris/infer", json=flat, timeout=30)
    case("mlserver alone shows its stack", alone.status_code == 500 and "Traceback" in alone.text, tail(alone))

    before = server.asked()
    refused = infer(gateway, "iris", flat)
    case("mlserver wrong shape refused", code(refused) == (400, "wrong_shape"), refused.text)
    case("mlserver was not asked", server.asked() == before)

    learnt(gateway)
    before = server.asked()
    failed = infer(gateway, "iris-unchecked", body([1, 3], FLOWER[:3]))
    seen = (*code(failed), server.asked() - before)
    case("mlserver fails behind the gateway", seen == (502, "backend_failed", 1), failed.text)
    told = f"{failed.headers}{failed.text}"
    case("mlserver keeps its stack to itself", not any(word in told for word in INSIDE))


def learnt(gateway):
    """What the server says of its tensors is asked again every half minute."""
    until = time.monotonic() + 45
    while (refused := infer(gateway, "iris-learnt", body([1, 3], FLOWER[:3]))).status_code != 400 and time.monotonic() < until:
        time.sleep(1)
    case("mlserver's own description holds", code(refused) == (400, "wrong_shape"), refused.text)


def served(gateway):
    answer = infer(gateway, "iris", body([1, 4], FLOWER))
    case("mlserver infer", answer.status_code == 200 and answer.json()["outputs"][0]["data"] == [0], answer.text)
    client = triton.client_of(gateway)
    metadata = client.get_model_metadata("iris", headers=gateway.headers)
    outputs = [{"name": "predict", "datatype": "INT64", "shape": [-1, 1]}]
    case("mlserver metadata", (metadata["name"], metadata["outputs"]) == ("iris", outputs), metadata)
    case("mlserver ready", client.is_model_ready("iris", headers=gateway.headers))
    # Not binary, which is this client's habit: MLServer reads JSON only.
    tensor = triton.tensor_of("input", [FLOWER, [6.3, 3.3, 6.0, 2.5]], binary=False)
    wanted = tritonclient.http.InferRequestedOutput("predict", binary_data=False)
    kinds = client.infer("iris", [tensor], outputs=[wanted], headers=gateway.headers).as_numpy("predict")
    case("mlserver triton infer JSON", kinds.tolist() == [[0], [2]], kinds.tolist())


def body(shape, data):
    return {"inputs": [{"name": "input", "shape": shape, "datatype": "FP32", "data": data}]}


def infer(gateway, model, asked):
    return httpx.post(f"{gateway.url}/v2/models/{model}/infer", json=asked, headers=gateway.headers, timeout=30)


def code(answer):
    return answer.status_code, answer.headers.get("x-error-code")


def tail(answer):
    return f"{answer.status_code}, {len(answer.text.splitlines())} lines, the last: {answer.text.splitlines()[-1]}"
