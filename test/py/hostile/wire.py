"""Protobuf's wire format by hand, for what its library would not write."""

MODEL_GRAPH, GRAPH_NODE, GRAPH_INIT, NODE_ATTR, ATTR_T, ATTR_G = 7, 1, 5, 5, 5, 6


def varint(value):
    """|value| (up to 2^64-1) as a varint."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def key(field, kind):
    """The key of a field: kinds 0 varint, 1 64 bits, 2 bytes, 5 32 bits."""
    return varint(field << 3 | kind)


def number(field, value):
    """A varint field; negative as protobuf writes them."""
    return key(field, 0) + varint(value % (1 << 64))


def data(field, payload):
    """A length-delimited field."""
    payload = payload.encode() if isinstance(payload, str) else payload
    return key(field, 2) + varint(len(payload)) + payload


def opset(version=21, domain=""):
    """A model's opset import."""
    return data(8, (data(1, domain) if domain else b"") + number(2, version))


def model(graph, *more):
    """A model of IR 10 and opset 21 around the bytes of a graph."""
    return number(1, 10) + opset() + b"".join(more) + data(MODEL_GRAPH, graph)


def value_info(name, element=1, dims=(2,)):
    """A ValueInfoProto of a tensor."""
    shape = b"".join(data(1, number(1, d)) for d in dims)
    return data(1, name) + data(2, data(1, number(1, element) + data(2, shape)))


def relu_graph(*more):
    """x -> Relu -> y, and further fields."""
    return (data(1, data(1, "x") + data(2, "y") + data(3, "the_Relu") + data(4, "Relu")) + data(2, "g")
            + data(11, value_info("x")) + data(12, value_info("y")) + b"".join(more))


def fields(raw):
    """(start of the key, start of the payload, end, number, kind) of each field of a message."""
    at = 0
    while at < len(raw):
        start = at
        head, at = read(raw, at)
        kind = head & 7
        if kind == 0:
            payload, (_, at) = at, read(raw, at)
        elif kind == 2:
            size, payload = read(raw, at)
            at = payload + size
        else:
            payload, at = at, at + (8 if kind == 1 else 4)
        yield start, payload, at, head >> 3, kind


def read(raw, at):
    """A varint at |at|: its value and its end."""
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
