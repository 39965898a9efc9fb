"""Pytrees by path: glob patterns, leaf names, restoring from named arrays."""

import fnmatch
from typing import Any

import jax
import numpy as np

from inception_jax import errors

_MOST_DIFFERENCES = 20


def named_leaves(tree) -> dict[str, Any]:
  """The leaves of a tree: {'params/head/dense/kernel': leaf}."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {_name(path): leaf for path, leaf in leaves}


def restore(abstract, arrays: dict[str, np.ndarray], origin):
  """The tree of these arrays, each placed where `abstract` says.

  Args:
    abstract: shapes, dtypes and shardings.
    arrays: by the names that `named` gives them, neither more nor fewer.
    origin: of the arrays, for the message.

  Raises:
    UserError: they are of another tree; every difference is listed.
  """
  if faults := _differences(arrays, named_leaves(abstract)):
    raise errors.UserError(f'{origin} is not of this config:', *faults)

  def place(path, wanted):
    array = arrays[_name(path)]
    return jax.make_array_from_callback(
      wanted.shape, wanted.sharding, lambda index: array[index]
    )

  return jax.tree_util.tree_map_with_path(place, abstract)


def _differences(stored: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
  """A line for each leaf that one has alone, or that is of another kind."""
  lines = []
  for name in sorted(stored.keys() | wanted.keys()):
    there, here = (tree.get(name) for tree in (stored, wanted))
    if there is None:
      lines.append(f'{name}: not in the checkpoint, {here.shape} here')
    elif here is None:
      lines.append(f'{name}: {there.shape} in the checkpoint, not here')
    else:
      for a, b in ((there.shape, here.shape), (there.dtype, here.dtype)):
        if a != b:
          lines.append(f'{name}: {a} in the checkpoint, {b} here')
          break
  return [f'  {line}' for line in errors.shorten(lines, _MOST_DIFFERENCES)]


def _name(path) -> str:
  return jax.tree_util.keystr(path, simple=True, separator='/')


def matches(path: str, pattern: str) -> bool:
  """Whether a glob names `path`, or what it lies in.

  'head' matches 'head/dense/kernel', as do '*/kernel' and 'head/*'.
  """
  return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(
    path, pattern + '/*'
  )


def is_frozen(path: str, patterns: tuple[str, ...]) -> bool:
  """Whether the first of `patterns` that matches `path` freezes it.

  One that begins with '!' keeps it trainable: ('!head', '*') trains the head
  alone.
  """
  for pattern in patterns:
    if matches(path, pattern.removeprefix('!')):
      return not pattern.startswith('!')
  return False


def leaf_names(tree) -> list[str]:
  """Each leaf's path, 'mixed_5b/branch0_0/conv/kernel', as jax orders them."""
  return jax.tree.leaves(map_names(lambda name: name, tree))


def map_names(function, tree):
  """`function` of each leaf's path, 'mixed_5b/branch0_0/conv/kernel'."""

  def of_leaf(path, _):
    return function(jax.tree_util.keystr(path, simple=True, separator='/'))

  return jax.tree_util.tree_map_with_path(of_leaf, tree)
