"""What test/tools/onnx_dump.c prints for a model, computed with the onnx package instead."""

import math

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

SIX_BIT = {TensorProto.FLOAT6E2M3, TensorProto.FLOAT6E3M2}
FOUR_BIT = {TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1}
TWO_BIT = {TensorProto.INT2, TensorProto.UINT2}
KINDS = {None: 0, "tensor_type": 1, "sparse_tensor_type": 2, "sequence_type": 3, "map_type": 4, "optional_type": 5,
         "opaque_type": 6}


def memory_bytes(tensor, base_dir=""):
    """The tensor's elements in the layout of Kapell's memory (include/kapell/types.h)."""
    array = numpy_helper.to_array(tensor, base_dir).reshape(-1)
    kind = tensor.data_type
    if kind in FOUR_BIT or kind in TWO_BIT:
        per_byte, bits = (2, 4) if kind in FOUR_BIT else (4, 2)
        codes = np.zeros(math.ceil(array.size / per_byte) * per_byte, np.uint8)
        codes[:array.size] = array.view(np.uint8) & ((1 << bits) - 1)
        return sum(codes[i::per_byte] << np.uint8(i * bits) for i in range(per_byte)).astype(np.uint8).tobytes()
    if kind in SIX_BIT:
        return (array.view(np.uint8) & 0x3F).tobytes()
    return array.tobytes()


def entries(items):
    return [{"key": entry.key, "value": entry.value} for entry in items]


def tensor_json(tensor, base_dir=""):
    result = {"name": tensor.name, "doc_string": tensor.doc_string, "data_type": tensor.data_type, "dims": list(tensor.dims),
              "external": int(tensor.data_location == TensorProto.EXTERNAL), "external_data": entries(tensor.external_data),
              "metadata_props": entries(tensor.metadata_props)}
    if tensor.data_type == TensorProto.STRING:
        result["strings"] = [text.hex() for text in tensor.string_data]
    else:
        result["bytes"] = memory_bytes(tensor, base_dir).hex()
    return result


def dense_bytes(sparse):
    values = numpy_helper.to_array(sparse.values)
    indices = numpy_helper.to_array(sparse.indices)
    dense = np.zeros(tuple(sparse.dims), values.dtype)
    if indices.ndim == 1:
        dense.reshape(-1)[indices] = values
    else:
        dense[tuple(indices.T)] = values
    return dense.tobytes()


def sparse_json(sparse):
    return {"values": tensor_json(sparse.values), "indices": tensor_json(sparse.indices), "dims": list(sparse.dims),
            "dense": dense_bytes(sparse).hex()}


def dim_json(dim):
    value = dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else -1
    return {"dim_value": value, "dim_param": dim.dim_param, "denotation": dim.denotation}


def type_json(proto):
    which = proto.WhichOneof("value")
    result = {"kind": KINDS[which], "element": 0, "has_shape": 0, "dim": [], "denotation": proto.denotation,
              "opaque_domain": "", "opaque_name": ""}
    member = getattr(proto, which) if which else None
    if which in ("tensor_type", "sparse_tensor_type"):
        result["element"] = member.elem_type
        result["has_shape"] = int(member.HasField("shape"))
        result["dim"] = [dim_json(dim) for dim in member.shape.dim]
    elif which in ("sequence_type", "optional_type"):
        result["inner"] = type_json(member.elem_type)
    elif which == "map_type":
        result["element"] = member.key_type
        result["inner"] = type_json(member.value_type)
    elif which == "opaque_type":
        result["opaque_domain"] = member.domain
        result["opaque_name"] = member.name
    return result


def value_info_json(info):
    return {"name": info.name, "doc_string": info.doc_string, "type": type_json(info.type),
            "metadata_props": entries(info.metadata_props)}


def float_json(value):
    """C's %a, with numpy's float32 bits."""
    return float.hex(float(np.float32(value)))


ATTRIBUTES = {
    AttributeProto.FLOAT: ("f", float_json), AttributeProto.INT: ("i", int), AttributeProto.STRING: ("s", bytes.hex),
    AttributeProto.TENSOR: ("t", tensor_json), AttributeProto.GRAPH: ("g", lambda g: graph_json(g)),
    AttributeProto.SPARSE_TENSOR: ("sparse_tensor", sparse_json), AttributeProto.TYPE_PROTO: ("tp", type_json),
    AttributeProto.FLOATS: ("floats", float_json), AttributeProto.INTS: ("ints", int),
    AttributeProto.STRINGS: ("strings", bytes.hex), AttributeProto.TENSORS: ("tensors", tensor_json),
    AttributeProto.GRAPHS: ("graphs", lambda g: graph_json(g)), AttributeProto.SPARSE_TENSORS: ("sparse_tensors", sparse_json),
    AttributeProto.TYPE_PROTOS: ("type_protos", type_json),
}


def infer_attribute(attribute):
    """The type of an attribute that does not say it (IR version 1)."""
    if attribute.type:
        return attribute.type
    for kind, (field, _) in ATTRIBUTES.items():
        present = len(getattr(attribute, field)) if field.endswith("s") and field != "s" else attribute.HasField(field)
        if present:
            return kind
    return 0


def attribute_json(attribute):
    kind = infer_attribute(attribute)
    result = {"name": attribute.name, "ref_attr_name": attribute.ref_attr_name, "doc_string": attribute.doc_string, "type": kind}
    if attribute.ref_attr_name:
        return result
    result["value"] = None
    if kind:
        field, convert = ATTRIBUTES[kind]
        value = getattr(attribute, field)
        if field.endswith("s") and field != "s":
            result["list"] = [convert(item) for item in value]
        else:
            result["value"] = convert(value)
    return result


def sharding_json(spec):
    return {"tensor_name": spec.tensor_name, "device": list(spec.device),
            "index_to_device_group_map": [{"key": g.key, "value": list(g.value)} for g in spec.index_to_device_group_map],
            "sharded_dim": [{"axis": dim.axis, "simple_sharding": [
                {"dim_value": s.dim_value if s.HasField("dim_value") and s.dim_value >= 0 else -1, "dim_param": s.dim_param,
                 "num_shards": s.num_shards} for s in dim.simple_sharding]} for dim in spec.sharded_dim]}


def node_json(node):
    return {"name": node.name, "op_type": node.op_type, "domain": node.domain, "overload": node.overload,
            "doc_string": node.doc_string, "input": list(node.input), "output": list(node.output),
            "attribute": [attribute_json(a) for a in node.attribute], "metadata_props": entries(node.metadata_props),
            "device_configurations": [
                {"configuration_id": d.configuration_id, "sharding_spec": [sharding_json(s) for s in d.sharding_spec],
                 "pipeline_stage": d.pipeline_stage} for d in node.device_configurations]}


def graph_json(graph, base_dir=""):
    return {"name": graph.name, "doc_string": graph.doc_string, "node": [node_json(n) for n in graph.node],
            "initializer": [tensor_json(t, base_dir) for t in graph.initializer],
            "sparse_initializer": [sparse_json(s) for s in graph.sparse_initializer],
            "input": [value_info_json(i) for i in graph.input], "output": [value_info_json(i) for i in graph.output],
            "value_info": [value_info_json(i) for i in graph.value_info],
            "quantization_annotation": [
                {"tensor_name": a.tensor_name, "quant_parameter_tensor_names": entries(a.quant_parameter_tensor_names)}
                for a in graph.quantization_annotation],
            "metadata_props": entries(graph.metadata_props)}


def opsets(items):
    return [{"domain": item.domain, "version": item.version} for item in items]


def function_json(function):
    return {"name": function.name, "domain": function.domain, "overload": function.overload,
            "doc_string": function.doc_string, "input": list(function.input), "output": list(function.output),
            "attribute": list(function.attribute),
            "attribute_proto": [attribute_json(a) for a in function.attribute_proto],
            "node": [node_json(n) for n in function.node], "opset_import": opsets(function.opset_import),
            "value_info": [value_info_json(i) for i in function.value_info],
            "metadata_props": entries(function.metadata_props)}


def model_json(model: onnx.ModelProto, base_dir=""):
    return {"ir_version": model.ir_version, "producer_name": model.producer_name,
            "producer_version": model.producer_version, "domain": model.domain, "model_version": model.model_version,
            "doc_string": model.doc_string, "opset_import": opsets(model.opset_import),
            "graph": graph_json(model.graph, base_dir), "functions": [function_json(f) for f in model.functions],
            "metadata_props": entries(model.metadata_props),
            "training_info": [
                {"initialization": graph_json(t.initialization), "algorithm": graph_json(t.algorithm),
                 "initialization_binding": entries(t.initialization_binding), "update_binding": entries(t.update_binding)}
                for t in model.training_info],
            "configuration": [{"name": c.name, "num_devices": c.num_devices, "device": list(c.device)}
                              for c in model.configuration]}
