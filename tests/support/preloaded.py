"""What `commands.run` has imported before it forks: no backend, no flags."""

import gc

import clu.metric_writers  # noqa: F401
import flax.linen  # noqa: F401
import jax  # noqa: F401
import jax2onnx  # noqa: F401
import jinja2  # noqa: F401
import matplotlib.figure  # noqa: F401
import onnxruntime  # noqa: F401
import optax  # noqa: F401
import orbax.checkpoint  # noqa: F401
import scipy.special  # noqa: F401
import sklearn.datasets  # noqa: F401
import tensorflow  # noqa: F401

import inception_jax.evaluation.follow
import inception_jax.export.evaluation
import inception_jax.training.loop  # noqa: F401

# The memory of these is shared by all forks.
gc.freeze()
