"""kapell place: the page, SVG and PNG. What is in the files is read back; the pages are opened in a real browser where there is one."""

import html.parser
import json
import re
import shutil
import subprocess
import time
import xml.etree.ElementTree as ET

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models import SMALL

pytestmark = pytest.mark.asan_programs
MOCK = ("--providers", "Mock?,CPU", "--option")
ROOM = 1 - 1e-2  # coordinates are written with six digits


class _Page(html.parser.HTMLParser):
    """The data of a page, as a browser would see it, and everything that it would load from elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.inside, self.data, self.loads = False, "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.inside = tag == "script" and attrs.get("id") == "data"
        self.loads += [value for key, value in attrs.items() if key in ("src", "href")]

    def handle_data(self, data):
        if self.inside:
            self.data += data

    def handle_endtag(self, tag):
        self.inside = False


def done(result):
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def page_of(path):
    text = path.read_text()
    page = _Page(text)
    assert not page.loads and "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text
    assert "KAPELL_DATA" not in page.data
    return json.loads(page.data)


def check_layout(data):
    nodes = len(data["placement"]["nodes"])
    items = data["items"]
    assert len(items) == nodes + len(data["more"])
    for source, target, name, *_ in data["edges"]:
        assert items[source][1] < items[target][1]
        assert 0 <= name < len(data["names"])
    for a, b in zip(sorted(items, key=lambda at: (at[1], at[0])), sorted(items, key=lambda at: (at[1], at[0]))[1:]):
        assert a[1] != b[1] or b[0] - a[0] > ROOM


def save(tmp_path, name):
    path = tmp_path / f"{name}.onnx"
    onnx.save(SMALL[name][0](), path)
    return path


def linear(tmp_path, names, file="m.onnx"):
    nodes = [helper.make_node("Relu", ["x" if i == 0 else f"v{i - 1}"], [f"v{i}"], name=name) for i, name in enumerate(names)]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])],
                              [helper.make_tensor_value_info(f"v{len(names) - 1}", TensorProto.FLOAT, ["N"])])
    path = tmp_path / file
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def large(tmp_path, count=5000):
    """Blocks of branches that are joined, some across blocks."""
    rng, nodes, live = np.random.default_rng(1), [], ["x"]
    while len(nodes) < count:
        ends = []
        for branch in range(int(rng.integers(1, 5))):
            value = live[-1]
            for _ in range(int(rng.integers(1, 5))):
                op, out = ("Relu", "Neg", "Abs", "Sigmoid", "Tanh")[int(rng.integers(5))], f"v{len(nodes)}"
                nodes.append(helper.make_node(op, [value], [out], name=f"block{len(live)}/branch{branch}/{op}_{len(nodes)}"))
                value = out
            ends.append(value)
        ends += [live[-4]] if rng.random() < 0.3 and len(live) > 4 else []
        nodes.append(helper.make_node("Sum", ends, [f"v{len(nodes)}"], name=f"Sum_{len(nodes)}"))
        live.append(nodes[-1].output[0])
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])],
                              [helper.make_tensor_value_info(live[-1], TensorProto.FLOAT, ["N"])])
    path = tmp_path / "large.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


# --- the page as a file --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name, refused", [("resnet", "Relu"), ("bert", "Gather"), ("yolov8", "Resize"), ("gru", "Transpose")])
def test_pages_of_real_architectures(kapell, tmp_path, name, refused):
    model = save(tmp_path, name)
    done(kapell("place", model, *MOCK, f"Mock.ops=all,-{refused}", "--html", tmp_path / "page.html"))
    data = page_of(tmp_path / "page.html")
    check_layout(data)
    assert data["model"] == model.name
    nodes = data["placement"]["nodes"]
    assert [n["name"] for n in nodes] == [n.name for n in onnx.load(model).graph.node]
    refusals = [r for n in nodes if n["op"] == refused for r in n["refusals"]]
    assert refusals and all(r["provider"] == "MockExecutionProvider" and refused in r["reason"] for r in refusals)
    graph = onnx.load(model).graph
    assert {m["name"] for m in data["more"] if m["kind"] == "output"} == {o.name for o in graph.output}
    # The edges are those of the file: each input of a node that another node makes.
    maker = {out: i for i, n in enumerate(graph.node) for out in n.output if out}
    wanted = sorted((maker[v], i, v) for i, n in enumerate(graph.node) for v in n.input if v in maker)
    assert sorted((a, b, data["names"][v]) for a, b, v, *_ in data["edges"] if a < len(nodes) and b < len(nodes)) == wanted


def test_names_cannot_break_the_page(kapell, tmp_path):
    names = ["</script><script>alert(1)</script>", "a\"b\\c", "<!--", "new\nline\ttab", "ünïcödé ✓", "]]>", "&amp;"]
    path = linear(tmp_path, names, "<b>.onnx")
    done(kapell("place", path, "--html", tmp_path / "p.html", "--svg", tmp_path / "p.svg"))
    data = page_of(tmp_path / "p.html")
    assert [n["name"] for n in data["placement"]["nodes"]] == names and data["model"] == "<b>.onnx"
    titles = [t.text for t in ET.parse(tmp_path / "p.svg").getroot().iter("{http://www.w3.org/2000/svg}title")]
    assert any("</script><script>alert(1)" in t for t in titles)


def test_bodies_are_linked_to_their_nodes(kapell, tmp_path):
    body = helper.make_graph([helper.make_node("Neg", ["v0"], ["b"], name="inner"), helper.make_node("Add", ["b", "v0"], ["o"], name="sum")], "then",
                             [], [helper.make_tensor_value_info("o", TensorProto.FLOAT, ["N"])])
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["v0"], name="first"),
         helper.make_node("If", ["c"], ["y"], name="choice", then_branch=body, else_branch=body)],
        "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"]), helper.make_tensor_value_info("c", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])])
    path = tmp_path / "if.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    done(kapell("place", path, "--html", tmp_path / "p.html"))
    data = page_of(tmp_path / "p.html")
    check_layout(data)
    named = {n["name"] + n["path"][-11:-7]: i for i, n in enumerate(data["placement"]["nodes"])}
    pairs = {(e[0], e[1]) for e in data["edges"]}
    first = next(i for i, n in enumerate(data["placement"]["nodes"]) if n["name"] == "first")
    inner = [i for i, n in enumerate(data["placement"]["nodes"]) if n["name"] == "inner"]
    assert len(inner) == 2 and all((first, i) in pairs for i in inner), (named, pairs)


def test_times_from_a_profile(kapell, tmp_path):
    model = save(tmp_path, "resnet")
    done(kapell("run", model, "--input", "image=random", "--profile", tmp_path / "times.json"))
    done(kapell("place", model, "--html", tmp_path / "p.html", "--profile", tmp_path / "times.json"))
    data = page_of(tmp_path / "p.html")
    timed = {i for e in data["profile"]["traceEvents"] for i in e["args"]["origins"]}
    assert len(timed) >= len(data["placement"]["nodes"]) - 2  # a Flatten may be a view
    (tmp_path / "wrong.json").write_text("hello")
    for wrong in (tmp_path / "wrong.json", tmp_path / "nowhere.json"):
        result = kapell("place", model, "--html", tmp_path / "p.html", "--profile", wrong)
        assert result.returncode == 1 and wrong.name in result.stderr
    assert kapell("place", model, "--profile", tmp_path / "times.json").returncode == 2


def test_a_page_of_five_thousand_nodes(kapell, tmp_path, preset):
    model = large(tmp_path)
    start = time.monotonic()
    done(kapell("place", model, *MOCK, "Mock.ops=half", "--html", tmp_path / "p.html"))
    if preset == "release":
        assert time.monotonic() - start < 10
    check_layout(page_of(tmp_path / "p.html"))


def test_pictures(kapell, tmp_path):
    model = save(tmp_path, "resnet")
    done(kapell("place", model, *MOCK, "Mock.ops=all,-Relu", "--svg", tmp_path / "p.svg"))
    root = ET.parse(tmp_path / "p.svg").getroot()
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Conv_0", "Relu_2", "image", "output"} <= set(texts)
    assert "MockExecutionProvider: 42 nodes" in texts
    assert any("not on MockExecutionProvider: Relu is not" in t.text for t in root.iter("{http://www.w3.org/2000/svg}title"))
    result = kapell("place", model, "--png", tmp_path / "p.png")
    if shutil.which("dot"):
        assert done(result) and (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    else:
        assert result.returncode == 1 and "install the package graphviz" in result.stderr
    assert "install the package graphviz" in kapell("place", model, "--png", tmp_path / "q.png", env={"PATH": "/nowhere"}).stderr
    many = large(tmp_path, 700)
    for kind in ("svg", "png"):
        result = kapell("place", many, f"--{kind}", tmp_path / f"many.{kind}")
        assert result.returncode == 1 and "--html" in result.stderr
        result = kapell("place", model, f"--{kind}", tmp_path / "no" / "p")
        assert result.returncode == 1


# --- the page in a browser -----------------------------------------------------------------------------------------------------
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
in_a_browser = [pytest.mark.full, pytest.mark.skipif(not BROWSER, reason="no chromium or google-chrome on the path")]


def open_page(path, where="", shot=None):
    """The DOM after the page has run; with |shot| a picture of it too."""
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1500,950", "--virtual-time-budget=4000"]
    flags.append(f"--screenshot={shot}" if shot else "--dump-dom")
    result = subprocess.run([BROWSER, *flags, path.as_uri() + where], capture_output=True, text=True, timeout=120, check=False)
    return result.stdout


class TestInABrowser:
    pytestmark = in_a_browser

    @pytest.mark.parametrize("name, refused", [("resnet", "Relu"), ("bert", "Gather"), ("yolov8", "Resize")])
    def test_it_opens_and_draws(self, kapell, tmp_path, name, refused):
        done(kapell("place", save(tmp_path, name), *MOCK, f"Mock.ops=all,-{refused}", "--html", tmp_path / "p.html"))
        count = len(page_of(tmp_path / "p.html")["items"])
        dom = open_page(tmp_path / "p.html")
        assert f'data-drawn="{count}"' in dom  # set by the last line of the script
        assert f"not on Mock: {refused}: {refused} is not in its list of operators" in dom
        assert "Copies" in dom
        dom = open_page(tmp_path / "p.html", f"#search={refused}")
        assert re.search(r"\d+ found", dom)
        picture = tmp_path / "p.png"
        open_page(tmp_path / "p.html", shot=picture)
        from PIL import Image

        colours = Image.open(picture).convert("RGB").getcolors(1 << 24)
        drawn = {colour: n for n, colour in colours}
        assert drawn.get((0xE6, 0x9F, 0), 0) > 2000  # nodes of the mock

    def test_a_node_and_its_reasons(self, kapell, tmp_path):
        done(kapell("place", save(tmp_path, "resnet"), *MOCK, "Mock.ops=all,-Relu", "--html", tmp_path / "p.html"))
        dom = open_page(tmp_path / "p.html", "#node=Relu_15")
        for words in ("Relu is not in its list of operators", "said by the provider", "copied Mock:0 → host", "partition"):
            assert words in dom

    def test_five_thousand_nodes_open_within_two_seconds(self, kapell, tmp_path):
        done(kapell("place", large(tmp_path), *MOCK, "Mock.ops=half", "--html", tmp_path / "p.html"))
        dom = open_page(tmp_path / "p.html")
        assert int(re.search(r'data-ready="(\d+)"', dom)[1]) < 2000
        dom = open_page(tmp_path / "p.html", "#search=Tanh_40")
        assert "found" in dom

    def test_hostile_names_run_no_script(self, kapell, tmp_path):
        path = linear(tmp_path, ["</script><script>document.title='broken'</script>", "<img src=x onerror=\"document.title='broken'\">"])
        done(kapell("place", path, "--html", tmp_path / "p.html"))
        dom = open_page(tmp_path / "p.html", "#node=1")
        assert "<title>Kapell placement: m.onnx</title>" in dom and 'data-drawn="4"' in dom
