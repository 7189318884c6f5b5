"""What happens to files: cut short, a bit flipped, emptied, put in another's place."""

import random
from collections.abc import Iterator

CUTS = 40
FLIPS = 40


def cuts(content: bytes, count: int = CUTS) -> Iterator[bytes]:
    """The content cut short at so many places, evenly from its first byte to its last but one."""
    for number in range(count):
        yield content[: 1 + number * (len(content) - 2) // (count - 1)]


def flips(content: bytes, count: int = FLIPS) -> Iterator[bytes]:
    """The content with one bit flipped, at so many places that are always the same."""
    for place in random.Random(0).sample(range(8 * len(content)), count):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        yield bytes(flipped)
