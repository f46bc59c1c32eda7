"""Forms of a float model in fewer bits, made by the tools that people use: static int8 (QDQ, QLinear), dynamic int8, 4-bit weights, float16."""

import logging
import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static


class Feeds(CalibrationDataReader):
    """Calibration on the feeds given."""

    def __init__(self, feeds):
        self.feeds = iter(feeds)

    def get_next(self):
        return next(self.feeds, None)


def _convert(model, convert):
    """Runs a converter from file to file."""
    logging.getLogger().setLevel(logging.ERROR)  # the converters warn of every model that is not prepared for them
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.onnx", Path(folder) / "out.onnx"
        onnx.save(onnx.shape_inference.infer_shapes(model), source)
        convert(source, target)
        return onnx.load(target)


def qdq(model, feeds, per_channel=True, activations=QuantType.QUInt8):
    return _convert(model, lambda s, t: quantize_static(s, t, Feeds(feeds), quant_format=QuantFormat.QDQ, per_channel=per_channel,
                                                        activation_type=activations, weight_type=QuantType.QInt8))


def qlinear(model, feeds):
    """QLinearConv and its kin, of com.microsoft too."""
    return _convert(model, lambda s, t: quantize_static(s, t, Feeds(feeds), quant_format=QuantFormat.QOperator, per_channel=False,
                                                        activation_type=QuantType.QUInt8, weight_type=QuantType.QUInt8))


def dynamic(model, _feeds=None):
    return _convert(model, lambda s, t: quantize_dynamic(s, t, weight_type=QuantType.QUInt8))


def four_bit(model, _feeds=None, block=32, symmetric=True, accuracy=0):
    """MatMulNBits of com.microsoft."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    logging.getLogger().setLevel(logging.ERROR)
    quantizer = MatMulNBitsQuantizer(onnx.ModelProto.FromString(model.SerializeToString()), block_size=block, is_symmetric=symmetric, accuracy_level=accuracy)
    quantizer.process()
    return quantizer.model.model


def float16(model, _feeds=None):
    """All weights and values in float16; inputs and outputs stay float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    return convert_float_to_float16(onnx.ModelProto.FromString(model.SerializeToString()), keep_io_types=True)
