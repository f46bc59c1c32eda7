"""Small models by onnx's text form, and a program in a process of its own."""

import os
import subprocess
import sys

import conftest
import onnx.parser

HEAD = '<ir_version: 9, opset_import: ["" : 18, "ai.onnx.ml" : 3]>\n'

ADD = "g (float[N, 2] x, float[1] y) => (float[N, 2] z) { z = Add(x, y) }"
IDENTITY = "g (float[a, b] x) => (float[a, b] y) { y = Identity(x) }"
# Runs for minutes if it is let.
ENDLESS = """g (float[1] x) => (float[1] y) {
  n = Constant<value = int64 {4000000000}>()
  go = Constant<value = bool {1}>()
  y = Loop(n, go, x)<body = b (int64 i, bool c, float[1] a) => (bool d, float[1] s) { d = Identity(c) s = Sin(a) }>
}"""


def model(text):
    """The bytes of a model whose graph |text| says."""
    return onnx.parser.parse_model(HEAD + text).SerializeToString()


def python(program, *arguments, **options):
    """Runs |program| in a Python that finds the package; gives subprocess's CompletedProcess with text output."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(conftest.PACKAGE), os.path.dirname(__file__)])}
    environment.update(options.pop("env", {}))
    return subprocess.run([sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True,
                          timeout=options.pop("timeout", 120), check=False, env=environment, **options)
