"""The bytes of a file on their way from the server to the reader of CSV: unpacked, and looked at for what cannot be.

Generators over blocks of at most ``BLOCK`` bytes; memory holds one of them.
"""

import codecs
from collections.abc import Iterable, Iterator

from django.utils.translation import gettext as _
from isal import isal_zlib

from enrichments.importing.problems import ImportProblem

BLOCK = 256 * 1024
# rule S21: the longest line, and how many bytes may come of one
MAX_LINE = 1_000_000
MAX_RATIO = 200
# a small file may be all zeros; what it becomes still does no harm
RATIO_COUNTS_FROM = 10_000_000
GZIP_MAGIC = b"\x1f\x8b"
_WITH_GZIP_HEADER = 31


def unpacked(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """What a gzip file (of one or several members) holds. Raises ImportProblem for one that is none or cut off."""
    taken = given = 0
    unpacker = isal_zlib.decompressobj(wbits=_WITH_GZIP_HEADER)
    begun = False
    try:
        for block in blocks:
            taken += len(block)
            rest = block
            while rest:
                if unpacker.eof:
                    rest = rest.lstrip(b"\0")  # members may be padded
                    if not rest:
                        break
                    unpacker = isal_zlib.decompressobj(wbits=_WITH_GZIP_HEADER)
                begun = True
                out = unpacker.decompress(rest, BLOCK)
                given += len(out)
                if given > max(taken * MAX_RATIO, RATIO_COUNTS_FROM):
                    raise _bomb()
                if out:
                    yield out
                rest = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
    except isal_zlib.error:  # type: ignore[misc]  # the library's stub calls the class an instance
        raise ImportProblem(
            "gzip_broken",
            _("The file cannot be unpacked: it is not what gzip writes, or it is damaged."),
            _("Bring a file that gzip can unpack, or one that ends in .csv and is not compressed."),
        ) from None
    if begun and not unpacker.eof:
        raise ImportProblem(
            "gzip_cut_off",
            _("The compressed file is cut off."),
            _("Bring the whole file, and run again."),
        )


def _bomb() -> ImportProblem:
    return ImportProblem(
        "gzip_ratio",
        _("The compressed file becomes more than %(n)d times as large when it is unpacked.")
        % {"n": MAX_RATIO},
        _("Bring it uncompressed, or look at what it is."),
    )


def checked(blocks: Iterable[bytes], *, gzipped: bool) -> Iterator[bytes]:
    """The same bytes without a byte-order mark. Raises ImportProblem for what is no UTF-8, or a line without end."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines, open_line = 1, 0
    first = True
    for block in blocks:
        if first:
            _look_at_first(block, gzipped)
        _decode(decoder, block, lines)
        end = block.find(b"\n")
        if open_line + (len(block) if end < 0 else end) > MAX_LINE:
            raise _long_line(lines)
        open_line = open_line + len(block) if end < 0 else len(block) - block.rfind(b"\n") - 1
        lines += block.count(b"\n")
        block = block.removeprefix(codecs.BOM_UTF8) if first else block
        first = False
        if block:
            yield block
    _decode(decoder, b"", lines, final=True)


def pieces(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of at most ``BLOCK``; empty ones left out, the first three bytes never apart."""
    held = b""
    for block in blocks:
        block = held + block if held else block
        held = b""
        if len(block) < len(codecs.BOM_UTF8):
            held = block
            continue
        for start in range(0, len(block), BLOCK):
            yield block[start : start + BLOCK]
    if held:
        yield held


def _look_at_first(block: bytes, gzipped: bool) -> None:
    if block.startswith(GZIP_MAGIC) and not gzipped:
        raise ImportProblem(
            "compressed",
            _("The file is compressed, and its name does not end in .gz."),
            _("Give it a name that ends in .csv.gz, or bring it uncompressed."),
        )
    if block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _no_utf8(1)


def _decode(decoder: codecs.IncrementalDecoder, block: bytes, lines: int, *, final: bool = False) -> None:
    waiting = decoder.getstate()[0]
    if not waiting and not final and block.isascii():
        return
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError as error:
        raise _no_utf8(lines + error.object[: error.start].count(b"\n")) from None


def _no_utf8(line: int) -> ImportProblem:
    return ImportProblem(
        "not_utf8",
        _("The file is not written in UTF-8: line %(line)s holds other bytes.") % {"line": f"{line:,}"},
        _("Save the file as UTF-8, and run again."),
    )


def _long_line(line: int) -> ImportProblem:
    return ImportProblem(
        "line_too_long",
        _("Line %(line)s has more than 1 MB.") % {"line": f"{line:,}"},
        _("Look for a quotation mark that is not closed, or for a file that is no CSV."),
    )
