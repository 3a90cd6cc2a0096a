"""Where the simulator's chance comes from: seeded, so that a world can be had again."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import TypeVar
from zlib import crc32

T = TypeVar("T")


def dice(seed: int, purpose: str) -> Random:
    """Return dice of their own for one purpose, so that drawing for one never shifts another."""
    return Random(crc32(purpose.encode()) ^ (seed * 2_654_435_761))  # noqa: S311 - chance in a simulator guards nothing


def weighted(rng: Random, weights: Mapping[T, float]) -> T:
    """Draw one key; each weight is its share of the sum 1."""
    at = rng.random()
    for value, weight in weights.items():
        at -= weight
        if at < 0:
            return value
    return next(iter(weights))


def uuid(rng: Random) -> str:
    """Draw a version 4 UUID."""
    h = f"{rng.getrandbits(128):032x}"
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{'89ab'[int(h[16], 16) & 3]}{h[17:20]}-{h[20:]}"


def digits(rng: Random, count: int) -> str:
    """Draw a number of `count` digits that does not begin with 0."""
    return str(rng.randrange(10 ** (count - 1), 10**count))


def size(rng: Random, median: float, spread: float, most: int) -> int:
    """Draw a log-normal size: half lie below `median`, few are far above it, none above `most`."""
    return min(most, int(median * rng.lognormvariate(0.0, spread)))


def pick(rng: Random, values: Sequence[T]) -> T:
    """Draw one of `values`; cheaper than `Random.choice`, which half of building a world would go to."""
    return values[int(rng.random() * len(values))]
