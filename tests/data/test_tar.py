"""Where the files in archives are, and archives that are refused."""

import io
import tarfile

import pytest

from inception_jax.data import tar as tar_lib
from tests.support.tar_files import tar

LONG = 'd' * 90 + '/' + 'é' * 60 + '/x.jpg'


def index(content):
  files = tar_lib.files(io.BytesIO(content), 'r:')
  return [(member.name, member.offset_data, member.size) for member, _ in files]


@pytest.mark.parametrize(
  'kind', [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]
)
def test_files_are_where_tarfile_finds_them(kind):
  buffer = io.BytesIO()
  with tarfile.open(fileobj=buffer, mode='w', format=kind) as archive:
    for name, size in [('a/b.jpg', 513), ('e', 0), (LONG, 512), ('c.cls', 1)]:
      if kind == tarfile.USTAR_FORMAT:
        name = name.replace('é', 'e')
      member = tarfile.TarInfo(name)
      member.size, member.mtime = size, 0.5 if size % 2 else 1
      archive.addfile(member, io.BytesIO(b'x' * size))
      folder = tarfile.TarInfo('folder')
      folder.type = tarfile.DIRTYPE
      archive.addfile(folder)
  content = buffer.getvalue()
  with tarfile.open(fileobj=io.BytesIO(content)) as archive:
    expected = [
      (m.name, m.offset_data, m.size)
      for m in archive.getmembers()
      if m.isfile()
    ]
  assert len(expected) == 4
  assert index(content) == expected


def hostile(kind, **attributes):
  member = tarfile.TarInfo('a.jpg')
  member.type = kind
  member.pax_headers = attributes
  return tar([(member, b'1')])


@pytest.mark.parametrize(
  ('content', 'fault'),
  [
    (hostile(tarfile.SYMTYPE), "'a.jpg' is a link or a device, or sparse"),
    (hostile(tarfile.LNKTYPE), "'a.jpg' is a link or a device, or sparse"),
    (hostile(tarfile.FIFOTYPE), "'a.jpg' is a link or a device, or sparse"),
    (hostile(tarfile.GNUTYPE_SPARSE), "'a.jpg' is sparse"),
    (hostile(tarfile.REGTYPE, **{'GNU.sparse.map': '1'}), 'or sparse'),
    (hostile(tarfile.REGTYPE, size='9999'), 'unexpected end of data'),
    (hostile(tarfile.REGTYPE, size='-1'), "'a.jpg' is a link or a"),
    (tar([('a', b'1')])[:1024], 'truncated or damaged: empty header'),
    (tar([('a', b'1')])[:700], 'unexpected end of data'),
    (tar([('a', b'1' * 600)])[:700], 'unexpected end of data'),
    (b'', 'truncated or damaged: empty header'),
    (bytes(10240)[:100], 'truncated or damaged: truncated header'),
    (b'GIF89a' * 200, 'truncated or damaged: invalid header'),
    (tar([('a', b''), ('b', b'')]).replace(b'b\0', b'c\0'), 'bad checksum'),
    (tar([('a', b'')])[:1024] + tar([('b', b'')]), 'data behind the end'),
  ],
)
def test_hostile_archives(content, fault):
  with pytest.raises((tarfile.TarError, ValueError), match=fault):
    index(content)


def test_attributes_of_any_size_are_not_read():
  content = bytearray(hostile(tarfile.REGTYPE, comment='x'))
  content[124:136] = b'%011o\0' % 2**30
  content[148:156] = b' ' * 8
  content[148:156] = b'%06o\0 ' % sum(content[:512])
  with pytest.raises(
    (tarfile.TarError, ValueError), match='a header of 1073741824 bytes'
  ):
    index(bytes(content))
