"""Einsum: the whole grammar. Equations are made at random; numpy says what they give."""

import numpy as np

from .base import FLOATS, INTS, array, oracle, pick, spec

KNOWN = ["ij->ji", "ii->i", "ii->", "ij->", "->", "i->", "i,i->", "ij,jk->ik", "bij,bjk->bik", "bhid,bhjd->bhij", "bhij,bhjd->bhid",
         "bihd,bjhd->bhij", "i,j->ij", "ij,kj->ki", "ij,j->i", "...ij,...jk->...ik", "...ij->...ji", "ij...,jk...->ik...", "a...b->...", "ij,jk",
         "ba", "...ii->...i", "ab,bc,cd->ad", "ab,ab->ab", "iij,jkk->ik", "abc,cd,def,f->abe", "bsd,dhk->bshk", ",ij->ij", "ab,cd->dbca",
         "i...,i...->...", "Ab,bA->A", "abcd,abcd->", "ab,b,b->a", "a,b,c->cba", "...,...->..."]


def random_equation(rng):
    letters = list(pick(rng, ["abcde", "ijKL", "xyzAB"]))
    terms = []
    for _ in range(rng.integers(1, 5)):
        term = [pick(rng, letters) for _ in range(rng.integers(0, 4))]
        if rng.random() < 0.2:
            term.insert(rng.integers(0, len(term) + 1), "...")
        terms.append("".join(term))
    left = ",".join(terms)
    if rng.random() < 0.2 and "..." not in left:
        return left
    used = sorted({c for c in left if c.isalpha()})
    rng.shuffle(used)
    result = used[:rng.integers(0, len(used) + 1)]
    if "..." in left:
        result.insert(rng.integers(0, len(result) + 1), "...")
    return left + "->" + "".join(result)


def spaced(rng, equation):
    """Blanks anywhere but within the dots and the arrow."""
    parts = equation.replace("...", "\0").replace("->", "\1")
    parts = "".join(c + " " * int(rng.random() < 0.2) for c in parts)
    return parts.replace("\0", "...").replace("\1", "->")


@spec("Einsum", constants=(1,))
def einsum(rng, version, name):
    equation = pick(rng, KNOWN) if rng.random() < 0.5 else random_equation(rng)
    dtype = pick(rng, FLOATS[:3] + INTS if version < 28 else FLOATS + INTS)
    large = rng.random() < 0.2 and len(equation.split("->")[0].split(",")) < 3
    sizes = {c: int(rng.integers(1, 24 if large else 5)) for c in equation if c.isalpha()}
    if rng.random() < 0.05 and sizes:
        sizes[pick(rng, sorted(sizes))] = 0
    ellipsis = [int(rng.integers(1, 4)) for _ in range(rng.integers(0, 3))]
    inputs = []
    for term in equation.split("->")[0].split(","):
        shape, own = [], ellipsis
        if rng.random() < 0.3:
            own = [1 if rng.random() < 0.4 else d for d in ellipsis[int(rng.integers(0, len(ellipsis) + 1)):]]
        for c in term.replace("...", "."):
            shape += own if c == "." else [sizes[c]]
        values = array(rng, shape, dtype)
        inputs.append((values / np.asarray(4, dtype)).astype(dtype) if np.dtype(dtype).kind not in "iu" else values)
    return {"equation": spaced(rng, equation) if rng.random() < 0.3 else equation}, inputs


@oracle("Einsum", why="numpy in double precision; the reference sums small types in themselves, which rounds and overflows otherwise")
def einsum_wanted(version, attrs, inputs):
    dtype = inputs[0].dtype
    wide = np.int64 if dtype.kind == "i" else np.uint64 if dtype.kind == "u" else np.float64
    equation = attrs["equation"].replace(" ", "")
    return [np.asarray(np.einsum(equation, *[v.astype(wide) for v in inputs])).astype(dtype)]
