"""Trained models at their work: a picture's text is read, sentences that mean alike are found alike."""

import kapell_c
import numpy as np
import onnxruntime
import pytest
from PIL import Image, ImageDraw, ImageFont

from models import trained

TOPICS = [
    ["A man is playing a guitar.", "Someone plays music on a guitar.", "A guitarist performs a song."],
    ["The stock market fell sharply today.", "Share prices dropped on Wall Street.", "Investors lost money as stocks declined."],
    ["Add two eggs and a cup of flour.", "Mix the flour with eggs to make dough.", "The recipe needs eggs and flour."],
]


@pytest.fixture(scope="module")
def minilm():
    return trained.minilm().SerializeToString()


def test_sentences_of_one_topic_are_nearest(minilm):
    sentences = [s for topic in TOPICS for s in topic]
    vectors = kapell_c.Session(minilm).run(trained.tokenize(sentences))[0]
    scores = vectors @ vectors.T
    for i in range(len(sentences)):
        alike = [scores[i, j] for j in range(len(sentences)) if j // 3 == i // 3 and j != i]
        unrelated = [scores[i, j] for j in range(len(sentences)) if j // 3 != i // 3]
        assert min(alike) > max(unrelated) + 0.2, sentences[i]


def test_embeddings_are_those_of_onnx_runtime(minilm):
    feeds = trained.tokenize(["Kapell runs models.", "A second, longer sentence to be padded against: why not?"])
    want = onnxruntime.InferenceSession(minilm).run(None, feeds)[0]
    got = kapell_c.Session(minilm).run(feeds)[0]
    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()


class KapellSession:
    """What rapidocr calls a session, on Kapell."""

    def __init__(self, config):
        self.session = kapell_c.Session(config["model_path"])
        self.meta = onnxruntime.InferenceSession(config["model_path"]).get_modelmeta().custom_metadata_map

    def __call__(self, picture):
        return self.session.run({self.session.inputs[0]: np.ascontiguousarray(picture)})

    def have_key(self, key="character"):
        return key in self.meta

    def get_character_list(self, key="character"):
        return self.meta[key].splitlines()

    def get_input_names(self):
        return self.session.inputs


def draw(lines):
    picture = Image.new("RGB", (640, 60 + 70 * len(lines)), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(40)
    for i, line in enumerate(lines):
        pen.text((30, 30 + 70 * i), line, fill="black", font=font)
    return np.asarray(picture)[:, :, ::-1].copy()


def test_the_text_of_a_picture_is_read(monkeypatch):
    import rapidocr_onnxruntime
    for part in ("ch_ppocr_det.text_detect", "ch_ppocr_rec.text_recognize", "ch_ppocr_cls.text_cls"):
        monkeypatch.setattr(f"rapidocr_onnxruntime.{part}.OrtInferSession", KapellSession)
    lines = ["Kapell reads 2026", "ONNX models run here", "Line three: 98765"]
    result, _ = rapidocr_onnxruntime.RapidOCR()(draw(lines))
    assert [r[1].replace(" ", "") for r in result] == [line.replace(" ", "") for line in lines]
    assert min(float(r[2]) for r in result) > 0.8
