"""Every key with its default; the recipes beside this file change some.

  python main.py --config=configs/NAME.py --workdir=DIR --config.KEY=VALUE

A duration is a number with its unit: '2000 steps', '90 epochs', '5 percent'
(of the training).
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """The defaults; on their own they train Inception-v3 on the digits."""
  config = ConfigDict()
  # Weights, order of the images, augmentation and dropout follow from it.
  config.seed = 0

  config.model = ConfigDict()
  config.model.name = 'inception_v3'  # inception_v4, inception_resnet_v2
  config.model.num_classes = 0  # 0: as many as the dataset has
  config.model.width = 1.0  # multiplies channels, to multiples of 8
  config.model.stem = 'imagenet'  # 'imagenet' for 299×299, 'small' for 32×32
  config.model.dropout_rate = 0.2  # share that is dropped before the logits
  config.model.aux_head = False  # the auxiliary classifier, in training only
  config.model.bn_momentum = 0.9997  # share of the old moving statistics
  config.model.bn_epsilon = 1e-3

  config.data = ConfigDict()
  config.data.source = 'digits'  # or synthetic, tfds:NAME
  config.data.dir = ''  # of tfds: empty means $TFDS_DATA_DIR or its default
  config.data.train_split = 'train'  # tfds: any expression, 'train[:99%]'
  config.data.eval_split = 'test'
  config.data.image_size = 299
  config.data.shuffle_buffer = 8192  # undecoded records; tfds's TFRecords only
  config.data.interpolation = 'bilinear'  # or bicubic, area, nearest
  config.data.train_crop = 'random'  # random area and ratio, or 'none'
  config.data.crop_area = (0.08, 1.0)  # of the image, for 'random'
  config.data.crop_ratio = (3 / 4, 4 / 3)  # width over height, for 'random'
  config.data.pad = 0  # pixels of black around, then a random crop back
  config.data.flip = True  # left and right, at random
  config.data.color_jitter = 0.0  # brightness, contrast, saturation: 1 ± this
  config.data.eval_crop_fraction = 0.875  # central share of height and width
  config.data.mean = (127.5, 127.5, 127.5)  # of 0…255: inputs in [−1, 1]
  config.data.std = (127.5, 127.5, 127.5)

  config.batch_size = 256  # of all devices together
  config.train_for = '100 epochs'
  config.eval_every = '1 epoch'
  config.checkpoint_every = '1 epoch'
  config.log_every = '100 steps'
  config.checkpoint_keep = 3  # the newest so many, and the best besides

  config.optimizer = ConfigDict()
  config.optimizer.name = 'rmsprop'  # TensorFlow's; or sgd
  config.optimizer.decay = 0.9  # of RMSProp's mean square
  config.optimizer.epsilon = 1.0  # inside RMSProp's square root
  config.optimizer.momentum = 0.9
  config.optimizer.nesterov = False

  config.schedule = ConfigDict()
  config.schedule.name = 'cosine'  # or constant
  config.schedule.learning_rate = 0.1  # after the warm-up, for this batch size
  config.schedule.warmup = '5 epochs'  # linear; '0 steps' for none
  config.schedule.init_learning_rate = 0.0  # where the warm-up starts
  config.schedule.end_learning_rate = 0.0  # where the cosine ends

  config.label_smoothing = 0.1  # in the training loss only
  config.aux_loss_weight = 0.4  # where there is an auxiliary head
  config.weight_decay = 4e-5  # coupled, on kernels only
  config.ema_decay = 0.0  # of weights and BN statistics; 0: no average
  config.precision = 'float32'  # of the computation; or bfloat16
  return config
