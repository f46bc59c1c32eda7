"""What ONNX Runtime says of its build, and small things that programs take from its extension module."""

import kapell

from . import STANDIN, __version__

OrtValueVector = list  # what C.OrtValueVector() is used as


def get_version_string():
    """The version of ONNX Runtime whose API this is."""
    return __version__


def get_build_info():
    """One line about the build."""
    return f"ORT Build Info: Kapell {kapell.__version__} in ONNX Runtime's place"


def get_default_session_options():
    """Fresh options; ONNX Runtime has one object for the process."""
    return kapell.SessionOptions()


get_session_initializer = get_default_session_options


def get_ort_device_type(device_type):
    """The number of a kind of device."""
    return kapell.OrtDevice.make(device_type, 0).device_type()


def print_debug_info():
    """What a bug report should begin with."""
    print(f"onnxruntime version: {__version__} (Kapell stands in for it, {STANDIN})")
    kapell.print_debug_info()
