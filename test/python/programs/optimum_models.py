"""optimum-onnx, unchanged: small models with random weights are exported to a folder and run by its ORTModel classes, beside PyTorch.

Prints a line of JSON: for each check the largest difference, or whether two texts of numbers are the same. Run on the stand-in by test_packages.py.
"""

import json
import pathlib
import tempfile
import warnings

import numpy as np
import torch
import transformers
from optimum.exporters.onnx import main_export
from optimum.onnxruntime import (
    AutoQuantizationConfig, ORTModelForCausalLM, ORTModelForFeatureExtraction, ORTModelForSeq2SeqLM, ORTModelForSequenceClassification, ORTQuantizer,
)

import onnxruntime

LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{c}" for c in LETTERS)]


def export(model, folder, task, tokenizer=None):
    """The folder that optimum's exporter leaves; it validates the model on onnxruntime itself."""
    model.eval().save_pretrained(folder / "torch")
    if tokenizer:
        tokenizer.save_pretrained(folder / "torch")
    main_export(str(folder / "torch"), output=str(folder / "onnx"), task=task)
    return str(folder / "onnx")


def difference(a, b):
    return float(np.abs(a.detach().numpy() - b.detach().numpy()).max())


def encoders(folder, results):
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY), encoding="utf-8")
    tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"))
    config = transformers.BertConfig(vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, num_labels=3)
    model = transformers.BertForSequenceClassification(config)
    path = export(model, folder, "text-classification", tokenizer)
    words = tokenizer(["hello world", "abc def ghi jkl"], padding=True, return_tensors="pt")
    ort = ORTModelForSequenceClassification.from_pretrained(path)
    results["classification"] = difference(model(**words).logits, ort(**words).logits)
    results["providers"] = list(ort.providers)
    bound = ORTModelForSequenceClassification.from_pretrained(path, use_io_binding=True)
    results["bound"] = difference(model(**words).logits, bound(**words).logits)
    pipeline = transformers.pipeline("text-classification", model=ort, tokenizer=tokenizer)
    results["pipeline"] = [one["label"] for one in pipeline(["hello", "what a day"])] == [
        config.id2label[int(model(**tokenizer([text], return_tensors="pt")).logits.argmax())] for text in ("hello", "what a day")]
    ORTQuantizer.from_pretrained(ort).quantize(save_dir=folder / "int8", quantization_config=AutoQuantizationConfig.avx2(is_static=False, per_channel=False))
    small = ORTModelForSequenceClassification.from_pretrained(folder / "int8", file_name="model_quantized.onnx")
    results["quantized"] = difference(model(**words).logits, small(**words).logits)
    features = ORTModelForFeatureExtraction.from_pretrained(export(model.bert, folder / "features", "feature-extraction"))
    results["features"] = difference(model.bert(**words).last_hidden_state, features(**words).last_hidden_state)


def decoders(folder, results):
    config = transformers.GPT2Config(vocab_size=50, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=49, pad_token_id=0)
    model = transformers.GPT2LMHeadModel(config)
    path = export(model, folder / "gpt2", "text-generation-with-past")
    start, options = torch.tensor([[1, 2, 3], [4, 5, 6]]), {"max_new_tokens": 12, "do_sample": False}
    wanted = model.generate(start, attention_mask=torch.ones_like(start), **options).tolist()
    for name, bound in (("generated", False), ("generated, bound", True)):
        ort = ORTModelForCausalLM.from_pretrained(path, use_cache=True, use_io_binding=bound)
        results[name] = ort.generate(start, attention_mask=torch.ones_like(start), **options).tolist() == wanted
    config = transformers.T5Config(vocab_size=50, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0, pad_token_id=0)
    model = transformers.T5ForConditionalGeneration(config)
    ort = ORTModelForSeq2SeqLM.from_pretrained(export(model, folder / "t5", "text2text-generation-with-past"))
    results["translated"] = ort.generate(start, **options).tolist() == model.generate(start, **options).tolist()


def main():
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    results = {"engine": onnxruntime.InferenceSession.__module__}
    with tempfile.TemporaryDirectory() as folder:
        encoders(pathlib.Path(folder), results)
        decoders(pathlib.Path(folder), results)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
