"""External data: paths that lead out, links, FIFOs, devices, offsets and lengths that do not fit, and the untrusted mode's rules."""

import os
import socket

from .base import Case
from .make import F, STRING, model, node, tensor

DATA = {"data.bin": bytes(64)}


def external(entries, dims=(2,), element=F):
    """A model that adds the external tensor 'w' with these entries."""
    t = tensor("w", element, dims, None)
    t.data_location = 1
    for key, value in entries.items():
        t.external_data.add(key=key, value=str(value))
    return model([node("Add", ["x", "w"])], constants=[t])


def case(name, entries, words=("'w'",), runs=False, files=None, **more):
    """A case whose model is opened by its path."""
    code = more.pop("code", "EXTERNAL_DATA" if runs is False else None)
    element, dims = more.pop("element", F), more.pop("dims", (2,))
    return Case(name, external(entries, dims, element), words, runs, code, files=DATA if files is None else files, open="file", **more)


def paths():
    for tag, location in {"up": "../secret", "up_inside": "a/../../secret", "up_back": "a/../data.bin", "up_only": "..", "up_end": "a/..",
                          "absolute": "/etc/passwd", "absolute_dev": "/dev/zero", "proc": "/proc/self/mem", "double_slash": "//etc/passwd",
                          "empty": "", "dot": ".", "slash": "data.bin/", "missing": "no.bin", "missing_folder": "no/data.bin",
                          "through_file": "data.bin/x", "long": "x" * 5000, "long_path": "a/" * 3000 + "x", "backslash": "..\\secret",
                          "control": "\x01identity", "tilde": "~/secret", "url": "file:///x", "star": "*", "newline": "a\nb"}.items():
        yield case(f"path_{tag}", {"location": location})
    yield case("path_dot_slash", {"location": "./data.bin"}, runs=True)
    yield case("path_folder", {"location": "sub/data.bin"}, runs=True, files={"sub/data.bin": bytes(8)})
    yield case("path_double_inside", {"location": "sub//data.bin"}, runs=True, files={"sub/data.bin": bytes(8)})
    yield case("no_location", {"offset": 0}, ("'w'", "location"))
    yield case("no_entries", {}, ("'w'", "location"))
    yield Case("no_folder", external({"location": "data.bin"}), ("'w'", "folder"), code="EXTERNAL_DATA", files=DATA)
    yield Case("given_folder", external({"location": "data.bin"}), runs=True, files=DATA, options={"external_folder": "HOME"})
    yield Case("given_folder_missing", external({"location": "data.bin"}), ("nowhere",), options={"external_folder": "HOME/nowhere"})
    yield Case("given_folder_file", external({"location": "data.bin"}), ("folder",), files=DATA, options={"external_folder": "HOME/data.bin"})


def link(target):
    return lambda path: os.symlink(target, path)


def kinds():
    def unix_socket(path):
        here = os.getcwd()
        os.chdir(path.parent)
        try:
            socket.socket(socket.AF_UNIX).bind(path.name)
        finally:
            os.chdir(here)
    location = {"location": "it"}
    yield case("fifo", location, ("'w'", "FIFO"), files={"it": os.mkfifo})
    yield case("socket", location, files={"it": unix_socket})
    yield case("folder", location, ("'w'", "folder|Is a directory"), files={"it/x": b""})
    for name in ("zero", "full", "tty"):  # devices themselves, not links to them
        yield case(f"device_{name}", {"location": name}, ("'w'", "device|open"), options={"external_folder": "/dev"})
    yield case("untrusted_fifo", location, ("'w'", "FIFO"), files={"it": os.mkfifo}, options={"untrusted": 1})
    yield case("unreadable_nothing", location, files={"it": b""})
    for tag, target in {"out": "../../../../../../../../../etc/passwd", "absolute": "/etc/passwd", "dev_zero": "/dev/zero", "dev_tty": "/dev/tty",
                        "proc": "/proc/self/environ", "self": "it", "gone": "nowhere", "up": "..", "parent": "../other"}.items():
        yield case(f"link_{tag}", location, files={"it": link(target)})
    yield case("link_chain", {"location": "l0"}, files={f"l{i}": link(f"l{i + 1}") for i in range(100)})
    yield case("link_ring", {"location": "a"}, files={"a": link("b"), "b": link("a")})
    yield case("link_folder_out", {"location": "d/passwd"}, files={"d": link("/etc")})
    yield case("link_folder_up", {"location": "d/x"}, files={"d": link("..")})
    inside = {"data.bin": bytes(8), "it": link("data.bin")}
    yield case("link_inside", location, runs=True, files=inside)
    yield case("link_inside_folder", {"location": "d/data.bin"}, runs=True, files={"sub/data.bin": bytes(8), "d": link("sub")})
    yield case("link_allowed", {"location": "it"}, runs=True, files={"out/data.bin": bytes(8), "it": link("out/data.bin")},
               options={"link_folder": "HOME/out"})
    strict = {"untrusted": 1}
    yield case("untrusted_plain", {"location": "data.bin"}, runs=True, options=strict)
    yield case("untrusted_link", location, ("'w'", "symbolic link"), files=inside, options=strict)
    yield case("untrusted_link_folder", {"location": "d/data.bin"}, ("'w'", "symbolic link"),
               files={"sub/data.bin": bytes(8), "d": link("sub")}, options=strict)
    yield case("untrusted_link_allowed", location, runs=True, files=inside, options={**strict, "link_folder": "HOME"})
    hard = {"data.bin": bytes(8), "it": lambda path: os.link(path.parent / "data.bin", path)}
    yield case("hard_link", location, runs=True, files=hard)
    yield case("untrusted_hard_link", location, ("'w'", "hard link"), files=hard, options=strict)
    yield case("untrusted_hard_link_allowed_links", location, ("'w'", "hard link"), files=hard, options={**strict, "link_folder": "HOME"})
    yield Case("untrusted_no_folder", external({"location": "data.bin"}), ("'w'",), code="EXTERNAL_DATA", files=DATA, options=strict)


def numbers():
    for tag, more in {"offset_end": {"offset": 64}, "offset_near": {"offset": 60}, "offset_over": {"offset": 1 << 40},
                      "offset_max": {"offset": (1 << 64) - 1}, "offset_2_64": {"offset": 1 << 64}, "offset_wraps": {"offset": (1 << 64) - 4},
                      "offset_negative": {"offset": -8}, "offset_text": {"offset": "zero"}, "offset_empty": {"offset": ""},
                      "offset_hex": {"offset": "0x10"}, "offset_space": {"offset": " 0"}, "offset_float": {"offset": "0.0"},
                      "length_short": {"length": 4}, "length_long": {"length": 12}, "length_zero": {"length": 0},
                      "length_max": {"length": (1 << 64) - 1}, "length_negative": {"length": -1}, "length_text": {"length": "eight"},
                      "length_huge_text": {"length": "9" * 3000}, "checksum": {"checksum": "not hex"}, "checksum_empty": {"checksum": ""}}.items():
        yield case(f"number_{tag}", {"location": "data.bin", **more})
    yield case("number_leading_zeros", {"location": "data.bin", "offset": "0008", "length": "08"}, runs=True)
    yield case("number_unknown_entry", {"location": "data.bin", "frob": "1"}, runs=None)
    yield case("number_odd_offset", {"location": "data.bin", "offset": 3}, runs=True)
    yield case("dims_huge", {"location": "data.bin"}, dims=(1 << 40,))
    yield case("dims_overflow", {"location": "data.bin"}, dims=(1 << 40, 1 << 40), code=None)
    yield case("strings", {"location": "data.bin"}, element=STRING, code=None)
    yield case("file_short", {"location": "data.bin"}, files={"data.bin": bytes(7)})
    yield case("file_empty", {"location": "data.bin"}, files={"data.bin": b""})

    def hole(path):
        with open(path, "wb") as file:
            file.truncate(1 << 42)
    try_hole = {"data.bin": hole}
    yield case("hole_end", {"location": "data.bin", "offset": (1 << 42) - 8}, runs=None, files=try_hole)
    for op in ("ReduceMax", "ReduceSum", "Relu", "NonZero"):
        t = tensor("w", F, (1 << 39,), None)
        t.data_location = 1
        t.external_data.add(key="location", value="data.bin")
        yield Case(f"hole_{op}", model([node(op, ["w"])], [], constants=[t]), ("'w'", "limit"), code="LIMIT", files=try_hole, open="file",
                   options={"untrusted": 1, "run_timeout_ns": 300_000_000, "open_timeout_ns": 400_000_000, "fold_ns": 100_000_000,
                            "max_memory": 200 << 20})
    many = model([node("Relu", ["x"])], constants=[_tensor(i) for i in range(3000)])
    yield Case("many_files_missing", many, ("'w0'",), code="EXTERNAL_DATA", open="file")


def _tensor(i):
    t = tensor(f"w{i}", F, (2,), None)
    t.data_location = 1
    t.external_data.add(key="location", value=f"file{i}")
    return t


def model_files():
    plain = model([node("Relu", ["x"])])
    yield Case("model_fifo", None, ("FIFO",), code="IO", files={"model.onnx": os.mkfifo}, open="file")
    yield Case("model_missing", None, ("model.onnx",), code="NOT_FOUND", open="file")
    yield Case("model_folder", None, ("folder",), code="IO", files={"model.onnx/x": b""}, open="file")
    yield Case("model_dev_zero", None, ("device",), code="IO", files={"model.onnx": link("/dev/zero")}, open="file")
    yield Case("model_dev_null", None, (), code="IO", files={"model.onnx": link("/dev/null")}, open="file")
    yield Case("model_link_ring", None, (), files={"model.onnx": link("model.onnx")}, open="file")
    yield Case("model_proc_mem", None, (), files={"model.onnx": link("/proc/self/mem")}, open="file")
    yield Case("model_by_link", None, runs=True, files={"real": plain, "model.onnx": link("real")}, open="file", options={"untrusted": 1})

    def hole(path):
        with open(path, "wb") as file:
            file.truncate(1 << 42)
    yield Case("model_hole", None, (), files={"model.onnx": hole}, open="file", options={"open_timeout_ns": 500_000_000})


def cases():
    for part in (paths, kinds, numbers, model_files):
        yield from part()
