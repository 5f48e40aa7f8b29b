"""Artifacts to look at: figures of matplotlib and plotly, which are only written, and images."""

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
        if not hasattr(obj, "savefig"):
            raise cls.unsuitable(obj, "a Figure")
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
        if not hasattr(obj, "to_html") or not hasattr(obj, "to_plotly_json"):
            raise cls.unsuitable(obj, "a Figure of plotly")
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
        """Tell whether this is an image, whatever it was read from."""
        return any(type_name(base) == "PIL.Image" for base in type(value).__mro__)

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
