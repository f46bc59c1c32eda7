"""What single slots of libonnxruntime.so.1 say beside those of ONNX Runtime's own library: denotations of types, arena configurations, containers of
packed weights, threads that cannot be had, allocators that devices share.

As a program: test_dropin_slots.py LIBRARY MODEL prints {what: answer} as JSON; each library has a process of its own.
"""

import ctypes
import json
import pathlib
import subprocess
import sys

import ort_c
import pytest

S, INT, P = ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p
ARENA_KEYS = ["max_mem", "arena_extend_strategy", "initial_chunk_size_bytes", "max_dead_bytes_per_chunk", "initial_growth_chunk_size_bytes",
              "max_power_of_two_extend_bytes", "nonsense"]


def said_model():
    """A model whose types say what they are, sequences and their elements among them."""
    from onnx import helper

    def said(info, text):
        info.type.denotation = text
        return info

    def tensor(name):
        return helper.make_tensor_value_info(name, 1, ["N", 4])

    sequence = said(helper.make_tensor_sequence_value_info("q", 1, ["N", 4]), "LIST")
    sequence.type.sequence_type.elem_type.denotation = "AUDIO"
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("SequenceConstruct", ["y", "z"], ["q"])]
    graph = helper.make_graph(nodes, "said", [said(tensor("x"), "IMAGE"), tensor("z")], [said(tensor("y"), "TENSOR"), sequence])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


class Answers:
    def __init__(self, library, model):
        self.api, self.model, self.all = ort_c.Api(library), model, {}

    def note(self, what, call):
        try:
            self.all[what] = call()
        except ort_c.OrtError as error:
            self.all[what] = error.code

    def session(self, options, container=None, named="CreateSessionFromArray"):
        more = [container] if "Container" in named else []
        return self.api.make(named, self.env, self.model, S(len(self.model)), options, *more)

    def denotation(self, info):
        text, size = ctypes.c_char_p(), S()
        self.api.GetDenotationFromTypeInfo(info, ctypes.byref(text), ctypes.byref(size))
        return [text.value.decode(), size.value]

    def denotations(self):
        session = self.session(self.api.make("CreateSessionOptions"))
        infos = [self.api.make(f"SessionGet{which}TypeInfo", session, S(i)) for which in ("Input", "Output") for i in range(2)]
        element = self.api.make("GetSequenceElementType", self.api.make("CastTypeInfoToSequenceTypeInfo", infos[3]))
        return [self.denotation(info) for info in [*infos, element]]

    def arenas(self):
        for numbers in [(-1, -1, -1), (0, 0, 0), (1, 1, 1), (2, -1, -1), (-2, -1, -1), (-1, -2, -1), (-1, -1, -2)]:
            self.note(f"arena {numbers}", lambda n=numbers: bool(self.api.make("CreateArenaCfg", S(0), *map(INT, n)).value))
        for key in ARENA_KEYS:
            for value in (0, 1, 2, 2**64 - 1, 2**64 - 2):
                keys, values = (ctypes.c_char_p * 1)(key.encode()), (S * 1)(value)
                self.note(f"arena {key} = {value}", lambda k=keys, v=values: bool(self.api.make("CreateArenaCfgV2", k, v, S(1)).value))

    def threads(self):
        create = ctypes.CFUNCTYPE(P, P, P, P)(lambda *_: None)
        join = ctypes.CFUNCTYPE(None, P)(lambda _: None)
        for what, functions in {"no join": [("Create", create)], "no create": [("Join", join)], "no thread": [("Create", create), ("Join", join)]}.items():
            options = self.api.make("CreateSessionOptions")
            self.api.SetIntraOpNumThreads(options, 3)
            for which, function in functions:
                getattr(self.api, f"SessionOptionsSetCustom{which}ThreadFn")(options, function)
            self.note(what, lambda o=options: bool(self.session(o)))
        for text in (b"1", b"1;x", b"0;1", b"1-2;3,4"):
            options = self.api.make("CreateSessionOptions")
            self.api.SetIntraOpNumThreads(options, 3)
            self.api.AddSessionConfigEntry(options, b"session.intra_op_thread_affinities", text)
            self.note(f"affinities {text}", lambda o=options: bool(self.session(o)))

    def run(self):
        self.env = self.api.make("CreateEnv", 4, b"slots")
        self.note("denotations", self.denotations)
        self.arenas()
        self.threads()
        named = "CreateSessionFromArrayWithPrepackedWeightsContainer"
        self.note("no container", lambda: bool(self.session(self.api.make("CreateSessionOptions"), None, named)))
        count, devices = S(), P()
        self.api.GetEpDevices(self.env, ctypes.byref(devices), ctypes.byref(count))
        device = P(ctypes.cast(devices, ctypes.POINTER(P))[0])
        for call in ("CreateSharedAllocator", "ReleaseSharedAllocator"):
            more = [INT(0), None, ctypes.byref(P())] if call[0] == "C" else []
            self.note(call, lambda c=call, m=more: getattr(self.api, c)(self.env, device, INT(0), *m))
        return self.all


def answers_of(library, model):
    done = subprocess.run([sys.executable, __file__, library, model], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_slots(build_dir, preset, tmp_path):
    if preset != "release":
        pytest.skip("Python loads a sanitizer's library only when that is preloaded; test/dropin/ has the same slots under it")
    import onnxruntime

    model = tmp_path / "said.onnx"
    model.write_bytes(said_model())
    ours = answers_of(build_dir / "lib" / "libonnxruntime.so.1", model)
    real = answers_of(next(pathlib.Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")), model)
    assert ours == real
    assert real["denotations"][0] == ["IMAGE", 5] and len(real) > 50


if __name__ == "__main__":
    print(json.dumps(Answers(sys.argv[1], pathlib.Path(sys.argv[2]).read_bytes()).run()))
