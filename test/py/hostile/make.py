"""Small models for hostile cases, by onnx.helper without its checks, and helpers to say so in few words."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

F, I64, I32, STRING, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.STRING, TensorProto.BOOL


def info(name, dims=(2,), element=F):
    """A ValueInfoProto; |dims| None: no shape."""
    return helper.make_tensor_value_info(name, element, dims)


def node(op, inputs, outputs=("y",), name=None, domain="", **attrs):
    """A NodeProto named n, or |name|."""
    return helper.make_node(op, list(inputs), list(outputs), name=name or f"the_{op}", domain=domain, **attrs)


def const(name, value, dtype=None):
    """An initializer."""
    return numpy_helper.from_array(np.asarray(value, dtype), name)


def tensor(name, element, dims, raw=b"", **fields):
    """A TensorProto as wrong as wished."""
    t = TensorProto()
    t.name, t.data_type = name, element
    t.dims.extend(dims)
    if raw is not None:
        t.raw_data = raw
    for key, value in fields.items():
        getattr(t, key).extend(value)
    return t


def graph(nodes, inputs=None, outputs=None, constants=(), name="g", **more):
    """A GraphProto; defaults: input x, float[2]; output y of any type."""
    g = helper.make_graph(list(nodes), name, [info("x")] if inputs is None else list(inputs),
                          [helper.make_empty_tensor_value_info("y")] if outputs is None else list(outputs), list(constants))
    for key, value in more.items():
        getattr(g, key).extend(value)
    return g


def model(nodes, inputs=None, outputs=None, constants=(), opset=21, ir=10, functions=(), domains=(), **more):
    """The serialised model of graph(...)."""
    m = helper.make_model(graph(nodes, inputs, outputs, constants, **more), ir_version=ir, functions=list(functions))
    del m.opset_import[:]
    m.opset_import.append(helper.make_operatorsetid("", opset))
    for domain, version in domains:
        m.opset_import.append(helper.make_operatorsetid(domain, version))
    return m.SerializeToString()


def body(nodes, inputs, outputs, constants=(), name="body"):
    """A GraphProto for If, Loop and Scan; names stand for untyped values."""
    def typed(value):
        return helper.make_empty_tensor_value_info(value) if isinstance(value, str) else value
    return helper.make_graph(list(nodes), name, [typed(i) for i in inputs], [typed(o) for o in outputs], list(constants))


def function(name, inputs, outputs, nodes, attributes=(), domain="f"):
    """A FunctionProto of domain f that uses opset 21 and f."""
    return helper.make_function(domain, name, list(inputs), list(outputs), list(nodes),
                                [helper.make_operatorsetid("", 21), helper.make_operatorsetid("f", 1)], list(attributes))
