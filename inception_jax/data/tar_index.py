"""Where the files in an uncompressed .tar are, so that they can be read there.

`tar.files` reads strangers' archives of any kind; of a million files, that
takes a minute. This one reads the headers alone, of the kinds that hold files.
"""

from collections.abc import Iterator
import re

_BLOCK = 512
_READ = 4096  # also has the headers that follow small files
_MOST_HEADER = 2**20  # bytes of a long name, or of a file's attributes
_FILE = (b'0', b'\0', b'7')
_FOLDER, _PAX, _GLOBAL, _LONG_NAME = b'5', b'x', b'g', b'L'
_ATTRIBUTE = re.compile(rb'(\d{1,20}) ([^=]+)=')
_DAMAGED = 'a header is damaged'
_NO_TAR = 'it is no uncompressed .tar'


def index(read, size: int) -> Iterator[tuple[str, int, int]]:
  """Yields name, offset and size in bytes of each file in an archive.

  Args:
    read: (offset, count) → at most `count` bytes of the archive.
    size: of the archive, in bytes.

  Raises:
    ValueError: a link, a device or a sparse file; it is damaged, truncated,
      compressed, or no .tar.
  """
  at, block, begin, attributes = 0, b'', 0, {}
  while True:
    if not begin <= at <= begin + len(block) - _BLOCK:
      block, begin = read(at, _READ), at
    header = block[at - begin : at - begin + _BLOCK]
    if len(header) < _BLOCK:
      raise ValueError('it is truncated: there is no end' if at else _NO_TAR)
    if not header.strip(b'\0'):
      break
    length = _check(header, at)
    kind, at = header[156:157], at + _BLOCK
    if kind in (_PAX, _GLOBAL, _LONG_NAME):
      if length > _MOST_HEADER:
        raise ValueError(f'a header of {length} bytes')
      content = read(at, length)
      if kind == _LONG_NAME:
        attributes[b'path'] = content.rstrip(b'\0')
      elif kind == _PAX:
        attributes |= _attributes(content)
    else:
      name = attributes.get(b'path') or _name(header)
      name = name.decode(errors='surrogateescape')
      if kind in _FILE:
        if b'size' in attributes:
          length = _number(attributes[b'size'], 10, _DAMAGED)
        if length > size - at:
          raise ValueError(
            f'it is truncated: {name[:80]!r} ends behind its end'
          )
        yield name, at, length
      elif kind != _FOLDER:
        raise ValueError(f'{name[:80]!r} is a link or a device, or sparse')
      else:
        length = 0
      attributes = {}
    at += -(-length // _BLOCK) * _BLOCK
  # A header that was overwritten with zeros looks like the end.
  while rest := read(at, 2**22):
    if rest.strip(b'\0'):
      raise ValueError('there are data behind the end of the archive')
    at += len(rest)


def _check(header: bytes, at: int) -> int:
  """Returns the size in a header whose checksum is right."""
  wrong = _DAMAGED if at else _NO_TAR
  stored = _number(header[148:156].strip(b' \0') or b'-', 8, wrong)
  if sum(header) - sum(header[148:156]) + 8 * ord(' ') != stored:
    raise ValueError(wrong)
  digits = header[124:136]
  if digits[0] == 0x80:  # GNU's base 256
    return int.from_bytes(digits[1:])
  return _number(digits.strip(b' \0') or b'0', 8, wrong)


def _number(digits: bytes, base: int, wrong: str) -> int:
  if not digits.isdigit() or len(digits) > 20:
    raise ValueError(wrong)
  return int(digits, base)


def _name(header: bytes) -> bytes:
  """Returns the name in a header; POSIX's may have a second part."""
  name = header[:100].split(b'\0', 1)[0]
  prefix = header[345:500].split(b'\0', 1)[0]
  if header[257:263] == b'ustar\0' and prefix:
    return prefix + b'/' + name
  return name


def _attributes(content: bytes) -> dict[bytes, bytes]:
  """Returns the attributes in a POSIX header that matter here."""
  found, at = {}, 0
  while at < len(content) and content[at : at + 1] != b'\0':
    match = _ATTRIBUTE.match(content, at)
    end = at + int(match[1]) if match else 0
    if not match or not match.end() < end <= len(content):
      raise ValueError(_DAMAGED)
    if match[2].startswith(b'GNU.sparse'):
      raise ValueError('a file is sparse')
    if match[2] in (b'path', b'size'):
      found[match[2]] = content[match.end() : end - 1]
    at = end
  return found
