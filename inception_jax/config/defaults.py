"""Every config key with its default; a recipe in configs/ overrides some.

  python main.py --config=configs/NAME.py --workdir=DIR --config.KEY=VALUE

A duration is a number with its unit: '2000 steps', '90 epochs', or '5 percent'
of the training.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the defaults, which train Inception-v3 on the digits."""
  config = ConfigDict()
  # Determines initialization, data order, augmentation and dropout.
  config.seed = 0
  # Names the run in reports; '': the name of the --config file.
  config.recipe = ''

  config.model = ConfigDict()
  # inception_v3, inception_v4, inception_resnet_v2; fid_inception_v3; for 32×32
  # images, cifar_inception_v3, cifar_inception_v4, cifar_inception_resnet_v2;
  # '': that of the loaded weights.
  config.model.name = 'inception_v3'
  config.model.num_classes = 0  # 0: as many as the dataset has
  # Scales channels, rounded to multiples of 8; 0: that of the loaded weights.
  config.model.width = 1.0
  config.model.stem = ''  # imagenet (299×299), small (32×32); '': the network's
  config.model.dropout_rate = 0.2  # fraction dropped before the logits
  # Stochastic depth: the probability that the last residual block drops its
  # branches for an image; the first one's is 0, those between rise linearly.
  config.model.drop_path_rate = 0.0
  config.model.aux_head = False  # the auxiliary classifier; training only
  config.model.aux_batch_norm = True  # of its convolutions; MindSpore's: False
  config.model.head_batch_norm = False  # of features and logits: MindSpore's v4
  config.model.bn_momentum = 0.9997  # decay of the moving statistics
  # Initial kernels: he_normal, TF-slim's; xavier_uniform, MindSpore's; pytorch
  config.model.kernel_init = 'he_normal'
  # Where a value is 0 or empty here and below, it comes from the card of the
  # loaded weights, or from the network's for new ones (inception_jax/models).
  config.model.bn_epsilon = 0.0
  config.model.pool_padding = ''  # average pools' padding: counted or ignored

  config.data = ConfigDict()
  # docs/data.md lists the others; auto: what lies in data.dir, by its content
  config.data.source = 'digits'
  config.data.dir = ''  # tfds: '' is $TFDS_DATA_DIR or tfds's default
  # Names of subfolders (source 'folder'), any tfds split, 'train[:99%]', or a
  # pattern of shards, 'train-{000..127}.tar' (webdataset).
  config.data.train_split = 'train'
  config.data.eval_split = 'test'
  # Without an evaluation split: this fraction of the training images is held
  # out under the name eval_split, by a hash of each one's name; folder,
  # huggingface and webdataset.
  config.data.val_fraction = 0.0
  # '': class folders that are all numbers are sorted as numbers; text: as text,
  # as earlier versions did, whose runs resume so by themselves; folder only.
  config.data.class_order = ''
  config.data.image_size = 0  # pixels; 0: the card's, 299 or 32
  # Progressive resizing: training starts with images of this many pixels, which
  # grow in equal stages to image_size and are resized on the device; 0: off.
  config.data.grow_from = 0
  config.data.grow_for = '80 percent'  # then images have their full size
  config.data.grow_stages = 4  # sizes below image_size, a compilation each
  config.data.channels = 3  # 3: RGB; 1: images are converted to grey
  config.data.label_offset = 1  # label of the first class; tfrecord only
  # Threads that read and decode images, of the host's cores; 0: all cores.
  config.data.workers = 0
  config.data.max_bad_fraction = 0.001  # of undecodable images
  # Whether folders to evaluate on may lack classes of the training split.
  config.data.allow_missing_classes = False
  config.data.max_pixels = 80_000_000  # larger images are not decoded
  config.data.shuffle_buffer = 8192  # encoded; tfds's TFRecords, Parquet
  # Repeated augmentation: copies of an image in a batch, augmented differently.
  # An epoch has as many steps as before, and 1/repeats of the images.
  config.data.repeats = 1
  # For classes of unequal size, one of both; not of tfds, tfrecord and Parquet.
  # balanced: a class weighs N / (C n) in the loss, with n of the N images of C
  # classes, and the loss is the plain mean over the batch; '': 1
  config.data.class_weights = ''
  # balanced: draws each class equally often; '': each image once an epoch
  config.data.sampling = ''
  # bilinear, bicubic, area, nearest, opencv_bilinear (MindSpore's) or
  # tf1_bilinear (TF-slim's); the last two never antialias. '': the card's
  config.data.interpolation = ''
  # EXIF orientation of JPEGs: ignore, as timm and torchvision, or apply. '':
  # the card's
  config.data.exif = ''
  # Under transparent pixels: white, black or '#rrggbb'; none: alpha is dropped,
  # as in timm and torchvision. '': the card's
  config.data.background = ''
  # resized: RandomResizedCrop of torchvision, timm and MindSpore; tensorflow:
  # sample_distorted_bounding_box, as TF-slim and Google use it; none. Earlier
  # runs have random: tensorflow with 10 attempts in place of 100, and with
  # min_object_covered only where the dataset has boxes.
  config.data.train_crop = 'resized'
  config.data.crop_area = (0.08, 1.0)  # range, of the image area
  config.data.crop_ratio = (3 / 4, 4 / 3)  # range, width / height
  # tensorflow: least fraction of a box, or of an image without boxes, that the
  # crop covers
  config.data.min_object_covered = 0.1
  config.data.pad = 0  # pixels of zero padding, then a random crop
  config.data.flip = True  # random horizontal flip
  config.data.rotate = 0.0  # random rotation by up to ± this, in degrees
  # torchvision's autoaugment (for ImageNet), autoaugment_cifar10, randaugment;
  # MindCV's autoaugment_original; timm's autoaugment_timm ('original') and
  # randaugment_increasing ('rand-inc1'); '': none
  config.data.policy = ''
  # MindCV's and timm's policies: standard deviation of the magnitudes, of 10
  config.data.policy_noise = 0.0
  config.data.rand_ops = 2  # RandAugment's operations an image
  config.data.rand_magnitude = 9.0  # of 30; randaugment_increasing: of 10
  config.data.rand_probability = 0.5  # of an operation; randaugment_increasing
  # In this order, as torchvision's ColorJitter but for its random order.
  # Brightness, contrast, saturation: factors in 1 ± this; hue: shifted by ±
  # this fraction of the color circle
  config.data.color_jitter = (0.0, 0.0, 0.0, 0.0)
  config.data.brightness_shift = 0.0  # ± this fraction of white
  # tpu: brightness, Cb and Cr, as Google's TPU recipe; slim: brightness and
  # saturation, as TF-slim; '': none
  config.data.color_distortion = ''
  config.data.erase = 0.0  # probability of random erasing
  config.data.erase_area = (0.02, 1 / 3)  # range, of the image area
  config.data.erase_ratio = (0.3, 3.3)  # range, height / width
  config.data.erase_with = 'mean'  # mean or noise
  config.data.mixup = 0.0  # α of mixup's Beta(α, α); 0: no mixup
  config.data.cutmix = 0.0  # its α; with mixup too, a batch gets one at random
  # central, tf_central, short_side, mindspore_short_side, squash; '': card's
  config.data.eval_crop_mode = ''
  config.data.eval_crop_fraction = 0.0  # cropped fraction; 0: the card's
  # single: one crop; mirror: that crop and its mirror image; 12_crops or
  # 144_crops: GoogLeNet's. Probabilities are averaged over the crops.
  config.data.eval_protocol = 'single'
  config.data.mean = ()  # per channel, on the scale 0…255; (): the card's
  config.data.std = ()

  config.batch_size = 256  # global: over all devices
  config.train_for = '100 epochs'
  config.eval_every = '1 epoch'
  # With a moving average, also evaluate the raw weights; False halves an
  # evaluation.
  config.eval_raw = True
  config.checkpoint_every = '1 epoch'
  config.log_every = '100 steps'
  config.histogram_every = '0 steps'  # of weights, in TensorBoard; 0: never
  # Duration of a trace for TensorBoard and Perfetto, '100 steps'; '': no trace.
  config.profile = ''
  config.profile_from = '10 steps'  # its start, after a process's first step
  config.checkpoint_keep = 3  # the newest this many, and the best one
  config.checkpoint_keep_every = '0 epochs'  # kept for ever; 0: none
  # How the best checkpoint is chosen: top1, top5, loss, or balanced_accuracy,
  # the mean of each class's top1.
  config.best_by = 'top1'
  config.stop_at_top1 = 0.0  # evaluated top-1 that ends the training; 0: none
  config.watchdog_minutes = 30.0  # ends a run without a step; 0: never
  # Keys or globs, 'batch_size,schedule.*', that a resume may change although
  # they change what the training computes.
  config.allow_changed = ''

  config.optimizer = ConfigDict()
  config.optimizer.name = 'rmsprop'  # TensorFlow's; or sgd, adamw, lamb, lion
  config.optimizer.decay = 0.9  # of RMSProp's mean square
  # 0: rmsprop 1.0, inside its square root; adamw 1e-8; lamb 1e-6
  config.optimizer.epsilon = 0.0
  config.optimizer.betas = ()  # adamw, lamb, lion; (): as published
  config.optimizer.momentum = 0.9  # rmsprop, sgd
  config.optimizer.nesterov = False
  config.optimizer.clip_norm = 0.0  # global gradient norm; 0: no limit
  config.optimizer.clip_value = 0.0  # each gradient element; 0: no limit
  # Globs of the parameters that weight_decay applies to; ('*',): all. Kernels
  # alone is TF-slim's and Google's choice.
  config.optimizer.decay_on = ('*/kernel',)
  # lamb: globs of the parameters whose step is scaled by the trust ratio. Those
  # with weight decay, '*/kernel', are timm's choice.
  config.optimizer.trust_on = ('*',)
  # rmsprop, sgd: decoupled from the gradient; adamw, lamb, lion always are
  config.optimizer.decoupled_decay = False
  # (glob, factor on the learning rate) pairs; the first match wins, and every
  # parameter needs one: (('head', 10.0), ('*', 1.0)); (): 1.0 for all.
  config.optimizer.rates = ()
  # Shards the optimizer's state and the moving average over the devices
  # (ZeRO-1): less memory on each, a little more traffic, the same arithmetic.
  config.optimizer.shard_state = False

  config.schedule = ConfigDict()
  # cosine, linear, constant, exponential, multi_step or one_cycle
  config.schedule.name = 'cosine'
  config.schedule.learning_rate = 0.1  # the peak
  # Batch size that the rates below are meant for: they scale linearly with
  # batch_size; 0: no scaling.
  config.schedule.batch_size = 0
  config.schedule.cold = '0 steps'  # at init_learning_rate, before the warm-up
  config.schedule.warmup = '5 epochs'  # linear; '0 steps': none
  config.schedule.init_learning_rate = 0.0  # where the warm-up starts
  config.schedule.end_learning_rate = 0.0  # at the end, or the minimum
  config.schedule.decay_rate = 0.94  # factor of exponential and multi_step
  config.schedule.decay_every = '2 epochs'  # exponential
  config.schedule.staircase = True  # exponential: in steps, not continuously
  config.schedule.milestones = ()  # multi_step: ('60 epochs', '80 percent')

  config.fine_tune = ConfigDict()
  # A workdir, a checkpoint, or what import_weights reads: hf-hub:OWNER/NAME.
  config.fine_tune.checkpoint = ''
  # Globs over parameter paths, the first match wins: 'mixed_5*' freezes these
  # modules and their BatchNorm statistics, '!head' keeps the head trainable.
  config.fine_tune.freeze = ()
  # (glob, duration) pairs: what freeze covers is trained from then on, as with
  # (('mixed_7*','2 epochs'),('*','4 epochs')).
  config.fine_tune.unfreeze_at = ()
  # BatchNorm statistics that training uses and does not update: all or none,
  # whatever is frozen; '': those of frozen modules.
  config.fine_tune.freeze_batch_norm = ''
  # Where the classifier alone is trained, on images without augmentation: their
  # pooled features are computed once and kept in the workdir.
  config.fine_tune.cache_features = False
  # From 2 on: of as many augmented views; an epoch takes the next one of each.
  config.fine_tune.cached_views = 1

  # cross_entropy (softmax) or binary_cross_entropy (a sigmoid for each class,
  # averaged over them; binary_cross_entropy_sum: their sum); evaluations always
  # report cross_entropy.
  config.loss = 'cross_entropy'
  # binary_cross_entropy: targets above this, after mixup and CutMix, become 1,
  # the others 0; 0: targets stay as they are.
  config.loss_threshold = 0.0
  config.label_smoothing = 0.1  # in the training loss only
  config.aux_loss_weight = 0.4  # with an auxiliary head
  config.weight_decay = 4e-5
  config.ema_decay = 0.0  # of weights and BatchNorm statistics; 0: no average
  # Precision of the computation. float32 is exact on every device;
  # tensorfloat32 rounds the inputs of convolutions to ten bits on GPUs, which
  # is faster; or bfloat16, float16.
  config.precision = 'float32'
  # Bitwise the same result from every run, so that a resume is exact too. Only
  # GPUs need it; v3 then trains at half the speed.
  config.deterministic = False
  config.loss_scale = 0.0  # float16: a fixed scale; 0: dynamic
  # BatchNorm statistics in training: 'global', over the whole batch; 'replica',
  # over each device's part of it, as in the papers; or '32 images', over parts
  # of this size, which gives the same result on fewer devices.
  config.batch_norm = 'global'
  # Microbatches that a step computes in sequence, which saves memory; the
  # gradient is that of the whole batch. BatchNorm normalizes each microbatch
  # with its own statistics, and updates the moving ones once for each.
  config.gradient_accumulation = 1
  # Saves memory and costs time: only outputs of convolutions and residual
  # blocks are stored for the backward pass; BatchNorm, ReLU and pools are
  # recomputed.
  config.remat = False
  return config
