"""Inception-v3 on ImageNet as in its paper, with TF-slim's data.

  python main.py --config=configs/slim_inception_v3.py --workdir=DIR \
      --config.data.dir=DATA   # DATA as in inception_v3

Szegedy et al. (2015), section 8, and Google's code for it (tensorflow/models,
inception and research/slim): 50 replicas with a batch of 32 each, RMSProp, a
learning rate of 0.045 × 0.94 every two epochs, gradients clipped at a norm of
2.0, a moving average of the weights, the auxiliary head, weight decay on
kernels. The paper reports 78.8 % top-1 and 94.4 % top-5 for a single crop,
after 100 epochs.

Differences: TensorFloat-32 in place of float32; BatchNorm has a scale γ, and
statistics of the whole batch, not of a device's 32 images (here,
--config.batch_norm='32 images'); kernels start from slim's He initialization,
logits from Glorot's, the paper's code from a deviation of 0.1; clipping leaves
out the gradient of the weight decay. This recipe has not been run to the end.
"""

from inception_jax.config import recipes


def get_config():
  config = recipes.get_config('inception_v3')
  config.model.bn_momentum = 0.9997

  config.data.color_distortion = 'slim'
  config.data.interpolation = 'tf1_bilinear'
  config.data.eval_crop_mode = 'tf_central'

  config.batch_size = 1600
  config.train_for = '100 epochs'

  config.optimizer.clip_norm = 2.0
  config.schedule.name = 'exponential'
  config.schedule.learning_rate = 0.045
  config.schedule.batch_size = 1600
  config.schedule.warmup = '0 steps'
  config.schedule.decay_every = '2 epochs'
  config.ema_decay = 0.9999
  config.precision = 'tensorfloat32'
  return config
