"""A client of ONNX Runtime's C API that uses libraries of providers, in a process of its own: they may crash, and stay loaded.

    hosting_run.py LIBONNXRUNTIME JOB.json RESULT.json

A job: {"libraries": {name: path}, "model": path or null, "inputs": {name: [dtype, shape, numbers]}, "outputs": [names],
"unregister_also": [names],
"select": [[provider, [device numbers], {option: text}]], "config": {key: text}, "unregister": bool, "by_name": [names], "policy": number,
"dynamic": {key: text}, "ask": provider, "threads": number that run at once}. The result has the devices,
the outputs, which provider got which nodes, the log, and errors as [code, message].
"""

import concurrent.futures
import ctypes
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from ort_c import Api, OrtError, Session  # noqa: E402

LOG = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p)
KINDS = {0: "CPU", 1: "GPU", 2: "NPU"}


def text(pointer):
    return ctypes.cast(pointer, ctypes.c_char_p).value.decode() if pointer else None


def pairs(api, kvps):
    keys, values, count = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_size_t()
    api.GetKeyValuePairs(ctypes.c_void_p(kvps), ctypes.byref(keys), ctypes.byref(values), ctypes.byref(count))
    read = ctypes.POINTER(ctypes.c_char_p)
    return {ctypes.cast(keys, read)[i].decode(): ctypes.cast(values, read)[i].decode() for i in range(count.value)}


def device_pointers(api, env):
    array, count = ctypes.POINTER(ctypes.c_void_p)(), ctypes.c_size_t()
    api.GetEpDevices(env, ctypes.byref(array), ctypes.byref(count))
    return [array[i] for i in range(count.value)]


def describe(api, device):
    lent = ctypes.c_void_p(device)
    hardware = ctypes.c_void_p(api.EpDevice_Device(lent))
    return {"name": text(api.EpDevice_EpName(lent)), "vendor": text(api.EpDevice_EpVendor(lent)), "metadata": pairs(api, api.EpDevice_EpMetadata(lent)),
            "options": pairs(api, api.EpDevice_EpOptions(lent)), "kind": KINDS[(api.HardwareDevice_Type(hardware) or 0) & 0xffffffff],
            "vendor_id": (api.HardwareDevice_VendorId(hardware) or 0) & 0xffffffff, "hardware": text(api.HardwareDevice_Vendor(hardware)),
            "device_metadata": pairs(api, api.HardwareDevice_Metadata(hardware)), "memory": bool(api.EpDevice_MemoryInfo(lent, 0))}


def provider_names(api):
    names, count = ctypes.POINTER(ctypes.c_char_p)(), ctypes.c_int()
    api.GetAvailableProviders(ctypes.byref(names), ctypes.byref(count))
    found = [names[i].decode() for i in range(count.value)]
    api.ReleaseAvailableProviders(names, count)
    return found


def assignment(api, session):
    """{provider: [operators]}"""
    graphs, count = ctypes.POINTER(ctypes.c_void_p)(), ctypes.c_size_t()
    api.Session_GetEpGraphAssignmentInfo(session, ctypes.byref(graphs), ctypes.byref(count))
    found = {}
    for i in range(count.value):
        graph = ctypes.c_void_p(graphs[i])
        nodes, node_count = ctypes.POINTER(ctypes.c_void_p)(), ctypes.c_size_t()
        api.EpAssignedSubgraph_GetNodes(graph, ctypes.byref(nodes), ctypes.byref(node_count))
        operators = [text(api.make("EpAssignedNode_GetOperatorType", ctypes.c_void_p(nodes[k])).value) for k in range(node_count.value)]
        found.setdefault(text(api.make("EpAssignedSubgraph_GetEpName", graph).value), []).extend(operators)
    return found


def io_devices(api, session, kind):
    """The providers of the devices that inputs or outputs are for."""
    count = api.number(f"SessionGet{kind}Count", session)
    devices = (ctypes.c_void_p * count)()
    api.__getattr__(f"SessionGetEpDeviceFor{kind}s")(session, devices, ctypes.c_size_t(count))
    return [text(api.EpDevice_EpName(ctypes.c_void_p(device))) for device in devices]


def incompatibility(api, env, provider):
    """[reasons, error code, notes] of each hardware device."""
    count = api.number("GetNumHardwareDevices", env)
    devices = (ctypes.c_void_p * count)()
    api.GetHardwareDevices(env, devices, ctypes.c_size_t(count))
    found = []
    for device in devices:
        details = api.make("GetHardwareDeviceEpIncompatibilityDetails", env, provider.encode(), ctypes.c_void_p(device))
        found.append([api.number("DeviceEpIncompatibilityDetails_GetReasonsBitmask", details, kind=ctypes.c_uint32),
                      api.number("DeviceEpIncompatibilityDetails_GetErrorCode", details, kind=ctypes.c_int32),
                      text(api.make("DeviceEpIncompatibilityDetails_GetNotes", details).value)])
        api.ReleaseDeviceEpIncompatibilityDetails(details)
    return found


def compatibility(api, env, provider, info):
    devices = [device for device in device_pointers(api, env) if describe(api, device)["name"] == provider]
    array = (ctypes.c_void_p * len(devices))(*devices)
    return api.number("GetModelCompatibilityForEpDevices", array, ctypes.c_size_t(len(devices)), info.encode(), kind=ctypes.c_int)


class Hosted(Session):
    """A session with providers of libraries."""

    def __init__(self, api, env, job):
        self.api, self.env = api, env
        self.options = api.make("CreateSessionOptions")
        self.allocator = api.make("GetAllocatorWithDefaultOptions")
        for key, value in {"session.record_ep_graph_assignment_info": "1", **job.get("config", {})}.items():
            api.AddSessionConfigEntry(self.options, key.encode(), value.encode())
        for provider, numbers, options in job.get("select", []):
            own = [device for device in device_pointers(api, env) if describe(api, device)["name"] == provider]
            chosen = (ctypes.c_void_p * len(numbers))(*[own[i] for i in numbers])
            keys = (ctypes.c_char_p * len(options))(*[key.encode() for key in options])
            values = (ctypes.c_char_p * len(options))(*[value.encode() for value in options.values()])
            api.SessionOptionsAppendExecutionProvider_V2(self.options, env, chosen, ctypes.c_size_t(len(numbers)), keys, values,
                                                         ctypes.c_size_t(len(options)))
        for provider in job.get("by_name", []):
            api.SessionOptionsAppendExecutionProvider(self.options, provider.encode(), None, None, ctypes.c_size_t(0))
        if "policy" in job:
            api.SessionOptionsSetEpSelectionPolicy(self.options, job["policy"])
        self.session = api.make("CreateSession", env, str(job["model"]).encode(), self.options)

    def close(self):
        self.api.ReleaseSession(self.session)
        self.api.ReleaseSessionOptions(self.options)


def run(api, job, result):
    note = LOG(lambda param, severity, category, name, place, message: result["log"].append([severity, message.decode(errors="replace")]))
    api.keep.append(note)
    env = api.make("CreateEnvWithCustomLogger", note, None, job.get("severity", 2), b"hosting")
    for name, path in job["libraries"].items():
        api.RegisterExecutionProviderLibrary(env, name.encode(), str(path).encode())
    result["devices"] = [describe(api, device) for device in device_pointers(api, env)]
    result["providers"] = provider_names(api)
    if "ask" in job:
        result["incompatibility"] = incompatibility(api, env, job["ask"])
        result["compatibility"] = [compatibility(api, env, job["ask"], info) for info in ("mine", "another's")]
    if job.get("model"):
        for _ in range(job.get("sessions", 1)):
            session = Hosted(api, env, job)
            inputs = {name: np.array(numbers, dtype).reshape(shape) for name, (dtype, shape, numbers) in job["inputs"].items()}
            def repeat(inputs=inputs, session=session):
                for _ in range(job.get("runs", 1)):
                    result["outputs"] = [array.tolist() for array in session.run(inputs, job["outputs"])]
            with concurrent.futures.ThreadPoolExecutor(job.get("threads", 1)) as pool:
                for done in [pool.submit(repeat) for _ in range(job.get("threads", 1))]:
                    done.result()
            for key, value in job.get("dynamic", {}).items():
                api.SetEpDynamicOptions(session.session, (ctypes.c_char_p * 1)(key.encode()), (ctypes.c_char_p * 1)(value.encode()), ctypes.c_size_t(1))
            result["io"] = [io_devices(api, session.session, kind) for kind in ("Input", "Output")]
            result["assignment"] = assignment(api, session.session)
            session.close()
    if job.get("unregister", True):
        for name in job["libraries"]:
            api.UnregisterExecutionProviderLibrary(env, name.encode())
        for name in job.get("unregister_also", []):
            api.UnregisterExecutionProviderLibrary(env, name.encode())
        result["left"] = [describe(api, device)["name"] for device in device_pointers(api, env)]
    api.ReleaseEnv(env)


def main():
    runtime, job_file, result_file = sys.argv[1:]
    result = {"log": []}
    try:
        run(Api(runtime, 29), json.loads(pathlib.Path(job_file).read_text()), result)
    except OrtError as error:
        result["error"] = [error.code, str(error)]
    pathlib.Path(result_file).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
