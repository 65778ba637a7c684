"""tritonclient over HTTP against the echo tensor model."""
import time

import numpy
import tritonclient.http
from tritonclient.utils import InferenceServerException

from client_cases.case import case


def client_of(gateway):
    options = {"ca_certs": gateway.authority}
    return tritonclient.http.InferenceServerClient(gateway.address, ssl=True, ssl_options=options, ssl_context_factory=None)


def tensor_of(name, rows, binary=True):
    values = numpy.array(rows, dtype=numpy.float32)
    tensor = tritonclient.http.InferInput(name, values.shape, "FP32")
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


def cases(gateway):
    client, headers = client_of(gateway), gateway.headers
    time.sleep(2)  # the burst before this used the quota up
    case("triton live and ready", client.is_server_live(headers=headers) and client.is_server_ready(headers=headers))
    metadata = client.get_model_metadata("echo-tensor", headers=headers)
    case("triton metadata", metadata["inputs"][0]["shape"] == [-1, 4])
    for binary in (False, True):
        tensor = tensor_of("input", [[5.1, 3.5, 1.4, 0.2]], binary)
        wanted = tritonclient.http.InferRequestedOutput("probabilities", binary_data=binary)
        result = client.infer("echo-tensor", [tensor], outputs=[wanted], headers=headers).as_numpy("probabilities")
        case(f"triton infer {'binary' if binary else 'JSON'}", abs(result.sum() - 1) < 1e-5, result)
    for packing in ("gzip", "deflate"):
        tensor = tensor_of("input", [[5.1, 3.5, 1.4, 0.2]])
        own = dict(headers)  # the library adds to them
        result = client.infer("echo-tensor", [tensor], headers=own, request_compression_algorithm=packing)
        case(f"triton infer packed by {packing}", abs(result.as_numpy("probabilities").sum() - 1) < 1e-5, result)
    try:
        client.infer("echo-tensor", [tensor_of("input", [[1, numpy.nan, 1, 1]])], headers=headers)
        case("triton NaN", False)
    except InferenceServerException as error:
        case("triton NaN", "non-finite value at index 1" in str(error), error)
