"""Backend cases that Kapell does not pass, each with the words that say why the case, not the operator, is at fault.

name -> (quotation, where it stands). test_backend.py fails when a case listed here passes, or one that is not listed fails.
"""

BERNOULLI = ("This operator is non-deterministic and may not produce the same values in different implementations (even if a seed is "
             "specified).", "ONNX Operators, Bernoulli; docs/random.md has our generator")
SINGLE = ("The various FFT routines in numpy.fft now do their calculations natively in float, double, or long double precision, depending "
          "on the input precision, instead of always calculating in double precision.",
          "NumPy 2.0.0 release notes; the case takes y = np.fft.ifft(x) of complex64, which is 1.9e-7 where the transform is 0")
EXCEPTIONS = {
    "test_bernoulli": BERNOULLI,
    "test_bernoulli_double": BERNOULLI,
    "test_bernoulli_double_expanded": BERNOULLI,
    "test_bernoulli_expanded": BERNOULLI,
    "test_bernoulli_seed": BERNOULLI,
    "test_bernoulli_seed_expanded": BERNOULLI,
    "test_dft_inverse": SINGLE,
    "test_dft_inverse_opset19": SINGLE,
}
# Those that chance makes pass now and then.
BY_CHANCE = {name for name, words in EXCEPTIONS.items() if words is BERNOULLI}
