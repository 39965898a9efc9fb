"""What other systems call a key or flag, and what it is called here.

The systems are MindSpore, MindCV, pytorch-cifar100 and timm. In a counterpart,
{} stands for the value, which keeps its meaning.
"""

from collections.abc import Container
import re

_RATE = 'config.schedule.learning_rate={}'
_EPOCHS = "config.train_for='{} epochs'"
_BATCH = 'config.batch_size={} (over all devices)'
_MODEL = 'config.model.name={}'
_DATA = 'config.data.dir={}'
_CLASSES = 'config.model.num_classes={}'
_WORKDIR = 'workdir={}'
_WARMUP = "config.schedule.warmup='{} epochs'"
_SMOOTHING = 'config.label_smoothing={}'
_WORKERS = 'config.data.workers={}'
_DROPOUT = 'config.model.dropout_rate={}'
_START = 'config.fine_tune.checkpoint={}'
_WEIGHTS = 'checkpoint={} (with --mode=eval), or --config.fine_tune.checkpoint'
_RESUME = 'workdir={} (the same command resumes)'
_DEVICES = 'devices=cpu, gpu or tpu'
_DEVICE_IDS = 'device_ids={}'
_PRECISION = 'config.precision=float32, bfloat16 or float16'
_EMA = 'config.ema_decay=0.9999'
_ALL_DEVICES = 'device_ids (all visible devices compute)'
_RECIPE = 'config=RECIPE (tools.migrate makes one of a YAML file)'

# pytorch-cifar100's names of networks, of 32×32 images.
_NETWORKS = {
  'inceptionv3': 'cifar_inception_v3',
  'inceptionv4': 'cifar_inception_v4',
  'inceptionresnetv2': 'cifar_inception_resnet_v2',
}

COUNTERPARTS = {
  'aa': 'config.data.policy={}',
  'amp': _PRECISION,
  'amp_level': _PRECISION,
  'arch': _MODEL,
  'auto_augment': 'config.data.policy={}',
  'autocast': _PRECISION,
  'aux_factor': 'config.aux_loss_weight={}',
  'b': _BATCH,
  'base_lr': _RATE,
  'batch': _BATCH,
  'batch_size': _BATCH,
  'bn_momentum': 'config.model.bn_momentum={}',
  'bs': _BATCH,
  'c': _RECIPE,
  'checkpoint_path': _WEIGHTS,
  'ckpt_file': _WEIGHTS,
  'ckpt_path': _WEIGHTS,
  'ckpt_save_dir': _WORKDIR,
  'ckpt_save_interval': "config.checkpoint_every='{} epochs'",
  'class_num': _CLASSES,
  'clip_grad': 'config.optimizer.clip_norm={}',
  'clip_value': 'config.optimizer.clip_norm={}',
  'color_jitter': 'config.data.color_jitter="({}, {}, {}, 0.0)"',
  'config_path': _RECIPE,
  'crop_pct': 'config.data.eval_crop_fraction={}',
  'cutmix': 'config.data.cutmix={}',
  'data': _DATA,
  'data_dir': _DATA,
  'data_path': _DATA,
  'data_url': _DATA,
  'dataset': 'config.data.source={}',
  'dataset_path': _DATA,
  'datasets_path': _DATA,
  'decay': 'config.optimizer.decay={}',
  'decay_epochs': "config.schedule.decay_every='{} epochs'",
  'decay_method': 'config.schedule.name={}',
  'decay_rate': 'config.schedule.decay_rate={}',
  'device': _DEVICES,
  'device_id': _DEVICE_IDS,
  'device_num': _ALL_DEVICES,
  'device_target': _DEVICES,
  'distribute': _ALL_DEVICES,
  'distributed': _ALL_DEVICES,
  'drop': _DROPOUT,
  'drop_path': 'config.model.drop_path_rate={}',
  'drop_path_rate': 'config.model.drop_path_rate={}',
  'drop_rate': _DROPOUT,
  'dropout': _DROPOUT,
  'dropout_keep_prob': 'config.model.dropout_rate (1 - {})',
  'ds_type': 'config.data.source={}',
  'dynamic_loss_scale': 'config.loss_scale=0',
  'ema': _EMA,
  'ema_decay': 'config.ema_decay={}',
  'enable_profiling': "config.profile='100 steps'",
  'epoch': _EPOCHS,
  'epoch_size': _EPOCHS,
  'epochs': _EPOCHS,
  'eps': 'config.optimizer.epsilon={}',
  'eval_batch_size': _BATCH,
  'file_format': 'format={}',
  'gpu': _DEVICES,
  'gpus': _DEVICE_IDS,
  'gradient_accumulation_steps': 'config.gradient_accumulation={}',
  'grad_accum_steps': 'config.gradient_accumulation={}',
  'hflip': 'config.data.flip=True',
  'image_resize': 'config.data.image_size={}',
  'image_size': 'config.data.image_size={}',
  'img_size': 'config.data.image_size={}',
  'in_channels': 'config.data.channels={}',
  'in_chans': 'config.data.channels={}',
  'initial_checkpoint': _START,
  'input_size': 'config.data.image_size',
  'interpolation': 'config.data.interpolation={}',
  'is_distributed': _ALL_DEVICES,
  'j': _WORKERS,
  'keep_checkpoint_max': 'config.checkpoint_keep={}',
  'label_smoothing': _SMOOTHING,
  'learning_rate': _RATE,
  'log_interval': "config.log_every='{} steps'",
  'loss_scale': 'config.loss_scale={}',
  'lr': _RATE,
  'lr_end': 'config.schedule.end_learning_rate={}',
  'lr_init': 'config.schedule.init_learning_rate={}',
  'lr_max': _RATE,
  'lr_scheduler': 'config.schedule.name={}',
  'max_epoch': _EPOCHS,
  'min_lr': 'config.schedule.end_learning_rate={}',
  'mixup': 'config.data.mixup={}',
  'model': _MODEL,
  'model_ema': _EMA,
  'model_ema_decay': 'config.ema_decay={}',
  'model_name': _MODEL,
  'momentum': 'config.optimizer.momentum={}',
  'net': _MODEL,
  'nesterov': 'config.optimizer.nesterov=True',
  'nproc_per_node': _ALL_DEVICES,
  'num_classes': _CLASSES,
  'num_epochs': _EPOCHS,
  'num_parallel_workers': _WORKERS,
  'num_workers': _WORKERS,
  'opt': 'config.optimizer.name={}',
  'opt_betas': 'config.optimizer.betas',
  'opt_eps': 'config.optimizer.epsilon={}',
  'optimizer': 'config.optimizer.name={}',
  'platform': _DEVICES,
  'pretrained': _START,
  'random_seed': 'config.seed={}',
  'ratio': 'config.data.crop_ratio',
  're_prob': 'config.data.erase={}',
  'reprob': 'config.data.erase={}',
  'resume': _RESUME,
  'save_checkpoint_epochs': "config.checkpoint_every='{} epochs'",
  'scale': 'config.data.crop_area',
  'sched': 'config.schedule.name={}',
  'scheduler': 'config.schedule.name={}',
  'seed': 'config.seed={}',
  'smooth_factor': _SMOOTHING,
  'smoothing': _SMOOTHING,
  'sync_bn': 'config.batch_norm=global',
  'train_url': _WORKDIR,
  'use_nesterov': 'config.optimizer.nesterov=True',
  'val_interval': "config.eval_every='{} epochs'",
  'validation_batch_size': _BATCH,
  'warm': _WARMUP,
  'warmup_epochs': _WARMUP,
  'warmup_lr': 'config.schedule.init_learning_rate={}',
  'wd': 'config.weight_decay={}',
  'weight_decay': 'config.weight_decay={}',
  'weights': _WEIGHTS,
  'work_nums': _WORKERS,
  'workers': _WORKERS,
}


def find(name: str, value: str, flags: Container[str]) -> str:
  """Returns the counterpart of a flag or key, '--FLAG=VALUE', or ''.

  Args:
    name: of the flag or key.
    value: left out unless it is a plain word or number.
    flags: of the command, one of which it must be.
  """
  text = COUNTERPARTS.get(name.replace('-', '_').lower(), '')
  if re.match(r'\w*', text)[0] not in flags:
    return ''
  if text == _MODEL:
    value = _NETWORKS.get(value, value)
  plain = re.fullmatch(r'[\w.+-]{1,80}', value)
  number = 'N' if "'" in text else ''
  return '--' + text.replace('{}', value if plain else number)
