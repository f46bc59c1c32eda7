"""What ONNX Runtime checks of the system when it is imported. Here: nothing."""

from kapell.onnxruntime import __version__


def check_distro_info():
    """Kapell needs libc alone."""


def get_package_name_and_version_info():
    """Name, version and CUDA's version ("": none)."""
    return "onnxruntime", __version__, ""


def check_training_module():
    """Whether training is there (no), and what the function above gives."""
    return (False, *get_package_name_and_version_info())
