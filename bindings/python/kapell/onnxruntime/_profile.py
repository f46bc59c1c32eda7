"""A session's profile in the form of ONNX Runtime's files: a list of events whose names end in _kernel_time, for programs that read those."""

import json
import re
import time

_NAMES = {"float32": "float", "float64": "double"}


def _shapes(text):
    """[{"float": [1, 8]}, ...] of "float32[1,8], int64[]"."""
    return [{_NAMES.get(kind, kind): [int(n) for n in dims.split(",") if n.lstrip("-").isdigit()]} for kind, dims in re.findall(r"(\w+)\[([^\]]*)\]", text)]


def _event(event, start_us):
    args = event.get("args", {})
    is_node = args.get("op", "partition") != "partition"
    before, _, behind = args.get("shapes", "").partition("->")
    more = {"op_name": args["op"], "provider": args.get("provider", ""), "kernel": args.get("kernel", ""),
            "input_type_shape": _shapes(before), "output_type_shape": _shapes(behind)} if is_node else {}
    return {"cat": "Node" if is_node else "Session", "pid": event.get("pid", 0), "tid": event.get("tid", 0), "dur": int(event.get("dur", 0)),
            "ts": max(int(event["ts"] - start_us), 0), "ph": "X", "name": event["name"] + "_kernel_time" * is_node, "args": more}


def write(session):
    """Writes the file, named after the prefix of the session's options and the time; gives the name."""
    start = session.get_profiling_start_time_ns() / 1000
    events = [_event(event, start) for event in session.profile()["traceEvents"] if event.get("ph") == "X"]
    now = time.time()
    name = f"{session.get_session_options().profile_file_prefix}_{time.strftime('%Y-%m-%d_%H-%M-%S', time.localtime(now))}_{int(now * 1000) % 1000:03d}.json"
    with open(name, "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(map(json.dumps, events)) + "\n]\n")
    return name
