"""A price list that is being made: what is there already is not made again."""

from pathlib import Path

from msma.bias.price import Price
from msma.erasure import ScaleEraser
from msma.errors import StorageError
from msma.storage import read_json, write_json

#: Folder inside that of the list; gone when the list is whole.
BEGUN = "prices-begun"


class BegunList:
    """Erasers and lines of a list that is not whole yet.

    Args:
        folder: Folder of the list; nothing is kept when ``None``.

    Raises:
        StorageError: When what is kept there is damaged.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else folder / BEGUN
        self._prices: list[Price] = []
        path = None if self._folder is None else self._folder / "lines.json"
        if path is None or not path.is_file():
            return
        try:
            self._prices = [Price.from_record(line) for line in read_json(path)]
        except (TypeError, AttributeError) as error:
            raise StorageError(
                f"'{path}' holds no lines of a price list ({error}); delete '{path.parent}' to begin it anew"
            ) from error

    def _path(self, scale: str, method: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{scale}-{method}.safetensors"

    def eraser(self, scale: str, method: str) -> ScaleEraser | None:
        """Give an eraser that was fitted before.

        Args:
            scale: Its scale.
            method: Its method.

        Returns:
            The eraser; ``None`` where there is none yet.
        """
        path = self._path(scale, method)
        return None if path is None or not path.is_file() else ScaleEraser.load(path)

    def keep(self, eraser: ScaleEraser) -> None:
        """Keep an eraser.

        Args:
            eraser: The eraser.
        """
        path = self._path(eraser.scale, eraser.method)
        if path is not None:
            eraser.save(path)

    def price(self, scale: str, method: str, strength: float) -> Price | None:
        """Give a line that was read before.

        Args:
            scale: Scale erased.
            method: Method.
            strength: Share taken out.

        Returns:
            The line; ``None`` where there is none yet.
        """
        wanted = (scale, method, strength)
        return next((p for p in self._prices if (p.scale, p.method, p.strength) == wanted), None)

    def add(self, price: Price) -> None:
        """Keep a line.

        Args:
            price: The line.
        """
        self._prices.append(price)
        if self._folder is not None:
            write_json(self._folder / "lines.json", [p.to_record() for p in self._prices])
