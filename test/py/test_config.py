"""The configuration file: KAPELL_CONFIG, ~/.config/kapell/kapell.json; what wins over what; mistakes in it. Through command and C API."""

import json
import os
import pathlib

import numpy as np
import pytest
from onnx import TensorProto, helper

import kapell_c

DIGITS = pathlib.Path(__file__).resolve().parents[2] / "examples/digits/digits.onnx"
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("KAPELL_") and k not in ("LD_PRELOAD", "ASAN_OPTIONS")}


@pytest.fixture
def place(kapell, tmp_path):
    """Runs 'kapell place' with a configuration file of this content; |env| and arguments besides."""

    def run(content, *arguments, **env):
        path = tmp_path / "config.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return kapell("place", DIGITS, *arguments, env={**CLEAN, "HOME": str(tmp_path), "KAPELL_CONFIG": str(path), **env})

    return run


def reads(result, code, *words):
    text = result.stdout + result.stderr
    assert result.returncode == code, text
    for word in words:
        assert word in text, f"'{word}' is not in: {text}"
    return text


def test_it_gives_the_list_and_options(place):
    config = {"providers": "Mock?,CPU", "provider_options": {"Mock.ops": "all,-Relu", "Mock.streams": True, "CUDA.device_id": 1}, "threads": 1}
    reads(place(config), 0, "Mock?      ", "x Relu: Relu is not in its list of operators (ops=all,-Relu)")


def test_the_program_wins_and_says_so(place):
    text = reads(place({"providers": "Mock,CPU", "provider_options": {"Mock.fail": "absent"}}, "--providers", "CPU"), 0, "CPU        11 of 11 nodes",
                 "the program's provider list 'CPU' replaces 'Mock,CPU' of ", "config.json")
    assert "not available" not in text  # options of providers that are not in the list are no mistake
    reads(place({"provider_options": {"Mock.ops": "none"}}, "--providers", "Mock,CPU", "--option", "Mock.ops=all"), 0, "Mock       11 of 11 nodes")


def test_the_environment_wins_over_both(place):
    text = reads(place({"providers": "Mock,CPU"}, KAPELL_PROVIDERS="CPU"), 0, "KAPELL_PROVIDERS replaces the provider list 'Mock,CPU' by 'CPU'")
    assert "Mock  " not in text
    reads(place({"providers": "Mock,CPU", "provider_options": {"Mock2.ops": "none"}}, KAPELL_PROVIDERS="Mock2?,CPU"), 0, "Mock2?     runs nothing")


def test_options_of_a_list_that_the_environment_replaces_are_passed_over(place):
    given = ("--providers", "Mock,CPU", "--option", "Mock.ops=all")
    reads(place("", *given, KAPELL_PROVIDERS="CPU", KAPELL_CONFIG=""), 0, "CPU        11 of 11 nodes", "replaces the provider list 'Mock,CPU' by 'CPU'")
    reads(place("", *given, "--option", "Moc.ops=all", KAPELL_PROVIDERS="CPU", KAPELL_CONFIG=""), 3, "option 'Moc.ops' is for no provider of the list 'CPU'")


def test_the_file_of_the_home_folder(kapell, tmp_path):
    env = {**CLEAN, "HOME": str(tmp_path)}
    assert "CPU        11 of 11" in reads(kapell("place", DIGITS, env=env), 0)
    folder = tmp_path / ".config" / "kapell"
    folder.mkdir(parents=True)
    (folder / "kapell.json").write_text('{"providers": "Mock,CPU"}')
    reads(kapell("place", DIGITS, env=env), 0, "Mock       11 of 11 nodes")
    reads(kapell("place", DIGITS, env={**env, "KAPELL_CONFIG": ""}), 0, "CPU        11 of 11 nodes")  # empty: none
    (folder / "kapell.json").unlink()
    (folder / "kapell.json").mkdir()
    reads(kapell("place", DIGITS, env=env), 3, "kapell.json", "reading the configuration file")


@pytest.mark.parametrize("content, words", [
    ("", ["no JSON: line 1, column 1"]),
    ('{"threads": 4,\n "providers": }', ["line 2, column 15", "config.json"]),
    ('["CPU"]', ["holds a list and no object"]),
    ('{"provider": "CPU"}', ["the unknown key 'provider'", "keys are: providers, provider_options, threads", "did you mean providers?"]),
    ('{"allow_libraries": true}', ["the unknown key 'allow_libraries'"]),
    ('{"threads": "4"}', ["'threads' in line 1", "is a string; a whole number from 0 on is wanted"]),
    ('{"threads": 1.5}', ["a whole number"]),
    ('{"threads": -1}', ["a whole number"]),
    ('{"threads": 999}', ["threads is 999"]),
    ('{"signature_cache": 4294967296}', ["a whole number"]),
    ('{"max_memory": 99999999999999999999}', ["a whole number"]),
    ('{"providers": 3}', ["a string is wanted"]),
    ('{"providers": "CUDDA"}', ["'CUDDA'", "did you mean CUDA?"]),
    ('{"on_failure": "stop"}', ['"error" or "continue"']),
    ('{"untrusted": 1}', ["true or false is wanted"]),
    ('{"shadow_atol": "x"}', ["a number from 0 on"]),
    ('{"provider_options": {"device_id": 1}}', ["'device_id'", "PROVIDER.KEY"]),
    ('{"provider_options": {"Nonsense.device_id": 1}}', ["'Nonsense.device_id'", "a provider that is known"]),
    ('{"provider_options": {"CPU.x": []}}', ["'CPU.x' in line 1", "is a list"]),
    ('{"providers": "Mock", "provider_options": {"Mock.opps": 1}}', ["Mock has no option 'opps'"]),
])
def test_mistakes(place, content, words):
    reads(place(content), 3, "error KAPELL-E", *words)


def test_a_file_that_is_not_there(kapell, tmp_path):
    reads(kapell("place", DIGITS, env={**CLEAN, "KAPELL_CONFIG": str(tmp_path / "nowhere.json")}), 3, "nowhere.json", "that KAPELL_CONFIG names")


def test_options_of_a_run(kapell, tmp_path):
    (tmp_path / "c.json").write_text(json.dumps({"providers": "Mock,CPU", "provider_options": {"Mock.fail": "run"}, "on_failure": "continue"}))
    env = {**CLEAN, "KAPELL_CONFIG": str(tmp_path / "c.json")}
    reads(kapell("run", DIGITS, "--input", "image=random", env=env), 0, "started again without a provider that failed: 1")
    (tmp_path / "c.json").write_text(json.dumps({"max_nodes": 3}))
    reads(kapell("run", DIGITS, "--input", "image=random", env=env), 3, "LIMIT")
    reads(kapell("run", DIGITS, "--input", "image=random", "--limit", "nodes=100", env=env), 0)  # the program's own


def test_through_the_c_api(tmp_path, monkeypatch):
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"], name="n")], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    (tmp_path / "c.json").write_text(json.dumps({"providers": "Mock>=50%,CPU"}))
    monkeypatch.setenv("KAPELL_CONFIG", str(tmp_path / "c.json"))
    session = kapell_c.Session(model)
    assert json.loads(session.placement_json())["list"] == "Mock>=50%,CPU"
    np.testing.assert_array_equal(session.run({"x": np.array([1, -2], np.float32)})[0], [-1, 2])
    assert json.loads(kapell_c.Session(model, providers="CPU").placement_json())["list"] == "CPU"
    (tmp_path / "c.json").write_text("{]")
    with pytest.raises(kapell_c.KapellError, match="c.json"):
        kapell_c.Session(model)
