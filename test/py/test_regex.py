"""RegexFullMatch beside Python's engine: generated patterns, each with many texts. KAPELL_DRAWS sets how many patterns (times 10)."""

import os

import numpy as np
import onnx
from onnx import helper

import op_driver
from draws import strings

PATTERNS = 10 * int(os.environ.get("KAPELL_DRAWS", "20"))
ALPHABET = list("abABéö日-0_5 \n!x.]^")


def texts(rng, example):
    """Texts near |example|, and short ones of the patterns' letters."""
    near = [example, example * 2, example[::-1], example[1:], example[:-1], example.upper(), example + "\n", "\n" + example]
    for _ in range(8):
        cut = int(rng.integers(0, len(example) + 1))
        near.append(example[:cut] + str(rng.choice(ALPHABET)) + example[cut + int(rng.integers(0, 2)):])
    return near + ["".join(rng.choice(ALPHABET, int(rng.integers(0, 6)))) for _ in range(16)]


def test_beside_python(tmp_path):
    rng, cases = np.random.default_rng(7), []
    while len(cases) < PATTERNS:
        attrs, (drawn,) = strings.regex_full_match(rng, 20, "RegexFullMatch")
        example = max(drawn.reshape(-1), key=len, default="")
        x = np.array(texts(rng, example), dtype=object)
        graph = helper.make_graph([helper.make_node("RegexFullMatch", ["x"], ["y"], **attrs)], "regex",
                                  [helper.make_tensor_value_info("x", onnx.TensorProto.STRING, x.shape)],
                                  [helper.make_tensor_value_info("y", onnx.TensorProto.BOOL, x.shape)])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        path = tmp_path / f"{len(cases)}.onnx"
        onnx.save(op_driver.embed(model, [x]), path)
        cases.append((path, attrs, x, strings.regex_oracle(20, attrs, [x])))
    op_driver.run([c[0] for c in cases])
    wrong = []
    for path, attrs, x, wanted in cases:
        words = op_driver.agree(op_driver.read_out(path), wanted)
        if words:
            wrong.append(f"{attrs['pattern']!r}: {words.splitlines()[0]}; {x.tolist()}")
    assert not wrong, f"{len(wrong)} of {len(cases)} patterns:\n" + "\n".join(wrong[:5])
    assert sum(bool(w.any()) for *_, (w,) in cases) > len(cases) // 20, "hardly anything matches"
