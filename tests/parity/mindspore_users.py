"""What the users of MindSpore have: weights, MindRecord, an evaluation.

  python tests/parity/mindspore_users.py make --network=NAME --images=DIR \
      --out=FILE.ckpt
  python tests/parity/mindspore_users.py evaluate --network=NAME \
      --images=DIR --out=FILE.json [--weights=FILE.ckpt|FILE.mindir]
  python tests/parity/mindspore_users.py mindrecord --images=DIR

`evaluate` writes the number of the predicted class of each image, in the order
of the class folders. It decodes, resizes and normalizes as validate.py of
MindCV and the dataset.py of mindspore-ai/models. It runs in .venv-mindspore,
without JAX; NAME is mindcv_inception_v3 or inceptionv4, which needs --clone=.
"""

import argparse
import json
import math
import pathlib
import sys

import mindspore as ms
import mindspore.dataset as ds
from mindspore.dataset import vision
import numpy as np

SIZE, BATCH, CLASSES = 139, 20, 1000
# The shorter side to which an image is resized before its center is cut out.
_SHORT = {'mindcv_inception_v3': math.floor(SIZE / 0.875), 'inceptionv4': SIZE}
_MEAN, _STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]


def network(name: str, clone: str):
  """Returns an untrained network of 1000 classes."""
  ms.set_seed(0)
  if name == 'mindcv_inception_v3':
    import mindcv

    return mindcv.create_model('inception_v3', num_classes=CLASSES)
  sys.path.insert(0, f'{clone}/official/cv/Inception/inceptionv4/src')
  import inceptionv4

  return inceptionv4.Inceptionv4(classes=CLASSES, is_train=False)


def batches(name: str, images: str):
  """Yields float32 [B, 3, S, S] as the system's own evaluation reads them."""
  data = ds.ImageFolderDataset(images, shuffle=False, num_parallel_workers=1)
  data = data.map(
    [
      vision.Decode(),
      vision.Resize(_SHORT[name]),
      vision.CenterCrop(SIZE),
      vision.Normalize(mean=_MEAN, std=_STD),
      vision.HWC2CHW(),
    ],
    'image',
  )
  for row in data.batch(BATCH).create_tuple_iterator(num_epochs=1):
    yield row[0]


def logits_of(output):
  return output[0] if isinstance(output, tuple) else output


def make(args) -> None:
  """Saves weights whose BatchNorm knows the statistics of real images."""
  model = network(args.network, args.clone)
  model.set_train(False)  # without the auxiliary head, too large for SIZE
  for _, cell in model.cells_and_names():
    if isinstance(cell, ms.nn.BatchNorm2d):
      cell.set_train(True)
      cell.momentum = 0.5  # of the old statistics
  for images, _ in zip(
    batches(args.network, args.images), range(5), strict=False
  ):
    model(images)
  model.set_train(False)
  _centre(model, next(batches(args.network, args.images)))
  ms.save_checkpoint(model, args.out)


def _centre(model, images) -> None:
  """Makes the mean logits 0, so that images are of several classes."""
  cells = [cell for _, cell in model.cells_and_names()]
  *_, classifier = (x for x in cells if isinstance(x, ms.nn.Dense))
  mean = logits_of(model(images)).asnumpy().mean(0)
  classifier.bias.set_data(ms.Tensor(classifier.bias.asnumpy() - mean))


def evaluate(args) -> None:
  """Writes the predicted class of each image."""
  if args.weights.endswith('.mindir'):
    model = ms.nn.GraphCell(ms.load(args.weights))
  else:
    model = network(args.network, args.clone)
    tensors = ms.load_checkpoint(args.weights)
    missing = ms.load_param_into_net(model, tensors, strict_load=True)
    assert missing == ([], []), missing
    model.set_train(False)
  found = []
  for images in batches(args.network, args.images):
    found += logits_of(model(images)).asnumpy().argmax(1).tolist()
  pathlib.Path(args.out).write_text(json.dumps(found))


def mindrecord(args) -> None:
  """Writes train.mindrecord and val.mindrecord of a folder's splits."""
  from mindspore.mindrecord import FileWriter

  for split in ('train', 'val'):
    writer = FileWriter(f'{split}.mindrecord', shard_num=1, overwrite=True)
    writer.add_schema(
      {'image': {'type': 'bytes'}, 'label': {'type': 'int32'}}, split
    )
    folders = sorted((pathlib.Path(args.images) / split).iterdir())
    rows = [
      {'image': path.read_bytes(), 'label': np.int32(label).item()}
      for label, folder in enumerate(folders)
      for path in sorted(folder.iterdir())
    ]
    writer.write_raw_data(rows)
    writer.commit()


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('what', choices=('make', 'evaluate', 'mindrecord'))
  parser.add_argument('--network', default='')
  parser.add_argument('--images', required=True)
  parser.add_argument('--clone', default='', help='of mindspore-ai/models')
  parser.add_argument('--weights', default='')
  parser.add_argument('--out', default='')
  args = parser.parse_args()
  ms.set_device('CPU')
  {'make': make, 'evaluate': evaluate, 'mindrecord': mindrecord}[args.what](
    args
  )


if __name__ == '__main__':
  main()
