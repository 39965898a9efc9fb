"""Inception-v4 on ImageNet with MindCV's recipe.

  python main.py --config=configs/mindcv_inception_v4.py --workdir=DIR \
      --config.data.dir=DATA   # DATA as in inception_v4

The recipe of MindCV (configs/inceptionv4/inception_v4_ascend.yaml): a batch of
32 on each of eight devices, SGD with momentum, 200 epochs with five epochs of
warm-up from 0 and a cosine schedule, weight decay on all parameters,
AutoAugment, random erasing, Xavier's initialization. MindCV reports 80.98 %
top-1 and 95.25 % top-5, at 3,162 images/s on eight accelerators. AutoAugment is
MindCV's: timm's pairs, from which its posterize, shear and equalize differ
(inception_jax/data/augment), after crop, resize and flip, filled with the mean,
bilinear.

Differences: bfloat16 in place of float16 with a loss scale; BatchNorm's
statistics are of the whole batch, not of a device's 32 images
(--config.batch_norm='32 images'); dense layers are Xavier's, too, not U(±1/√n);
color, contrast and sharpness truncate as PIL's, where MindSpore rounds; shears
(0.15°) start from a corner, not from the center. This recipe has not been run
to the end.
"""

from inception_jax.config import defaults


def get_config():
  config = defaults.get_config()
  config.model.name = 'inception_v4'
  config.model.kernel_init = 'xavier_uniform'

  config.data.source = 'tfds:imagenet2012'
  config.data.eval_split = 'validation'
  config.data.policy = 'autoaugment_original'
  config.data.policy_noise = 0.5
  config.data.erase = 0.25
  config.data.erase_area = (0.02, 0.33)
  config.data.interpolation = 'opencv_bilinear'
  config.data.eval_crop_mode = 'mindspore_short_side'
  config.data.eval_crop_fraction = 299 / 341  # resize to 341, center crop 299
  config.data.mean = (123.675, 116.28, 103.53)
  config.data.std = (58.395, 57.12, 57.375)

  config.batch_size = 256
  config.train_for = '200 epochs'

  config.optimizer.name = 'sgd'
  config.optimizer.decay_on = ('*',)
  config.schedule.learning_rate = 0.045
  config.schedule.batch_size = 256
  config.schedule.warmup = '5 epochs'
  config.precision = 'bfloat16'
  return config
