"""Fine-tunes pretrained weights on a folder of images.

  python main.py --config=configs/fine_tune_folder.py --workdir=DIR \
      --config.data.dir=IMAGES --config.fine_tune.checkpoint=WEIGHTS

WEIGHTS is another framework's file, such as inception_v4.safetensors, a run or
a checkpoint; the network is that of the weights. Images are in
IMAGES/train/CLASS/… and IMAGES/val/CLASS/…; the network gets one output for
each class folder. Without a val, or with the classes in IMAGES/CLASS/…, add
--config.data.val_fraction=0.1: a tenth of the images is held out. SGD with
momentum at a low learning rate, ten times that for the new classifier, a cosine
schedule over 20 epochs, a moving average of the weights, and the preprocessing
of the pretrained weights.

With few images, --config.fine_tune.freeze="('!head','*')" trains the classifier
only, and --config.fine_tune.cache_features=True does so on features computed
once. For classes of unequal size, see --config.data.class_weights=balanced and
--config.best_by=balanced_accuracy. One accelerator is enough; the accuracy
depends on the images.
"""

from inception_jax.config import defaults


def get_config():
  config = defaults.get_config()
  config.model.name = ''  # of the weights, like the stem
  config.model.width = 0.0
  config.model.bn_momentum = 0.99

  config.data.source = 'folder'
  config.data.eval_split = 'val'
  config.data.crop_area = (0.25, 1.0)
  config.data.exif = 'apply'  # photographs of phones

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
