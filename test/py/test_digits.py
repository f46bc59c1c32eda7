"""The shipped digits model: what its metadata states is true of the committed file and pictures."""

import pathlib
import sys

import numpy as np
import onnx
import pytest
from PIL import Image

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "examples" / "digits"
sys.path.insert(0, str(FOLDER))
import digits_data  # noqa: E402
import kapell_c  # noqa: E402

pytestmark = pytest.mark.asan_slice

PICTURES = sorted((FOLDER / "pictures").glob("*.png"))


@pytest.fixture(scope="module")
def model():
    return onnx.load(FOLDER / "digits.onnx")


@pytest.fixture(scope="module")
def metadata(model):
    return {prop.key: prop.value for prop in model.metadata_props}


@pytest.fixture(scope="module")
def session():
    """The committed file, opened by Kapell."""
    with_file = kapell_c.Session(FOLDER / "digits.onnx")
    yield with_file
    with_file.close()


def read_picture(path):
    """The preprocessing that the model's metadata states: gray, averaged down to 8x8, 0..255 to 0..1."""
    picture = np.asarray(Image.open(path).convert("L"), np.float32)
    assert picture.shape == (64, 64)
    return picture.reshape(8, 8, 8, 8).mean((1, 3))[None, None] / 255


def test_model_is_small_and_valid(model):
    assert (FOLDER / "digits.onnx").stat().st_size < 200_000
    onnx.checker.check_model(model, full_check=True)


def test_accuracy_on_the_held_out_digits(session, metadata):
    images, labels = digits_data.split()[1]
    assert len(labels) == int(metadata["held_out"]) == 449
    probabilities = session.run({"image": images})[0]
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    accuracy = (probabilities.argmax(1) == labels).mean()
    assert accuracy > 0.97
    assert float(metadata["accuracy"]) == pytest.approx(accuracy, abs=1e-4)


def test_readme_shows_the_program_as_it_is(root):
    program = (FOLDER / "digits.c").read_text().split("\n", 2)[2]
    assert f"```c\n{program}```" in (root / "README.md").read_text()


def test_no_digit_is_in_both_parts():
    order = digits_data.order()
    assert sorted(order) == list(range(1797))


def test_there_are_twelve_pictures_of_all_digits():
    assert len(PICTURES) == 12
    assert {path.name[0] for path in PICTURES} == set("0123456789")


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_picture_is_the_held_out_digit_it_names(path):
    label, index = map(int, path.stem.split("-"))
    held = list(digits_data.order()[-digits_data.HELD_OUT_COUNT :])
    assert index in held
    images, labels = digits_data.split()[1]
    assert labels[held.index(index)] == label
    np.testing.assert_allclose(read_picture(path)[0], images[held.index(index)], atol=1e-6)


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_picture_is_recognised(session, metadata, path):
    probabilities = session.run({"image": read_picture(path)})[0][0]
    assert metadata["labels"].split("\n")[probabilities.argmax()] == path.name[0]


def test_the_command_reads_the_pictures_as_we_do(kapell, session):
    """What ./dev demo shows: one line a picture with the top labels, their probabilities, the time and the provider."""
    inputs = [word for path in PICTURES for word in ("--input", f"image={path}")]
    result = kapell("run", FOLDER / "digits.onnx", *inputs, "--labels", "--top", "3", "--time", "--placement")
    assert result.returncode == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines() if ".png" in line]
    assert [line[0] for line in lines] == [path.name for path in PICTURES]
    for path, line in zip(PICTURES, lines):
        assert line[1] == path.name[0]
        ours = session.run({"image": read_picture(path)})[0][0]
        assert float(line[2]) == pytest.approx(100 * ours.max(), abs=0.01)
        assert "ms" in line and "CPUExecutionProvider:" in line
    assert "11 of 11 nodes" in result.stdout
