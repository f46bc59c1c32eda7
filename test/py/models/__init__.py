"""Real architectures with random weights, for comparisons and benches: builders give a ModelProto, sizes are arguments.

SMALL and REAL name those that tests and benches use: name -> (builder, feeds).
"""

from functools import partial

from .builder import Builder
from .classifiers import (V3_LARGE, convnext, densenet, efficientnet_b0, image_inputs, mobilenet_v2, mobilenet_v3, resnet, shufflenet_v2, squeezenet,
                          vit)
from .language import (bert, bert_inputs, decoder_inputs, distilbert, distilbert_inputs, gpt2, llama, llama_shared, mel_inputs, shared_inputs,
                       whisper_encoder)
from .others import dlrm, dlrm_inputs, keyword_net, recurrent, sequence_inputs, wave_inputs
from .pictures import unet, yolov8

__all__ = ["Builder", "SMALL", "REAL", "bert_inputs", "decoder_inputs", "dlrm_inputs", "image_inputs", "sequence_inputs", "shared_inputs"]

_small_image = partial(image_inputs, 64)
_llama = {"layers": 2, "hidden": 64, "heads": 4, "kv_heads": 2, "ffn": 96, "vocab": 100}

SMALL = {
    "resnet": (partial(resnet, (1, 1, 1, 1), 16, 64, 10), _small_image),
    "mobilenet_v2": (partial(mobilenet_v2, 0.35, 64, 10, stages=[(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 1, 2)]), _small_image),
    "mobilenet_v3": (partial(mobilenet_v3, tuple(V3_LARGE[i] for i in (0, 1, 3, 6)), 64, 10, 64), _small_image),
    "efficientnet_b0": (partial(efficientnet_b0, ((1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 1, 2)), 64, 10), _small_image),
    "densenet": (partial(densenet, (2, 3), 8, 64, 10), _small_image),
    "squeezenet": (partial(squeezenet, ((16, 64), "pool", (32, 128)), 64, 10), _small_image),
    "shufflenet_v2": (partial(shufflenet_v2, ((48, 2), (96, 2)), 64, 10, 128), _small_image),
    "convnext": (partial(convnext, (1, 1, 2), 16, 64, 10), _small_image),
    "vit": (partial(vit, 2, 64, 4, 64, 16, 10), _small_image),
    "yolov8": (partial(yolov8, 0.125, 1, 64, 4), _small_image),
    "unet": (partial(unet, 8, 2, 64), _small_image),
    "unet_resize": (partial(unet, 8, 2, 64, resize=True), _small_image),
    "bert": (partial(bert, 2, 64, 4, 100, 32), partial(bert_inputs, 2, 16, 100)),
    "distilbert": (partial(distilbert, 2, 64, 4, 100, 32), partial(distilbert_inputs, 2, 16, 100)),
    "gpt2": (partial(gpt2, 2, 64, 4, 100, 64, False), partial(decoder_inputs, 2, 4, 16, 100, 2, 9)),
    "gpt2_cache": (partial(gpt2, 2, 64, 4, 100, 64), partial(decoder_inputs, 2, 4, 16, 100, 2, 1, 7)),
    "llama": (partial(llama, **_llama, cache=False), partial(decoder_inputs, 2, 2, 16, 100, 2, 9)),
    "llama_cache": (partial(llama, **_llama), partial(decoder_inputs, 2, 2, 16, 100, 2, 1, 7)),
    "llama_shared": (partial(llama_shared, **_llama, length=32), partial(shared_inputs, 2, 2, 16, 100, 32, 1, 1, 7)),
    "whisper_encoder": (partial(whisper_encoder, 2, 64, 4, 16, 60), partial(mel_inputs, 16, 60)),
    "lstm": (partial(recurrent, "LSTM", 8, 16, 2), partial(sequence_inputs, 2, 12, 8)),
    "gru": (partial(recurrent, "GRU", 8, 16, 2), partial(sequence_inputs, 2, 12, 8)),
    "keyword_net": (partial(keyword_net, 8, 4000), partial(wave_inputs, 4000)),
    "dlrm": (partial(dlrm, 3, 50, 8), partial(dlrm_inputs, 3, 50, batch=4)),
}
REAL = {
    "resnet50": (resnet, image_inputs),
    "mobilenet_v2": (mobilenet_v2, image_inputs),
    "mobilenet_v3": (mobilenet_v3, image_inputs),
    "efficientnet_b0": (efficientnet_b0, image_inputs),
    "densenet121": (densenet, image_inputs),
    "squeezenet": (squeezenet, image_inputs),
    "shufflenet_v2": (shufflenet_v2, image_inputs),
    "convnext_tiny": (convnext, image_inputs),
    "vit_base": (vit, image_inputs),
    "yolov8n": (yolov8, partial(image_inputs, 640)),
    "unet": (unet, partial(image_inputs, 256)),
    "unet_resize": (partial(unet, resize=True), partial(image_inputs, 256)),
    "bert_base": (bert, bert_inputs),
    "distilbert": (distilbert, distilbert_inputs),
    "gpt2": (partial(gpt2, cache=False), partial(decoder_inputs, 12, 12, 64, 50257, 1, 64)),
    "gpt2_cache": (gpt2, partial(decoder_inputs, 12, 12, 64, 50257, 1, 1, 128)),
    "llama": (partial(llama, cache=False), partial(decoder_inputs, 12, 4, 64, 8000, 1, 64)),
    "llama_cache": (llama, partial(decoder_inputs, 12, 4, 64, 8000, 1, 1, 256)),
    "llama_shared": (llama_shared, partial(shared_inputs, 12, 4, 64, 8000, 2048, 1, 1, 256)),
    "whisper_encoder": (whisper_encoder, mel_inputs),
    "lstm": (recurrent, sequence_inputs),
    "gru": (partial(recurrent, "GRU"), sequence_inputs),
    "keyword_net": (keyword_net, wave_inputs),
    "dlrm": (dlrm, dlrm_inputs),
}
