"""Indexes of .zip files: what is in them, and which are refused."""

import base64
import io
import stat
import zipfile

import pytest

from inception_jax.data import zip_index
from inception_jax.errors import UserError
from tests.support.zip_files import entry
from tests.support.zip_files import raw


def read(content):
  return zip_index.read(io.BytesIO(content), 'x.zip')


def faults(content):
  with pytest.raises(UserError) as error:
    read(content)
  return error.value.faults


OVERLAPPED = entry('a', b'x' * 100), entry('b', b'x' * 100, offset=60)


@pytest.mark.parametrize(
  'entries, fault',
  [
    ([entry('../a')], 'lies outside'),
    ([entry('a/../b')], 'lies outside'),
    ([entry('/etc/a')], 'lies outside'),
    ([entry('..\\a', system=0)], 'lies outside'),
    ([entry('/')], 'lies outside'),
    ([entry('../')], 'lies outside'),
    ([entry('.')], 'lies outside'),
    ([entry('')], 'lies outside'),
    ([entry('a\0b')], 'lies outside'),
    ([entry('a/' * 40 + 'b')], 'lies outside'),
    ([entry('a', mode=stat.S_IFLNK | 0o777)], 'a link or a device'),
    ([entry('a', mode=stat.S_IFIFO)], 'a link or a device'),
    ([entry('a', mode=stat.S_IFCHR)], 'a link or a device'),
    ([entry('a', flags=1)], 'encrypted; unpack it with its password first'),
    ([entry('a', method=9)], 'compressed by Deflate64; only'),
    ([entry('a', method=12)], 'compressed by bzip2; only'),
    ([entry('a', method=14)], 'compressed by LZMA; only'),
    ([entry('a', method=93)], 'compressed by zstd; only'),
    ([entry('a', method=77)], 'compressed by method 77; only'),
    ([entry('a', size=2)], 'damaged, 1 bytes are not 2'),
    ([entry('a', method=8, size=2**32 - 2)], 'bytes are not 4294967294'),
    (OVERLAPPED, 'damaged, it overlaps'),
    ([entry('a', b'x' * 9), entry('b', b'x' * 9, offset=0)], 'overlaps'),
    ([entry('a', offset=2**31)], 'damaged, it overlaps'),
    ([entry('a'), entry('a')], 'is there twice'),
    ([entry('a/b'), entry('a//b')], 'is there twice'),
    ([entry('a/b'), entry('./a/b')], 'is there twice'),
    ([entry('a'), entry('a/b')], 'is there twice'),
    ([entry('a/b/c'), entry('a')], 'is there twice'),
    ([entry('a\\b', system=0), entry('a/b')], 'is there twice'),
  ],
)
def test_hostile_entries_are_refused(entries, fault):
  (line,) = faults(raw(*entries))
  assert line.startswith('x.zip: ') and fault in line
  assert len(line) < 300 and line.isprintable()


def test_every_fault_is_named_once():
  entries = [entry(f'{i}.jpg', flags=1) for i in range(3)]
  assert faults(raw(*entries, entry('../a'))) == (
    "x.zip: '0.jpg' and 2 more: encrypted; unpack it with its password first",
    "x.zip: '../a': lies outside of the archive",
  )


@pytest.mark.parametrize('keep', [0, 10, 60, 130, -1, -30])
def test_what_is_cut_or_no_zip_is_refused(keep):
  content = raw(entry('a', b'x' * 100), entry('b'))
  (line,) = faults(content[:keep])
  assert line.startswith('x.zip cannot be read: ')
  (line,) = faults(b'no archive' * 100)
  assert line.startswith('x.zip cannot be read: ')


def test_names_are_those_that_their_writers_meant():
  content = raw(
    entry('über/é.jpg', flags=0x800),
    entry('ünmarked.jpg'),  # macOS and Info-ZIP
    entry(b'\x81ber.jpg'),  # the code page of DOS
    entry('a\\b.jpg', system=0),  # Windows
    entry('c\\d.jpg'),
    entry('./e//f.jpg'),
    entry('./', b''),
    entry('folder/', b''),
  )
  assert [member.parts for member in read(content)] == [
    ('über', 'é.jpg'),
    ('ünmarked.jpg',),
    ('über.jpg',),
    ('a', 'b.jpg'),
    ('c\\d.jpg',),
    ('e', 'f.jpg'),
    ('',),
    ('folder', ''),
  ]
  assert read(raw()) == []


# Info-ZIP 3.0's `zip -r - ü`, where ü/é.jpg is 'hello' 99 times. Written to a
# pipe, so that sizes follow the data, as zip64.
INFO_ZIP = base64.b64decode(
  'UEsDBAoAAAAAAM51fV0AAAAAAAAAAAAAAAADABwAw7wvVVQJAAPEOgxrxDoMa3V4CwABBAAA'
  'AAAEAAAAAFBLAwQUAAgACADOdX1dAAAAAAAAAADvAQAACQAcAMO8L8OpLmpwZ1VUCQADxDoM'
  'a8Q6DGt1eAsAAQQAAAAABAAAAADLSM3Jyc8YJUYIAQBQSwcI28xbTAwAAADvAQAAUEsBAh4D'
  'CgAAAAAAznV9XQAAAAAAAAAAAAAAAAMAGAAAAAAAAAAQAO1BAAAAAMO8L1VUBQADxDoMa3V4'
  'CwABBAAAAAAEAAAAAFBLAQIeAxQACAAIAM51fV3bzFtMDAAAAO8BAAAJABgAAAAAAAEAAACk'
  'gT0AAADDvC/DqS5qcGdVVAUAA8Q6DGt1eAsAAQQAAAAABAAAAABQSwUGAAAAAAIAAgCYAAAA'
  'nAAAAAAA'
)


def test_archives_of_info_zip_are_read():
  found = [
    (name, size, content.read())
    for name, size, content in zip_index.files(io.BytesIO(INFO_ZIP), 'x.zip')
  ]
  assert found == [('ü/é.jpg', 495, b'hello' * 99)]


def test_zip64_is_read():
  file = io.BytesIO()
  with zipfile.ZipFile(file, 'w') as archive:
    with archive.open('a', 'w', force_zip64=True) as member:
      member.write(b'hello')
    archive.writestr('b', b'x')
  content = file.getvalue()
  assert [m.info.file_size for m in read(content)] == [5, 1]
  # Its index, too, as that of archives of more than 4 GB or 65,535 files.
  *_, end = read(content)
  at, size = end.end, len(content) - 22 - end.end
  index64 = b'PK\6\6' + (44).to_bytes(8, 'little') + bytes(12)
  index64 += b''.join(n.to_bytes(8, 'little') for n in (2, 2, size, at))
  locator = b'PK\6\7' + bytes(4) + (at + size).to_bytes(8, 'little')
  locator += (1).to_bytes(4, 'little')
  last = b'PK\5\6' + bytes(4) + b'\xff' * 12 + bytes(2)
  content = content[: at + size] + index64 + locator + last
  assert [m.parts for m in read(content)] == [('a',), ('b',)]
