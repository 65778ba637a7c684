"""What kserve's REST client is driven through."""
import asyncio

from record_calls.parts import TEXTS


def calls(recorder):
    import numpy
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
    from kserve.protocol.infer_type import RequestedOutput
    client, loop = InferenceRESTClient(RESTConfig(protocol="v2")), asyncio.Runner()

    def infer(name, *inputs, **more):
        data = inputs[0] if isinstance(inputs[0], dict) else InferRequest("iris", list(inputs), **more)
        recorder.shape(name, lambda: loop.run(client.infer(f"http://{recorder.address}", data, model_name="iris")))

    def given(kind, values, binary=None, name="input-0", shape=None, **more):
        values = numpy.array(values, dtype=kind) if binary is not None else values
        tensor = InferInput(name, shape or list(values.shape),
            {"object": "BYTES", "bool": "BOOL"}.get(kind, kind.upper().replace("FLOAT", "FP")), values if binary is None else None, **more)
        if binary is not None:
            tensor.set_data_from_numpy(values, binary_data=binary)
        return tensor

    tensors(infer, given)
    options(infer, given, RequestedOutput)


def tensors(infer, given):
    import numpy
    rows = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]
    infer("infer-nested", given("FP32", rows, shape=[2, 4]))
    infer("infer-flat", given("FP32", sum(rows, []), shape=[2, 4]))
    infer("infer-integers-as-floats", given("FP64", [[1, 2], [3, 4]], shape=[2, 2]))
    infer("infer-data-array", given("FP32", numpy.float32(rows), shape=[2, 4]))
    numbers = {"float32": [0.5, -1e-08], "float64": [0.1, 1e300],
        **{f"{sign}{bits}": [numpy.iinfo(f"{sign}{bits}").min, numpy.iinfo(f"{sign}{bits}").max] for sign in ("int", "uint") for bits in (8,
                16, 32, 64)}, "bool": [True, False], "object": ["Hello", TEXTS["unicode"]]}
    for kind, values in numbers.items():
        for binary in (True, False):
            infer(f"infer-{kind}-{'binary' if binary else 'json'}", given(kind, values, binary))
    infer("infer-float16-binary", given("float16", [0.5, 65504], True))
    infer("infer-bytes-list", given("BYTES", ["a", "", "ü", "line\nbreak\t\x1b"], shape=[4]))
    infer("infer-bytes-nested", given("BYTES", [["a"], ["b"]], shape=[2, 1]))
    infer("infer-bytes-not-text", given("object", [b"\xff\xfe", b"\x00"], True))
    infer("infer-bool-integers", given("BOOL", [0, 1, 1], shape=[3]))
    infer("infer-10000", given("INT64", [[j % 10 for j in range(100)] for _ in range(100)], shape=[100, 100]))
    infer("infer-10000-binary", given("uint8", numpy.arange(10_000) % 251, True))
    infer("infer-image", given("uint8", numpy.arange(768).reshape(1, 3, 16, 16) % 256, True))
    infer("infer-several", given("FP32", [1.0], name="a", shape=[1]), given("INT32", [2], name="b", shape=[1, 1]),
        given("BYTES", ["x"], name="c", shape=[1]))
    infer("infer-several-mixed", given("float32", [1.0], True, "a"), given("INT32", [2], name="b", shape=[1]),
        given("int64", [[3]], True, "c"))


def options(infer, given, RequestedOutput):
    infer("infer-id", given("FP32", [1.0], shape=[1]), request_id="2ja0ls9j1309")
    infer("infer-content-type", given("FP32", [1.0], shape=[1], parameters={"content_type": "np"}), parameters={"content_type": "pd"})
    infer("infer-input-parameters", given("BYTES", ["x"], shape=[1], parameters={"content_type": "str", "scale": 2, "strict": True}))
    infer("infer-parameters", given("FP32", [1.0], shape=[1]), parameters={"threshold": "0.5", "top": 3, "explain": False})
    infer("infer-parameters-binary-output", given("FP32", [1.0], shape=[1]), parameters={"binary_data_output": True})
    infer("infer-parameters-sequence | sequence", given("FP32", [1.0], shape=[1]),
        parameters={"sequence_id": 5, "sequence_start": True, "sequence_end": False})
    infer("infer-parameters-priority | priority", given("FP32", [1.0], shape=[1]), parameters={"priority": 1})
    infer("infer-parameters-empty", given("FP32", [1.0], shape=[1], parameters={}), parameters={})
    infer("infer-outputs", given("FP32", [1.0], shape=[1]), request_outputs=[RequestedOutput("output-0"), RequestedOutput("output-1", {})])
    infer("infer-outputs-binary", given("FP32", [1.0], shape=[1]),
        request_outputs=[RequestedOutput("a", {"binary_data": True}), RequestedOutput("b", {"binary_data": False, "classification": 2})])
    infer("infer-bf16-list", given("BF16", [1.5], shape=[1]))
    infer("infer-empty", given("FP32", [], shape=[0, 4]))
    infer("infer-empty-binary", given("float32", [], True))
    infer("infer-dict", {"inputs": [{"name": "input-0", "shape": [1, 4], "datatype": "FP32", "data": [[1, 2, 3, 4]]}]})
    infer("infer-dict-all", {"id": "7", "parameters": {},
            "inputs": [{"name": "input-0", "shape": [1], "datatype": "FP32", "data": [1.5], "parameters": {}}], "outputs": [{"name": "o"}]})
    infer("infer-dict-nulls", {"id": None, "parameters": None,
            "inputs": [{"name": "input-0", "shape": [1], "datatype": "FP32", "data": [1.5], "parameters": None}], "outputs": None})
