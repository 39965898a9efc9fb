"""Pytrees by path: leaf names, glob patterns, restoring from named arrays."""

import fnmatch
from typing import Any

import jax
import numpy as np

from inception_jax import errors

_MAX_DIFFERENCES = 20


def named_leaves(tree) -> dict[str, Any]:
  """Returns the leaves by path: {'params/head/dense/kernel': leaf}."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {_name(path): leaf for path, leaf in leaves}


def leaf_names(tree) -> list[str]:
  """Returns the path of each leaf, in JAX's order of the leaves."""
  return list(named_leaves(tree))


def map_names(function, tree):
  """Returns the tree of `function(path)`, 'mixed_5b/…/kernel' for one path."""
  return jax.tree_util.tree_map_with_path(
    lambda path, _: function(_name(path)), tree
  )


def split(tree, selects):
  """Splits a tree in two, with None in place of the other's leaves.

  Args:
    tree: the tree.
    selects: path, as of `map_names` → whether the leaf is in the first one.
  """
  picked = lambda wanted: jax.tree_util.tree_map_with_path(
    lambda path, x: x if selects(_name(path)) == wanted else None, tree
  )
  return picked(True), picked(False)


def join(first, second):
  """Returns the tree that `split` split."""
  return jax.tree.map(
    lambda x, other: other if x is None else x,
    first,
    second,
    is_leaf=lambda x: x is None,
  )


def update(tree, other):
  """Returns the tree with the leaves of `other` that have the same paths."""
  leaves = named_leaves(other)
  return jax.tree_util.tree_map_with_path(
    lambda path, x: leaves.get(_name(path), x), tree
  )


def restore(abstract, arrays: dict[str, np.ndarray], origin):
  """Returns `arrays` as a tree of jax.Arrays, sharded as `abstract` is.

  Args:
    abstract: the tree's shapes, dtypes and shardings.
    arrays: exactly the tree's leaves, by the names of `named_leaves`.
    origin: the file or folder of the arrays, for the error message.

  Raises:
    UserError: names, shapes or dtypes differ; lists the differences.
  """
  if faults := _differences(arrays, named_leaves(abstract)):
    raise errors.UserError(f'{origin} does not match this config:', *faults)

  def place(path, target):
    array = arrays[_name(path)]
    return jax.make_array_from_callback(
      target.shape, target.sharding, lambda index: array[index]
    )

  return jax.tree_util.tree_map_with_path(place, abstract)


def _differences(stored: dict[str, Any], expected: dict[str, Any]) -> list[str]:
  """Returns a line for each missing, unexpected or mismatched leaf."""
  lines = []
  for name in sorted(stored.keys() | expected.keys()):
    there, here = stored.get(name), expected.get(name)
    if there is None:
      lines.append(f'{name}: not in the checkpoint, {here.shape} here')
    elif here is None:
      lines.append(f'{name}: {there.shape} in the checkpoint, not here')
    elif there.shape != here.shape:
      lines.append(
        f'{name}: {there.shape} in the checkpoint, {here.shape} here'
      )
    elif there.dtype != here.dtype:
      lines.append(
        f'{name}: {there.dtype} in the checkpoint, {here.dtype} here'
      )
  return [f'  {line}' for line in errors.shorten(lines, _MAX_DIFFERENCES)]


def _name(path) -> str:
  return jax.tree_util.keystr(path, simple=True, separator='/')


def matches(path: str, pattern: str) -> bool:
  """Returns whether a glob matches `path` or one of its parents.

  'head' matches 'head/dense/kernel', as do '*/kernel' and 'head/*'.
  """
  return any(fnmatch.fnmatchcase(path, p) for p in (pattern, pattern + '/*'))


def is_frozen(path: str, patterns: tuple[str, ...]) -> bool:
  """Returns whether the first of `patterns` that matches `path` freezes it.

  A pattern that begins with '!' keeps its matches trainable: ('!head', '*')
  trains only the head.
  """
  for pattern in patterns:
    if matches(path, pattern.removeprefix('!')):
      return not pattern.startswith('!')
  return False
