"""Operators that take sparse tensors, which draws cannot carry: com.microsoft's SparseToDenseMatMul, through the public API."""

import ctypes as C

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import kapell_c
from draws.base import array


def sparse(rng, name, shape, dtype, flat):
    """A SparseTensorProto of that name, and the same as an array."""
    dense = np.zeros(shape, dtype)
    places = np.sort(rng.permutation(dense.size)[:int(rng.integers(0, dense.size + 1))])
    dense.reshape(-1)[places] = array(rng, [len(places)], dtype)
    indices = places if flat else np.stack(np.unravel_index(places, shape), axis=1)
    values = numpy_helper.from_array(dense.reshape(-1)[places], name)
    return helper.make_sparse_tensor(values, numpy_helper.from_array(indices.astype(np.int64), name + "_at"), shape), dense


def model_with_input(graph, a):
    """The same graph with its sparse matrix as an input."""
    del graph.sparse_initializer[:]
    graph.input.insert(0, helper.make_sparse_tensor_value_info("a", helper.np_dtype_to_tensor_dtype(a.dtype), a.shape))
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])


def sparse_value(proto, shape):
    """A kapell_value in coordinates."""
    values, indices = (kapell_c.Value.of(numpy_helper.to_array(t)) for t in (proto.values, proto.indices))
    out = C.c_void_p()
    kapell_c._check(C.c_void_p(kapell_c._lib.kapell_sparse_create(  # pylint: disable=protected-access
        C.c_void_p(values.handle), C.c_void_p(indices.handle), (C.c_int64 * 2)(*shape), C.c_int32(2), C.byref(out))).value)
    return kapell_c.Value(out.value, (values, indices))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.uint32, np.uint64])
def test_sparse_to_dense_product(dtype):
    rng = np.random.default_rng(np.dtype(dtype).num)
    for draw in range(30):
        m, k, n = (int(rng.integers(1, 7)) for _ in range(3))
        attrs = {"transA": int(rng.integers(2)), "transB": int(rng.integers(2)), "alpha": 2.0}
        proto, a = sparse(rng, "a", [k, m] if attrs["transA"] else [m, k], dtype, draw % 2)
        b = array(rng, [n, k] if attrs["transB"] else [k, n], dtype)
        info = helper.make_tensor_value_info("b", helper.np_dtype_to_tensor_dtype(b.dtype), b.shape)
        graph = helper.make_graph([helper.make_node("SparseToDenseMatMul", ["a", "b"], ["y"], domain="com.microsoft", **attrs)], "sparse", [info],
                                  [helper.make_empty_tensor_value_info("y")], sparse_initializer=[proto])
        model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
        got = kapell_c.Session(model.SerializeToString()).run({"b": b})[0]
        given = model_with_input(graph, a)
        again = kapell_c.Session(given.SerializeToString()).run({"a": sparse_value(proto, a.shape), "b": b})[0]
        wanted = (a.T if attrs["transA"] else a) @ (b.T if attrs["transB"] else b) * np.asarray(2, dtype)
        for result in (got, again):
            assert result.dtype == dtype and np.allclose(result, wanted, rtol=1e-4, atol=1e-5)


def test_indices_outside_are_refused():
    values = helper.make_tensor("a", TensorProto.FLOAT, [1], [1.0])
    proto = helper.make_sparse_tensor(values, helper.make_tensor("at", TensorProto.INT64, [1, 2], [2, 0]), [2, 2])
    graph = helper.make_graph([helper.make_node("SparseToDenseMatMul", ["a", "b"], ["y"], domain="com.microsoft")], "sparse",
                              [helper.make_tensor_value_info("b", TensorProto.FLOAT, [2, 2])], [helper.make_empty_tensor_value_info("y")],
                              sparse_initializer=[proto])
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
    with pytest.raises(kapell_c.KapellError):
        kapell_c.Session(model.SerializeToString()).run({"b": np.ones([2, 2], np.float32)})
