"""Artifacts to look at: figures of matplotlib and plotly, which are only written, and images."""

import functools
import io
from typing import IO, Any, ClassVar

import attrs

from lazytrack.artifacts.base import Artifact, type_name
from lazytrack.extras import load


@attrs.define
class MatplotlibArtifact(Artifact):
    """A figure of matplotlib, as PNG. It cannot be loaded back."""

    alias: ClassVar[str] = "matplotlib"
    suffix: ClassVar[str] = "png"
    binary: ClassVar[bool] = True
    is_repeatable: ClassVar[bool] = True
    output_only: ClassVar[bool] = True
    types: ClassVar[tuple[str, ...]] = ("matplotlib.Figure",)

    @classmethod
    def check_value(cls, value: Any, **kwargs: Any) -> None:  # noqa: ARG003
        """Refuse what is no figure."""
        if not hasattr(value, "savefig"):
            raise cls.unsuitable(value, "a Figure")

    @classmethod
    def read(cls, buf: IO[bytes], **kwargs: Any) -> bytes:  # noqa: ARG003  (there is nothing to choose)
        """Return the file's bytes: the figure itself is not in it."""
        return buf.read()

    @classmethod
    def write(cls, obj: Any, buf: IO[bytes], **kwargs: Any) -> None:
        """Draw the figure; `kwargs` go to its ``savefig``.

        Raises
        ------
        TypeError
            When it is none.
        """
        cls.check_value(obj)
        obj.savefig(buf, **{"format": "png", **kwargs})


@attrs.define
class PlotlyArtifact(Artifact):
    """A figure of plotly, as a page that a browser shows. It cannot be loaded back."""

    alias: ClassVar[str] = "plotly"
    suffix: ClassVar[str] = "html"
    binary: ClassVar[bool] = False
    is_repeatable: ClassVar[bool] = True
    output_only: ClassVar[bool] = True
    types: ClassVar[tuple[str, ...]] = ("plotly.Figure",)

    @classmethod
    def check_value(cls, value: Any, **kwargs: Any) -> None:  # noqa: ARG003
        """Refuse what is no figure of plotly."""
        if not hasattr(value, "to_html") or not hasattr(value, "to_plotly_json"):
            raise cls.unsuitable(value, "a Figure of plotly")

    @classmethod
    def read(cls, buf: IO[str], **kwargs: Any) -> str:  # noqa: ARG003  (there is nothing to choose)
        """Return the page: the figure itself is not in it."""
        return buf.read()

    @classmethod
    def write(cls, obj: Any, buf: IO[str], **kwargs: Any) -> None:
        """Write the page, which needs no network to be seen; `kwargs` go to the figure's ``to_html``.

        Raises
        ------
        TypeError
            When it is none.
        """
        cls.check_value(obj)
        buf.write(obj.to_html(**kwargs))


@attrs.define
class ImageArtifact(Artifact):
    """An image of Pillow, as PNG, which loses nothing."""

    alias: ClassVar[str] = "image"
    suffix: ClassVar[str] = "png"
    binary: ClassVar[bool] = True
    is_repeatable: ClassVar[bool] = True

    @classmethod
    def suits(cls, value: Any) -> bool:
        """Tell whether this is an image that comes back with the pixels it has, whatever it was read from."""
        is_image = any(type_name(base) == "PIL.Image" for base in type(value).__mro__)
        return is_image and all(value.size) and _comes_back(value)

    @classmethod
    def check_value(cls, value: Any, **kwargs: Any) -> None:
        """Refuse what is no image, or one with colours that its format does not have."""
        image = load("PIL.Image")
        if not isinstance(value, image.Image):
            raise cls.unsuitable(value, "an image of Pillow")
        try:
            image.new(value.mode, (1, 1)).save(io.BytesIO(), format=kwargs.get("format", "PNG"))
        except (OSError, ValueError, KeyError) as error:
            raise TypeError(f"the handler 'image' cannot keep this image: {error}. Convert it first") from error

    @classmethod
    def read(cls, buf: IO[bytes], **kwargs: Any) -> Any:
        """Return the image, whole; `kwargs` go to `PIL.Image.open`."""
        image = load("PIL.Image").open(buf, **kwargs)
        image.load()
        return image

    @classmethod
    def write(cls, obj: Any, buf: IO[bytes], **kwargs: Any) -> None:
        """Write the image; `kwargs` go to its ``save``.

        Raises
        ------
        TypeError
            When it is none.
        OSError
            When PNG has no such colours, such as CMYK: convert it first.
        """
        if not isinstance(obj, load("PIL.Image").Image):
            raise cls.unsuitable(obj, "an image of Pillow")
        obj.save(buf, **{"format": "PNG", **kwargs})


def _comes_back(image: Any) -> bool:
    """Tell whether PNG has the colours of an image, and gives them back as such."""
    if image.mode == "P":  # a palette is kept, unless it is none of PNG's
        return bool(image.getpalette()) and image.palette.mode == "RGB"
    return image.mode in {"1", "L", "LA", "RGB", "RGBA"} or (image.mode == "I;16" and _has_16_bits())


@functools.cache
def _has_16_bits() -> bool:
    """Tell whether this Pillow gives an image of 16 bits back as one; earlier ones make it one of 32."""
    buf, image = io.BytesIO(), load("PIL.Image")
    image.new("I;16", (1, 1)).save(buf, format="PNG")
    return bool(image.open(buf).mode == "I;16")
