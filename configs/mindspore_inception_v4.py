"""Inception-v4 on ImageNet with MindSpore's GPU recipe.

  python -m inception_jax.tools.prepare --source=tfds:imagenet2012 \
      --data_dir=DATA   # once, from the two archives in DATA/downloads/manual
  python main.py --config=configs/mindspore_inception_v4.py --workdir=DIR \
      --config.data.dir=DATA

The recipe of mindspore-ai/models, inceptionv4/default_config_gpu.yaml: a batch
of 128 on each of eight devices, RMSProp, 250 epochs with one epoch of warm-up
and a cosine schedule, BatchNorm on features and logits, TensorFloat-32.
MindSpore reports 80.09 % top-1 and 94.57 % top-5 after 95 hours on eight GPUs,
at 906 images/s. Differences: dropout 0.2, as in the paper, where MindSpore
drops 0.8. MindSpore declares label smoothing without applying it; it is off
here, too. This recipe has not been run to the end.
"""

from configs import mindspore_inception_v3


def get_config():
  config = mindspore_inception_v3.get_config()
  config.model.name = 'inception_v4'
  config.model.aux_head = False
  config.model.aux_batch_norm = True
  config.model.head_batch_norm = True
  config.model.dropout_rate = 0.2
  config.model.bn_momentum = 0.997
  config.model.bn_epsilon = 1e-5
  config.label_smoothing = 0.0
  return config
