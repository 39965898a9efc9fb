import jax
import jax.numpy as jnp
import numpy as np

from inception_jax.models import factory


def test_bfloat16_computes_in_bfloat16_with_float32_parameters_and_logits(tiny):
  images = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))
  model = factory.build(tiny, 10)
  variables = jax.jit(model.init)(jax.random.key(0), images)
  expected, _ = jax.jit(model.apply)(variables, images)
  tiny.precision = 'bfloat16'
  half = factory.build(tiny, 10)
  jaxpr = str(jax.make_jaxpr(half.apply)(variables, images))
  assert 'bf16' in jaxpr
  rounded, _ = jax.jit(half.apply)(variables, images)
  assert rounded.dtype == jnp.float32
  assert 0 < np.abs(rounded - expected).max() < 0.1
  dtypes = {
    x.dtype
    for x in jax.tree.leaves(
      jax.eval_shape(half.init, jax.random.key(0), images)
    )
  }
  assert dtypes == {jnp.dtype('float32')}
