"""What importing the package brings, and that its types name everything."""

import sys

import kapell
import pytest
from little import python


def test_what_is_rarely_used_is_not_imported():
    done = python("""
import sys, numpy
before = set(sys.modules)
import kapell
new = sorted(name for name in set(sys.modules) - before)
print(*new)
""")
    new = set(done.stdout.split())
    assert {"kapell", "kapell._core", "kapell.session"} <= new
    assert not {name for name in new if name.startswith(("kapell.values", "kapell.tools", "kapell.onnxruntime", "kapell.environment", "concurrent", "asyncio"))}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the package needs 3.11")
def test_every_public_name_is_there_and_in_the_types(root):
    import ast
    listed = ast.parse((root / "bindings" / "python" / "kapell" / "__init__.pyi").read_text())
    said = {alias.asname or alias.name for node in ast.walk(listed) if isinstance(node, ast.ImportFrom) for alias in node.names}
    here = {name for name in dir(kapell) if not name.startswith("_") and name not in ("annotations", "session", "options", "enums")}
    modules = {name for name in here if type(getattr(kapell, name)).__name__ == "module"}
    assert here - modules <= said, here - modules - said
    for name in said:
        assert getattr(kapell, name) is not None


def test_the_types_of_the_extension_is_complete(root):
    import ast
    listed = ast.parse((root / "bindings" / "python" / "kapell" / "_core.pyi").read_text())
    said = {node.name: {getattr(part, "name", None) or getattr(getattr(part, "target", None), "id", None) for part in getattr(node, "body", ())}
            for node in listed.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    for name in dir(kapell._core):
        value = getattr(kapell._core, name)
        if name.startswith("__") or name == "ELEMENT_TYPES":
            continue
        assert name in said, name
        if isinstance(value, type) and not issubclass(value, BaseException):
            assert {part for part in vars(value) if not part.startswith("__")} <= said[name], name
