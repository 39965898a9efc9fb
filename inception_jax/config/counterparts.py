"""What other systems call a key or flag, and what it is called here.

The systems are MindSpore, MindCV, pytorch-cifar100, DeepSpark and timm. In a
counterpart, {} stands for the value, which keeps its meaning.
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
_RESUME = 'workdir=RUN (the same command resumes)'
_WEIGHT_FILES = '.ckpt', '.pth', '.pt', '.tar', '.safetensors', '.h5'
_DEVICES = 'devices=cpu, gpu or tpu (without it, the best there are)'
_DEVICE_IDS = 'device_ids={}'
_PRECISION = 'config.precision=float32, bfloat16 or float16'
_EMA = 'config.ema_decay=0.9999'
_ALL_DEVICES = 'device_ids={} (without it, all visible devices)'
_RECIPE = 'config=RECIPE (tools.migrate makes one of a YAML file)'

# pytorch-cifar100's names of networks, of 32×32 images.
NETWORKS = {
  'inceptionv3': 'cifar_inception_v3',
  'inceptionv4': 'cifar_inception_v4',
  'inceptionresnetv2': 'cifar_inception_resnet_v2',
}

COUNTERPARTS = {
  'aa': 'config.data.policy={}',
  'amp': _PRECISION,
  'amp_level': _PRECISION,
  'arch': _MODEL,
  'aug_repeats': 'config.data.repeats={}',
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
  'ckpt_save_policy': 'config.checkpoint_keep={}',
  'class_num': _CLASSES,
  'clip_grad': 'config.optimizer.clip_norm={}',
  'clip_value': 'config.optimizer.clip_norm={}',
  'color_jitter': 'config.data.color_jitter="({}, {}, {}, 0.0)"',
  'config_path': _RECIPE,
  'crop_pct': 'config.data.eval_crop_fraction={}',
  'crop_size': 'config.data.image_size={}',
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
  'dist_url': 'coordinator_address={}',
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
  'epsilon': 'config.optimizer.epsilon={}',
  'eval_batch_size': _BATCH,
  'file_format': 'format={}',
  'filter_bias_and_bn': 'config.optimizer.decay_on (kernels alone, by default)',
  'gpu': _DEVICES,
  'gpus': _DEVICE_IDS,
  'grad_accum_steps': 'config.gradient_accumulation={}',
  'gradient_accumulation_steps': 'config.gradient_accumulation={}',
  'height': 'config.data.image_size={}',
  'hflip': 'config.data.flip=True',
  'image_resize': 'config.data.image_size={}',
  'image_size': 'config.data.image_size={}',
  'img_size': 'config.data.image_size={}',
  'in_channels': 'config.data.channels={}',
  'in_chans': 'config.data.channels={}',
  'initial_checkpoint': _START,
  'input_size': 'config.data.image_size',
  'interpolation': 'config.data.interpolation={}',
  'j': _WORKERS,
  'keep_checkpoint_max': 'config.checkpoint_keep={}',
  'label_smoothing': _SMOOTHING,
  'learning_rate': _RATE,
  'local_rank': 'process_id={}',
  'log_dir': _WORKDIR,
  'log_interval': "config.log_every='{} steps'",
  'loss': 'config.loss={}',
  'loss_scale': 'config.loss_scale={}',
  'lr': _RATE,
  'lr_end': 'config.schedule.end_learning_rate={}',
  'lr_epoch_stair': 'config.schedule.staircase=True',
  'lr_gamma': 'config.schedule.decay_rate={}',
  'lr_init': 'config.schedule.init_learning_rate={}',
  'lr_max': _RATE,
  'lr_scheduler': 'config.schedule.name={}',
  'lr_step_size': "config.schedule.decay_every='{} epochs'",
  'max_epoch': _EPOCHS,
  'mean': 'config.data.mean={}',
  'milestones': 'config.schedule.milestones',
  'min_lr': 'config.schedule.end_learning_rate={}',
  'mixup': 'config.data.mixup={}',
  'model': _MODEL,
  'model_ema': _EMA,
  'model_ema_decay': 'config.ema_decay={}',
  'model_name': _MODEL,
  'momentum': 'config.optimizer.momentum={}',
  'multi_step_decay_milestones': 'config.schedule.milestones',
  'nesterov': 'config.optimizer.nesterov=True',
  'net': _MODEL,
  'nproc_per_node': _ALL_DEVICES,
  'num_classes': _CLASSES,
  'num_epochs': _EPOCHS,
  'num_parallel_workers': _WORKERS,
  'num_samples': "config.data.train_split='train[:{}]'",
  'num_workers': _WORKERS,
  'opt': 'config.optimizer.name={}',
  'opt_betas': 'config.optimizer.betas',
  'opt_eps': 'config.optimizer.epsilon={}',
  'optimizer': 'config.optimizer.name={}',
  'output_dir': _WORKDIR,
  'platform': _DEVICES,
  'pretrained': _START,
  'print_freq': "config.log_every='{} steps'",
  'random_erase': 'config.data.erase={}',
  'random_seed': 'config.seed={}',
  'ratio': 'config.data.crop_ratio',
  're_prob': 'config.data.erase={}',
  're_ratio': 'config.data.erase_ratio',
  're_scale': 'config.data.erase_area',
  're_value': 'config.data.erase_with={}',
  'reprob': 'config.data.erase={}',
  'resume': _RESUME,
  'save_checkpoint_epochs': "config.checkpoint_every='{} epochs'",
  'save_epoch': "config.checkpoint_every='{} epochs'",
  'scale': 'config.data.crop_area',
  'sched': 'config.schedule.name={}',
  'scheduler': 'config.schedule.name={}',
  'seed': 'config.seed={}',
  'smooth_factor': _SMOOTHING,
  'smoothing': _SMOOTHING,
  'std': 'config.data.std={}',
  'sync_bn': 'config.batch_norm=global',
  'test_only': 'mode=eval',
  'train_split': 'config.data.train_split={}',
  'train_url': _WORKDIR,
  'use_nesterov': 'config.optimizer.nesterov=True',
  'val_interval': "config.eval_every='{} epochs'",
  'val_split': 'config.data.eval_split={}',
  'val_while_train': "config.eval_every='1 epoch'",
  'validation_batch_size': _BATCH,
  'warm': _WARMUP,
  'warmup_epochs': _WARMUP,
  'warmup_factor': 'config.schedule.init_learning_rate (a rate, not a factor)',
  'warmup_lr': 'config.schedule.init_learning_rate={}',
  'wd': 'config.weight_decay={}',
  'weight_decay': 'config.weight_decay={}',
  'weights': _WEIGHTS,
  'width': 'config.data.image_size={}',
  'work_nums': _WORKERS,
  'workers': _WORKERS,
  'world_size': 'num_processes={}',
}

# Why others have no counterpart, with their names.
ABSENT = {
  'a cosine has one cycle': 'cycle_decay num_cycles',
  'a loss is a mean': 'reduction',
  "a resume always has the optimizer's state": 'resume_opt',
  'a resume continues at its step': 'start_epoch',
  'all visible devices compute': 'distribute distributed is_distributed',
  'batches are read ahead automatically': 'dataset_sink_mode ds_sink_mode',
  'BatchNorm cancels a bias before it': 'has_bias',
  'evaluation counts every image': 'drop_remainder',
  'folders are listed at every start': 'cache_dataset',
  'not implemented: no recipe of the family needs it': (
    'cutmix_prob re_max_attempts vflip'
  ),
  'nothing is downloaded': 'dataset_download',
  'one process writes, always': 'is_save_on_master',
  's3:// is read and written directly': (
    'checkpoint_url ckpt_url enable_modelarts multi_data_url'
  ),
  'the compiler chooses the layout': 'nhwc',
  'there is one input pipeline, on the host': 'dali dali_cpu',
  'training is always shuffled, evaluation never': 'shuffle',
}


def answer(name: str, value: str, flags: Container[str]) -> str:
  """Returns 'here it is --FLAG=VALUE', 'leave it out: REASON', or ''.

  Args:
    name: of the flag or key.
    value: left out unless it is a plain word, number or path.
    flags: of the command, one of which a counterpart must be.
  """
  name = name.replace('-', '_').lower()
  text = COUNTERPARTS.get(name, '')
  if re.match(r'\w*', text)[0] not in flags:
    reasons = [why for why, names in ABSENT.items() if name in names.split()]
    return f'leave it out: {reasons[0]}' if reasons else ''
  if text == _RESUME and value.lower().endswith(_WEIGHT_FILES):
    text = _START + ' (weights alone; a run resumes by its --workdir)'
  if text == _MODEL:
    value = NETWORKS.get(value, value)
  if text == COUNTERPARTS['file_format']:
    value = value.lower()
  plain = re.fullmatch(r'[\w.+/~:-]{1,200}', value)
  number = 'N' if "'" in text else ''
  return 'here it is --' + text.replace('{}', value if plain else number)
