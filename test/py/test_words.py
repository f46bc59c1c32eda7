"""Attributes whose text is one of a few words: another word is an error, in every operator of every domain and in each version."""

import re
import zlib

import draws
import draws.base
import numpy as np
import onnx
import op_driver
from op_driver import ROOT
from test_ops import make_model

assert draws

# Attributes of free text.
FREE = {
    "equation", "delimiter", "pattern", "pad_value", "tokenexp", "default_string", "default_string_data", "locale", "value_string", "body",
    "onnx_model_filename", "notes", "source", "partition_name",
}


def texts_of(domain, name, version):
    """The attributes of texts, lists of them left out, that the operator's schema has."""
    if onnx.defs.has(name, version, domain):
        schema = onnx.defs.get_schema(name, version, domain)
        return sorted(a.name for a in schema.attributes.values() if a.type == onnx.defs.OpSchema.AttrType.STRING)
    table = (ROOT / "src" / "graph" / "schema_microsoft.txt").read_text()
    lines = re.search(rf"^op {domain or 'ai.onnx'}:{name} \d+\n((?:  .*\n)*)", table, re.M)
    attrs = [a for line in re.findall(r"^  attr (.*)$", lines[1], re.M) for a in line.split()] if lines else []
    return sorted(a.split(":")[0] for a in attrs if a.split(":")[1].rstrip("!") == "s")


def test_another_word_is_an_error(tmp_path):
    asked = {}
    for domain, name, version, opset, spec in draws.base.cases():
        for attr in texts_of(domain, name, version):
            if attr in FREE:
                continue
            attrs, inputs, *outputs = spec.draw(np.random.default_rng([zlib.crc32(name.encode()), version, 0]), version, name)
            if any(isinstance(v, dict) for v in inputs):
                continue
            model = make_model(domain, name, opset, attrs | {attr: "nonsense"}, inputs, outputs[0] if outputs else None)
            path = tmp_path / f"{len(asked)}.onnx"
            onnx.save(op_driver.embed(model, [v for v in inputs if v is not None]), path)
            asked[path] = f"{domain + '.' if domain else ''}{name}-{version}: {attr}"
    assert len(asked) > 120
    op_driver.run(asked)
    answers = {what: op_driver.read_out(path) for path, what in asked.items()}
    taken = [what for what, answer in answers.items() if not isinstance(answer, str)]
    assert not taken, "\n".join(taken)
    silent = [f"{what}: {answer[:200]}" for what, answer in answers.items() if "crash" in answer or ("nonsense" not in answer and what.split(": ")[1] not in answer)]
    assert not silent, "\n".join(silent)
