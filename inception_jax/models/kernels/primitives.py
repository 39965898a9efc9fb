"""JAX primitives with one implementation for CPUs and another for the rest."""

from collections.abc import Callable
import functools

import jax
from jax.extend.core import Primitive
from jax.interpreters import mlir


def primitive(name: str, cpu: Callable, default: Callable) -> Primitive:
  """Returns a primitive that each platform lowers in its own way.

  The caller adds the rules for differentiation and batching. These give both
  modes of differentiation: `jax.custom_vjp` has no forward mode, and
  `jax.custom_derivatives.linear_call` neither second derivatives nor vmap.

  Args:
    name: the primitive's name in jaxprs.
    cpu: (*arrays, options) → array, the implementation on CPUs. `options` is
      hashable.
    default: the implementation on all other platforms.
  """
  new = Primitive(name)
  compiled = jax.jit(new.bind, static_argnames='options')

  @new.def_impl
  def _(*arrays, options):
    with jax.disable_jit(False):  # there is no other way to evaluate it
      return compiled(*arrays, options=options)

  @new.def_abstract_eval
  def _(*arrays, options):
    traced = jax.make_jaxpr(functools.partial(default, options=options))
    (output,) = traced(*arrays).out_avals
    return output

  for function, platform in ((cpu, 'cpu'), (default, None)):
    rule = mlir.lower_fun(function, multiple_results=False)
    mlir.register_lowering(new, rule, platform)
  return new
