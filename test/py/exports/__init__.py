"""Networks for test_torch_exports.py, which alone needs PyTorch (test/requirements-torch.txt). Each module is a group of the full tier."""

GROUPS = ("classifiers", "pictures", "sequences", "layers", "language", "further")
