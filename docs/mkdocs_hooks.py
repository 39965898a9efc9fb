"""Hooks of mkdocs: files of the repository that pages link to join the site.

Pages link to recipes, ledgers and other files outside docs/ by relative paths,
so that the links work in a checkout and on GitHub. mkdocs knows docs/ alone.
"""

import os
import pathlib
import re

from mkdocs.structure.files import File

DOCS = pathlib.Path(__file__).parent
ROOT = DOCS.parent
_LINK = re.compile(r'(?<=\]\()(?!\w+:|#)([^)#\s]+)')
# A line break between Chinese characters, which browsers show as a space.
_BREAK = re.compile(
  r'(?<=[\u3001-\u303f\u4e00-\u9fff\uff00-\uffef])\n'
  r'(?=[\u3001-\u303f\u4e00-\u9fff\uff00-\uffef\[])'
)
# Where the site has files from outside docs/.
_OUTSIDE = 'repository'


def on_files(files, config):
  """Adds the files outside docs/ that pages, and these files, link to."""
  queue = [file.abs_src_path for file in files.documentation_pages()]
  found = set(queue)
  while queue:
    path = pathlib.Path(queue.pop())
    if path.suffix != '.md':
      continue
    for link in _LINK.findall(path.read_text()):
      target = os.path.normpath(path.parent / link)
      if target in found or not os.path.isfile(target):
        continue
      found.add(target)
      queue.append(target)
      if not target.startswith(f'{DOCS}{os.sep}'):
        name = _site_path(target)
        files.append(File.generated(config, name, abs_src_path=target))
  return files


def on_page_markdown(markdown, page, config, files):
  """Points links to files outside docs/ to where the site has them.

  Also joins the lines of Chinese paragraphs.
  """
  source = pathlib.Path(page.file.abs_src_path).parent
  folder = os.path.dirname(page.file.src_uri)

  def move(match):
    target = os.path.normpath(source / match[1])
    if not os.path.isfile(target):
      return match[1]
    return os.path.relpath(_site_path(target), folder or '.')

  return _BREAK.sub('', _LINK.sub(move, markdown))


def _site_path(path: str) -> str:
  """Returns where the site has a file of the repository."""
  if path.startswith(f'{DOCS}{os.sep}'):
    return os.path.relpath(path, DOCS)
  return os.path.join(_OUTSIDE, os.path.relpath(path, ROOT))
