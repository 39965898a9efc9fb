"""Fine-tunes trained weights on a folder of one's own images.

  python -m inception_jax.tools.import_weights \
      --weights=inception_v4.safetensors --output=IMPORTED
  python main.py --config=configs/fine_tune_folder.py --workdir=DIR \
      --config.data.dir=IMAGES --config.fine_tune.checkpoint=IMPORTED

IMAGES/train/CLASS/… and IMAGES/val/CLASS/…; as many classes as there are
folders. Momentum at a low rate, ten times as high for the new classifier, a
cosine over 20 epochs, averaged weights; preprocessing as the weights have it.
For few images: --config.fine_tune.freeze="('!head','*')" trains the classifier
alone. Another network: --config.model.name. What accuracy to expect depends on
the images; one accelerator does.
"""

from configs import default


def get_config():
  config = default.get_config()
  config.model.name = 'inception_v4'
  config.model.bn_momentum = 0.99

  config.data.source = 'folder'
  config.data.eval_split = 'val'
  config.data.crop_area = (0.25, 1.0)

  config.batch_size = 32
  config.train_for = '20 epochs'
  config.log_every = '20 steps'

  config.optimizer.name = 'sgd'
  config.optimizer.rates = (('head', 10.0), ('*', 1.0))
  config.schedule.learning_rate = 2e-3
  config.schedule.batch_size = 32
  config.schedule.warmup = '1 epoch'
  config.ema_decay = 0.99
  config.precision = 'tensorfloat32'
  return config
