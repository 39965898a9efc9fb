"""The README and the pages of docs/, as Markdown in English and Chinese."""

import collections
import re
import shlex

from tests.support.commands import ROOT

_ENGLISH = ('README.md', *sorted((ROOT / 'docs').glob('*.md')))
# (English, Chinese), as paths.
PAIRS = tuple(
  (ROOT / 'README.md', ROOT / 'README_CN.md')
  if page == 'README.md'
  else (page, page.parent / 'zh' / page.name)
  for page in _ENGLISH
)
ENGLISH = tuple(english for english, _ in PAIRS)
OTHERS = tuple(
  ROOT / name for name in ('CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md')
)
# Numbers, but not parts of names and formulas such as v3, 3×3 and 1e-6.
_NUMBER = re.compile(r'(?<![\w.,×²-])\d[\d,.]*\d|(?<![\w.,×²-])\d(?![\w×])')
_BLOCK = re.compile(r'^```(\w*)\n(.*?)^```$', re.M | re.S)


def name_of(path) -> str:
  """Returns a page's path in the repository, as the name of a test."""
  return str(path.relative_to(ROOT))


def blocks(text: str) -> list[tuple[str, str]]:
  """Returns (language, code) of each code block."""
  return _BLOCK.findall(text)


def prose(text: str) -> str:
  """Returns the text without its code blocks."""
  return _BLOCK.sub('', text)


def spans(text: str) -> list[str]:
  """Returns what is in backticks, outside of code blocks."""
  return re.findall(r'`([^`\n]+)`', prose(text))


def headings(text: str) -> list[tuple[int, str]]:
  """Returns (level, title) of each heading."""
  found = re.findall(r'^(#+) (.+)$', prose(text), re.M)
  return [(len(marks), title) for marks, title in found]


def sections(text: str) -> list[str]:
  """Returns the text in front of the first heading, then below each."""
  code = []
  kept = _BLOCK.sub(lambda m: code.append(m[0]) or f'\0{len(code) - 1}\0', text)
  parts = re.split(r'^#+ .+$', kept, flags=re.M)
  return [re.sub('\0(\\d+)\0', lambda m: code[int(m[1])], p) for p in parts]


def numbers(text: str) -> collections.Counter[str]:
  """Returns the numbers outside of code blocks, with their counts."""
  return collections.Counter(_NUMBER.findall(prose(text)))


def links(text: str) -> list[str]:
  """Returns the target of each link and image."""
  return re.findall(r'\]\(([^)\s]+)\)', prose(text))


def anchors(text: str) -> set[str]:
  """Returns the anchors that GitHub gives to the headings."""
  plain = (re.sub(r'[`*]|\[|\]\([^)]*\)', '', t) for _, t in headings(text))
  return {re.sub(r'[^\w\- ]', '', t.lower()).replace(' ', '-') for t in plain}


def commands(text: str) -> list[list[str]]:
  """Returns the words of each command in the shell blocks.

  Comments are dropped, pipes and `&&` separate commands.
  """
  found = []
  for language, code in blocks(text):
    if language != 'sh':
      continue
    for line in code.replace('\\\n', ' ').splitlines():
      lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
      lexer.whitespace_split = True
      found.append([])
      for word in lexer:
        if word in ('|', '&&', ';'):
          found.append([])
        else:
          found[-1].append(word)
  return [words for words in found if words]
