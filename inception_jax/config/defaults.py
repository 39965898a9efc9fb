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
  # inception_v3, inception_v4, inception_resnet_v2 and, for 32×32 images,
  # cifar_inception_v3, cifar_inception_v4, cifar_inception_resnet_v2
  config.model.name = 'inception_v3'
  config.model.num_classes = 0  # 0: as many as the dataset has
  config.model.width = 1.0  # multiplies channels, to multiples of 8
  config.model.stem = ''  # 'imagenet' for 299×299, 'small' for 32×32; '': own
  config.model.dropout_rate = 0.2  # share that is dropped before the logits
  config.model.aux_head = False  # the auxiliary classifier, in training only
  config.model.aux_batch_norm = True  # False: bare convolutions, MindSpore's
  config.model.head_batch_norm = False  # of features and logits: MindSpore's v4
  config.model.bn_momentum = 0.9997  # share of the old moving statistics
  # What is 0 or empty here and below follows the card of the weights or, for
  # new ones, of the network (inception_jax/models).
  config.model.bn_epsilon = 0.0
  config.model.pool_padding = ''  # of average pools: 'counted' or 'ignored'

  config.data = ConfigDict()
  config.data.source = 'digits'  # README.md lists the others
  config.data.dir = ''  # tfds: empty means $TFDS_DATA_DIR or its default
  # Of a folder their names; tfds: any expression, 'train[:99%]'.
  config.data.train_split = 'train'
  config.data.eval_split = 'test'
  config.data.image_size = 0  # the card's: 299, or 32
  config.data.channels = 3  # or 1: images are made grey
  config.data.label_offset = 1  # of the first class; tfrecord only
  config.data.max_bad_fraction = 0.001  # of images that cannot be decoded
  config.data.max_pixels = 80_000_000  # of an image; more is not decoded
  config.data.shuffle_buffer = 8192  # undecoded records; tfds's TFRecords only
  config.data.interpolation = ''  # bilinear, bicubic, area, nearest; '': card's
  config.data.train_crop = 'random'  # random area and ratio, or 'none'
  config.data.crop_area = (0.08, 1.0)  # of the image, for 'random'
  config.data.crop_ratio = (3 / 4, 4 / 3)  # width over height, for 'random'
  config.data.pad = 0  # pixels of black around, then a random crop back
  config.data.flip = True  # left and right, at random
  config.data.rotate = 0.0  # up to so many degrees to either side
  config.data.policy = ''  # autoaugment (ImageNet's), randaugment; '': none
  config.data.rand_ops = 2  # of RandAugment, for each image
  config.data.rand_magnitude = 9.0  # of 30, torchvision's scale; timm's is 10
  # Brightness, contrast, saturation: 1 ± this; hue: ± this share of its circle
  config.data.color_jitter = (0.0, 0.0, 0.0, 0.0)
  config.data.brightness_shift = 0.0  # ± this share of white: TensorFlow's
  config.data.erase = 0.0  # odds of random erasing
  config.data.erase_area = (0.02, 1 / 3)  # of the image
  config.data.erase_ratio = (0.3, 3.3)  # height over width
  config.data.erase_with = 'mean'  # or noise
  config.data.mixup = 0.0  # α of mixup's Beta(α, α); 0: none
  config.data.cutmix = 0.0  # α of CutMix; with both, each batch has one of them
  config.data.eval_crop_mode = ''  # central, short_side or squash; '': card's
  config.data.eval_crop_fraction = 0.0  # of what the mode says; 0: the card's
  # single, that crop; mirror, and its mirror image; 12_crops or 144_crops,
  # GoogLeNet's. Probabilities are averaged.
  config.data.eval_protocol = 'single'
  config.data.mean = ()  # of each channel, in 0…255; (): the card's
  config.data.std = ()

  config.batch_size = 256  # of all devices together
  config.train_for = '100 epochs'
  config.eval_every = '1 epoch'
  config.checkpoint_every = '1 epoch'
  config.log_every = '100 steps'
  config.histogram_every = '0 steps'  # of weights, in TensorBoard; 0: never
  config.checkpoint_keep = 3  # the newest so many, and the best besides
  config.checkpoint_keep_every = '0 epochs'  # these for ever; 0: none
  config.best_by = 'top1'  # or top5, loss: which checkpoint is the best
  config.stop_at_top1 = 0.0  # of an evaluation that ends the training; 0: none
  config.watchdog_minutes = 30.0  # without a step end the training; 0: never
  # Keys, or globs of them, that a resumed training may have otherwise than it
  # began with though they change what it computes: 'batch_size,schedule.*'
  config.allow_changed = ''

  config.optimizer = ConfigDict()
  # rmsprop (TensorFlow's), sgd, adamw, lamb or lion
  config.optimizer.name = 'rmsprop'
  config.optimizer.decay = 0.9  # of RMSProp's mean square
  # 0: rmsprop 1.0, inside its square root; adamw 1e-8; lamb 1e-6
  config.optimizer.epsilon = 0.0
  config.optimizer.betas = ()  # adamw, lamb, lion; (): their authors'
  config.optimizer.momentum = 0.9  # rmsprop, sgd
  config.optimizer.nesterov = False
  config.optimizer.clip_norm = 0.0  # of all gradients together; 0: no limit
  config.optimizer.clip_value = 0.0  # of each element of them; 0: no limit
  # Globs of the parameters that weight_decay is for; ('*',): all of them. The
  # kernels alone are TF-slim's and Google's choice.
  config.optimizer.decay_on = ('*/kernel',)
  # rmsprop, sgd: apart from the gradient; adamw, lamb, lion: always so
  config.optimizer.decoupled_decay = False
  # (glob, factor on the learning rate) pairs, first match wins, and one must:
  # (('head', 10.0), ('*', 1.0)); (): 1.0 for all.
  config.optimizer.rates = ()
  # Splits the optimizer's state and the moving average over the devices
  # (ZeRO-1): less memory on each, a little more traffic, the same arithmetic.
  config.optimizer.shard_state = False

  config.schedule = ConfigDict()
  # cosine, linear, constant, exponential, multi_step or one_cycle
  config.schedule.name = 'cosine'
  config.schedule.learning_rate = 0.1  # the highest
  # The batch that the rates are for: they grow in proportion with batch_size;
  # 0: they stay as they are.
  config.schedule.batch_size = 0
  config.schedule.cold = '0 steps'  # at the first rate, before the warm-up
  config.schedule.warmup = '5 epochs'  # linear; '0 steps' for none
  config.schedule.init_learning_rate = 0.0  # where the warm-up starts
  config.schedule.end_learning_rate = 0.0  # at the end, or the lowest
  config.schedule.decay_rate = 0.94  # factor of exponential and multi_step
  config.schedule.decay_every = '2 epochs'  # exponential
  config.schedule.staircase = True  # exponential: all at once, not bit by bit
  config.schedule.milestones = ()  # multi_step: ('60 epochs', '80 percent')

  config.fine_tune = ConfigDict()
  # A run's folder, a checkpoint, or a file that import_weights can read.
  config.fine_tune.checkpoint = ''
  # Globs over parameter paths, first match wins: 'mixed_5*' freezes what is
  # named so and its BatchNorm's statistics, '!head' keeps the head trainable.
  config.fine_tune.freeze = ()

  # cross_entropy, of a softmax, or binary_cross_entropy, of every class alone;
  # the loss of an evaluation is always the first.
  config.loss = 'cross_entropy'
  config.label_smoothing = 0.1  # in the training loss only
  config.aux_loss_weight = 0.4  # where there is an auxiliary head
  config.weight_decay = 4e-5
  config.ema_decay = 0.0  # of weights and BN statistics; 0: no average
  # Of the computation. float32 is exact on every device; tensorfloat32 rounds
  # what convolutions multiply to ten bits on GPUs, which is faster; or
  # bfloat16, float16.
  config.precision = 'float32'
  # The same bits from every run, which a resume needs that is to be as if
  # nothing had happened. For GPUs, where v3 then trains at half the speed.
  config.deterministic = False
  config.loss_scale = 0.0  # of float16: fixed; 0: dynamic
  # BatchNorm's statistics in training: 'global', of the whole batch, or
  # 'replica', of each device's part of it, as in the papers.
  config.batch_norm = 'global'
  # Parts of the batch that a step computes one after the other, for less
  # memory; the gradient is that of the whole batch. BatchNorm normalises each
  # part by its own statistics, and moves its averages once for each of them.
  config.gradient_accumulation = 1
  # Less memory for some more time: of the forward pass only what convolutions
  # and residual blocks give is kept for the gradients; BatchNorm, ReLU and
  # pools are done again.
  config.remat = False
  return config
