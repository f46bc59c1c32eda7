"""Libraries of providers from Python: registered, listed, used by name and by device, and gone again."""

import kapell
import numpy as np
import pytest
from little import model

pytestmark = pytest.mark.asan_slice
SUM = "g (float[N, 2] x, float[N, 2] y) => (float[N, 2] z) { z = Add(x, y) }"
X = np.array([[1, 2]], np.float32)


@pytest.fixture
def adder(build_dir):
    kapell.register_execution_provider_library("plain-python", build_dir / "test/plugins/libadder.so")
    yield build_dir / "test/plugins/libadder.so"
    if "plain-python" in kapell.get_available_providers():
        kapell.unregister_execution_provider_library("plain-python")


def test_a_library(adder):
    assert kapell.get_available_providers() == ["plain-python", "CPUExecutionProvider"]
    (device,) = [d for d in kapell.get_ep_devices() if d.ep_name == "plain-python"]
    assert device.device.type.name == "CPU" and device.ep_metadata["version"] == "1.2.3"
    by_name = kapell.InferenceSession(model(SUM), providers=["plain-python"])
    options = kapell.SessionOptions()
    options.add_session_config_entry("ep.context_enable", "0")
    options.add_provider_for_devices([device], {"speed": "fast"})
    by_device = kapell.InferenceSession(model(SUM), options)
    for session in (by_name, by_device):
        assert session.get_providers() == ["plain-python", "CPUExecutionProvider"]
        assert session.run(None, {"x": X, "y": X})[0].tolist() == [[2, 4]]
    kapell.unregister_execution_provider_library("plain-python")
    assert kapell.get_available_providers() == ["CPUExecutionProvider"]
    assert by_name.run(None, {"x": X, "y": X})[0].tolist() == [[2, 4]]  # it keeps its library


def test_what_is_wrong(adder):
    with pytest.raises(kapell.InvalidArgument, match="already"):
        kapell.register_execution_provider_library("plain-python", adder)
    with pytest.raises(kapell.Fail, match="no such file"):
        kapell.register_execution_provider_library("mine", "/no/such.so")
    with pytest.raises(kapell.Fail, match="mine"):
        kapell.unregister_execution_provider_library("mine")
    with pytest.raises(kapell.KapellError, match="the library is out of order"):
        kapell.register_execution_provider_library("failfactories", adder)
