"""Inception-v3 on ImageNet with MindSpore's GPU recipe.

  python -m inception_jax.tools.prepare --source=tfds:imagenet2012 \
      --data_dir=DATA   # once, from the two archives in DATA/downloads/manual
  python main.py --config=configs/mindspore_inception_v3.py --workdir=DIR \
      --config.data.dir=DATA

The recipe of mindspore-ai/models, inceptionv3/default_config_gpu.yaml: a batch
of 128 on each of eight devices, RMSProp, 250 epochs with one epoch of warm-up
and a cosine schedule, an auxiliary head without BatchNorm, dropout 0.5, label
smoothing, TensorFloat-32. A run of MindSpore's on four GPUs, stopped after 108
epochs, had 48.47 % top-1 and 74.05 % top-5, at 447 images/s. This recipe has
not been run to the end.
"""

from configs import default


def get_config():
  config = default.get_config()
  config.model.name = 'inception_v3'
  config.model.aux_head = True
  config.model.aux_batch_norm = False
  config.model.dropout_rate = 0.5
  config.aux_loss_weight = 0.2

  config.data.source = 'tfds:imagenet2012'
  config.data.eval_split = 'validation'
  config.data.color_jitter = (0.4, 0.4, 0.4, 0.0)
  config.data.eval_crop_mode = 'short_side'
  config.data.eval_crop_fraction = 1.0
  config.data.mean = (123.675, 116.28, 103.53)
  config.data.std = (58.395, 57.12, 57.375)

  config.batch_size = 1024
  config.train_for = '250 epochs'

  config.schedule.learning_rate = 0.4
  config.schedule.batch_size = 1024
  config.schedule.warmup = '1 epoch'
  config.schedule.init_learning_rate = 4e-5
  config.schedule.end_learning_rate = 4e-6
  config.precision = 'tensorfloat32'
  return config
