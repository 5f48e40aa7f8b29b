import hashlib
import io

import numpy as np
import pytest

from lazytrack.files import Upload


class Trickle(io.BytesIO):
    """Takes at most three bytes at a time, as a raw file may."""

    def write(self, data):
        return super().write(bytes(data[:3]))


class Full(io.BytesIO):
    def write(self, data):
        raise OSError(28, "No space left on device")


def test_an_upload_goes_on_until_a_slow_sink_has_taken_everything():
    sink = Trickle()
    upload = Upload(sink)
    assert upload.write(b"0123456789") == 10
    assert sink.getvalue() == b"0123456789"
    assert upload.size == 10
    assert upload.sha256 == hashlib.sha256(b"0123456789").hexdigest()


def test_an_upload_is_for_writing_alone():
    upload = Upload(io.BytesIO())
    assert upload.writable()
    assert not upload.readable()
    assert not upload.seekable()


def test_a_full_disk_is_heard_of():
    with pytest.raises(OSError, match="No space left"):
        Upload(Full()).write(b"1")


def test_after_an_abort_nothing_reaches_the_sink():
    sink = io.BytesIO()
    upload = Upload(sink)
    upload.write(b"before")
    upload.abort()
    assert upload.write(b"after") == 5
    assert sink.getvalue() == b"before"


def test_a_buffer_that_is_not_contiguous_is_refused():
    with pytest.raises((TypeError, BufferError, ValueError)):
        Upload(io.BytesIO()).write(memoryview(b"abcdef")[::2])


def test_text_is_refused():
    with pytest.raises(TypeError):
        Upload(io.BytesIO()).write("text")


BUFFERS = {
    "bytearray": bytearray(b"abc"),
    "memoryview": memoryview(b"abcdef")[1:4],
    "floats": np.arange(6.0),
    "matrix": np.arange(6, dtype=np.int16).reshape(2, 3),
    "by columns": np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
    "zero-dimensional": np.array(2.5),
    "nothing": np.zeros(0),
    "no rows": np.zeros((0, 3)),
    "halves": np.arange(3, dtype=np.float16),
    "complex": np.array([1j, 2]),
    "big-endian": np.arange(3, dtype=">f8"),
    "booleans": np.array([True, False]),
    "structures": np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
    "large": np.arange(200_000, dtype=np.float32),
}


@pytest.mark.parametrize("buffer", BUFFERS.values(), ids=BUFFERS.keys())
def test_an_upload_takes_any_contiguous_buffer_and_counts_its_bytes(buffer):
    sink = io.BytesIO()
    upload = Upload(sink)
    expected = buffer.tobytes("A") if hasattr(buffer, "tobytes") else bytes(buffer)
    assert upload.write(buffer) == upload.size == len(expected)
    assert sink.getvalue() == expected
    assert upload.sha256 == hashlib.sha256(expected).hexdigest()
