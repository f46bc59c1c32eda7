"""dropin_chain_run.py LIBRARY MODEL RUNS [key=value...]: opens a model through ONNX Runtime's C API and runs it RUNS times on the same input.

Prints a JSON list: {"error": code, "message": text} or {"y": numbers} for opening (null where it went well) and each run. With pairs, the program
itself asks for the mock provider with these options. What the library logs is on standard error.
"""

import ctypes
import json
import sys

import numpy as np

from ort_c import Api, OrtError

X = np.array([[1, -2, 3.5], [0, 100, 1e-3]], np.float32)


def texts(words):
    return (ctypes.c_char_p * len(words))(*[word.encode() for word in words])


class Client:
    def __init__(self, library, model, pairs):
        self.api = Api(library)
        self.env = self.api.make("CreateEnv", 2, b"client")
        options = self.api.make("CreateSessionOptions")
        if pairs:
            keys, values = zip(*[pair.split("=", 1) for pair in pairs])
            self.api.SessionOptionsAppendExecutionProvider(options, b"MockExecutionProvider", texts(keys), texts(values), ctypes.c_size_t(len(keys)))
        self.session = self.api.make("CreateSession", self.env, model.encode(), options)

    def run(self):
        info = self.api.make("CreateCpuMemoryInfo", 0, 0)
        x = self.api.make("CreateTensorWithDataAsOrtValue", info, X.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(X.nbytes), (ctypes.c_int64 * 2)(*X.shape),
                          ctypes.c_size_t(2), 1)
        y = ctypes.c_void_p()
        self.api.Run(self.session, None, texts("x"), ctypes.byref(x), ctypes.c_size_t(1), texts("y"), ctypes.c_size_t(1), ctypes.byref(y))
        made = np.empty_like(X)
        ctypes.memmove(made.ctypes.data, self.api.make("GetTensorMutableData", y), made.nbytes)
        return made.tolist()


def attempt(call):
    try:
        return call()
    except OrtError as error:
        return {"error": error.code, "message": str(error)}


def main():
    said = []
    client = attempt(lambda: Client(sys.argv[1], sys.argv[2], sys.argv[4:]))
    failed = isinstance(client, dict)
    said.append(client if failed else None)
    for _ in range(0 if failed else int(sys.argv[3])):
        y = attempt(client.run)
        said.append(y if isinstance(y, dict) else {"y": y})
    print(json.dumps(said))


if __name__ == "__main__":
    main()
