"""What tritonclient is driven through, over HTTP."""
import asyncio, re

from record_calls.parts import LONG, TEXTS, image


def calls(recorder):
    import numpy
    import tritonclient.http as triton
    import tritonclient.http.aio
    client = triton.InferenceServerClient(recorder.address)

    def tensor(kind, values, binary=True, name="input"):
        values = values if isinstance(values, numpy.ndarray) else numpy.array(values)
        given = triton.InferInput(name, list(values.shape), kind)
        return given.set_data_from_numpy(values, binary_data=binary)

    def infer(name, *inputs, model="resnet", **more):
        recorder.shape(name, lambda: client.infer(model, list(inputs), **more))

    tensor_types(infer, tensor)
    tensor_shapes(infer, tensor)
    one, two = tensor("FP32", numpy.float32([[1, 2]]), name="a"), tensor("INT32", numpy.int32([[3]]), False, name="b")
    infer("infer-inputs-mixed", one, two, tensor("BYTES", numpy.array([["x"]], dtype=object), name="c"))
    options(recorder, client, triton, one, two)
    recorder.shape("infer-async", lambda: client.async_infer("resnet", [two]).get_result())

    async def other():
        async with triton.aio.InferenceServerClient(recorder.address) as client:
            await client.infer("resnet", [one, two])

    recorder.shape("infer-aio", lambda: asyncio.run(other()))


def tensor_types(infer, tensor):
    import ml_dtypes, numpy
    floats = {"FP16": [[0.5, -65504.0, 6e-05, 0.0]], "BF16": [[0.5, -1e38, 1e-38, 0.0]], "FP32": [[0.1, -3.4e38, 1e-45, -0.0]],
        "FP64": [[0.1, -1.7e308, 5e-324, 3.0]]}
    for kind, values in floats.items():
        values = numpy.array(values, dtype={"FP16": "float16", "BF16": ml_dtypes.bfloat16, "FP32": "float32", "FP64": "float64"}[kind])
        infer(f"infer-{kind.lower()}-binary", tensor(kind, values))
        if kind != "BF16":  # the client refuses
            infer(f"infer-{kind.lower()}-json", tensor(kind, values, False))
    for bits in (8, 16, 32, 64):
        for sign in ("int", "uint"):
            limits = numpy.iinfo(f"{sign}{bits}")
            for binary in (True, False):
                infer(f"infer-{sign}{bits}-{'binary' if binary else 'json'}",
                    tensor(f"{sign}{bits}".upper(), numpy.array([[limits.min, 0, 1, limits.max]], dtype=f"{sign}{bits}"), binary))
    texts = {"str": ["Hello", TEXTS["unicode"], "", TEXTS["newlines"]], "bytes": [b"abc", "grün".encode()],
        "control": [TEXTS["control-characters"], TEXTS["nul"]], "json": ['{"a": [1]}'], "long": [LONG[:2000]]}
    for binary in (True, False):
        way = "binary" if binary else "json"
        infer(f"infer-bool-{way}", tensor("BOOL", [[True, False, True]], binary))
        for name, values in texts.items():
            infer(f"infer-bytes-{name}-{way}", tensor("BYTES", numpy.array([values], dtype=object), binary))
    not_text = [image("png").encode(), b"\xff\xd8\xff\xe0\x00\x10", bytes(range(256))]
    infer("infer-bytes-not-text", tensor("BYTES", numpy.array([not_text], dtype=object)), model="decoder")


def tensor_shapes(infer, tensor):
    import numpy
    for binary in (True, False):
        way = "binary" if binary else "json"
        infer(f"infer-bytes-fixed-{way}", tensor("BYTES", numpy.array([b"ab", b"abcd"], dtype="S4"), binary))
        infer(f"infer-rank-0-{way}", tensor("FP32", numpy.array(7, dtype="float32"), binary))
        infer(f"infer-scalar-{way}", tensor("FP32", numpy.float32([7]), binary))
        infer(f"infer-ones-{way}", tensor("INT64", numpy.ones((1, 1, 1, 1), "int64"), binary))
        infer(f"infer-batch-{way}", tensor("FP32", numpy.arange(24, dtype="float32").reshape(4, 2, 3), binary))
        infer(f"infer-rank-8-{way}", tensor("UINT8", numpy.ones((1, 2, 1, 2, 1, 2, 1, 2), "uint8"), binary))
        infer(f"infer-empty-{way}", tensor("FP32", numpy.zeros((0, 4), "float32"), binary))
        infer(f"infer-10000-{way}", tensor("FP32", (numpy.arange(10_000, dtype="float32") % 64 / 4).reshape(100, 100), binary))
        infer(f"infer-tokens-{way}", *[tensor("INT64", numpy.arange(64, dtype="int64").reshape(1, 64), binary,
                    name) for name in ("input_ids", "attention_mask", "token_type_ids")], model="bert")
    infer("infer-image", tensor("UINT8", (numpy.arange(3072) % 251).astype("uint8").reshape(1, 32, 32, 3)))
    infer("infer-strided", tensor("FP32", numpy.arange(12, dtype="float32").reshape(3, 4).T))
    infer("infer-inputs-32", *[tensor("FP32", numpy.float32([i]), i % 2 == 0, f"input__{i}") for i in range(32)])
    for name in ("serving_default_x:0", "image/encoded", "conv1.weight", "input-1", "x"):
        infer(f"infer-name-{re.sub('[^a-z0-9]+', '-', name)}", tensor("FP32", numpy.float32([1]), name=name))
    llm = [tensor("BYTES", numpy.array([["What is AI?"]], dtype=object), False, "text_input"),
        tensor("INT32", numpy.int32([[20]]), False, "max_tokens"), tensor("BOOL", [[False]], False, "stream"),
        tensor("FP32", numpy.float32([[0.7]]), False, "temperature"),
        tensor("BYTES", numpy.array([["\n"]], dtype=object), False, "stop_words")]
    infer("infer-llm-ensemble", *llm, model="ensemble")


def options(recorder, client, triton, one, two):
    wanted = triton.InferRequestedOutput
    shapes = {
        "outputs-binary": {"outputs": [wanted("probabilities")]}, "outputs-json": {"outputs": [wanted("probabilities", binary_data=False)]},
        "outputs-mixed": {"outputs": [wanted("a", binary_data=True), wanted("b", binary_data=False), wanted("c")]},
        "outputs-classes": {"outputs": [wanted("probabilities", class_count=5)]},
        "outputs-classes-json": {"outputs": [wanted("p", binary_data=False, class_count=3)]},
        "id": {"request_id": "my-request-1"}, "id-uuid": {"request_id": "f47ac10b-58cc-4372-a567-0e02b2c3d479"},
        "id-words": {"request_id": "batch 7, row #12"}, "version": {"model_version": "3"}, "priority | priority": {"priority": 1},
        "timeout | priority": {"timeout": 500_000}, "priority-timeout | priority": {"priority": 2, "timeout": 1, "request_id": "9"},
        "sequence-start | sequence": {"sequence_id": 1001, "sequence_start": True}, "sequence-middle | sequence": {"sequence_id": 1001},
        "sequence-end | sequence": {"sequence_id": 1001, "sequence_end": True, "outputs": [wanted("o")]},
        "sequence-text | sequence": {"sequence_id": "session-a", "sequence_start": True, "sequence_end": True},
        "sequence-large | sequence": {"sequence_id": 2**64 - 1},
        "parameters": {"parameters": {"mode": "fast", "count": 3, "flag": True, "rate": 0.5}},
    }
    for name, fields in shapes.items():
        recorder.shape(f"infer-option-{name}", lambda: client.infer("resnet", [one], **fields))
    recorder.shape("infer-option-all | sequence priority",
        lambda: client.infer("resnet", [one, two], model_version="1", outputs=[wanted("o")], request_id="1", sequence_id=7,
            sequence_start=True, priority=1, timeout=10))
    recorder.shape("infer-model-name", lambda: client.infer("team-a/bert.base:v2", [one]))
