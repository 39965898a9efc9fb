"""Messages fit to print."""

import pytest

from inception_jax import errors


@pytest.mark.parametrize(
  ('text', 'printed'),
  [
    ('a b — ü 狗 👍', 'a b — ü 狗 👍'),
    ('全角\u3000空白 می\u200cخواهم', '全角\u3000空白 می\u200cخواهم'),
    ('a\nerror: b\r', r'a\nerror: b\r'),
    ('\x1b[2J\x9b31m\x00', r'\x1b[2J\x9b31m\x00'),
    ('safe\u202egnp.exe', r'safe\u202egnp.exe'),
    ('\u2028\u2029', r'\u2028\u2029'),
    ('caf\udce9', r'caf\udce9'),  # a file name that is not UTF-8
  ],
)
def test_what_does_not_print_becomes_an_escape(text, printed):
  assert errors.printable(text) == printed
  assert printed.encode()


def test_long_text_keeps_both_ends():
  printed = errors.printable('begin' + 'x' * 10**7 + 'end')
  assert len(printed) < 2010
  assert printed.startswith('begin') and printed.endswith('end')
