"""Writes tests/golden/datasets with Hugging Face's and WebDataset's packages.

  python -m venv .venv-datasets
  .venv-datasets/bin/pip install datasets==5.2.0 webdataset==1.0.2 pillow
  .venv-datasets/bin/python tests/parity/written_datasets.py

Image number i is grey 20·i, of class i % 3; it lies in `train`, 0 to 10, and
`test`, 0 to 4.
"""

import io
import pathlib
import shutil

import datasets
import numpy as np
from PIL import Image
import webdataset

FOLDER = pathlib.Path(__file__).parents[1] / 'golden' / 'datasets'
COUNTS = {'train': 11, 'test': 5}
NAMES = ['cat', 'dog', 'hen']


def image(number: int) -> bytes:
  buffer = io.BytesIO()
  pixels = np.full((10, 12, 3), 20 * number, np.uint8)
  Image.fromarray(pixels).save(buffer, 'PNG')
  return buffer.getvalue()


def rows(count: int, label: str):
  images = [{'bytes': image(i), 'path': f'{i}.png'} for i in range(count)]
  return {
    'id': range(count),
    'img': images,
    label: [i % 3 for i in range(count)],
  }


def write_huggingface() -> None:
  features = datasets.Features(
    {
      'id': datasets.Value('int64'),
      'img': datasets.Image(),
      'fine_label': datasets.ClassLabel(names=NAMES),
    }
  )
  splits = datasets.DatasetDict(
    {
      split: datasets.Dataset.from_dict(rows(count, 'fine_label'), features)
      for split, count in COUNTS.items()
    }
  )
  splits.save_to_disk(FOLDER / 'arrow', num_shards={'train': 2, 'test': 1})
  shards = {'train': 2, 'test': 1}
  for split, data in splits.items():
    for i in range(shards[split]):
      name = f'{split}-{i:05}-of-{shards[split]:05}.parquet'
      # Row groups of three records.
      data.shard(shards[split], i).to_parquet(
        FOLDER / 'parquet' / 'data' / name, batch_size=3
      )


def write_webdataset() -> None:
  folder = FOLDER / 'webdataset'
  folder.mkdir()
  for split, count in COUNTS.items():
    pattern = str(folder / f'{split}-%06d.tar')
    # As by default, the time is no whole number: tarfile writes it apart.
    with webdataset.ShardWriter(pattern, maxcount=6, mtime=1e9 + 0.5) as writer:
      for i in range(count):
        label = (
          {'cls': i % 3} if split == 'train' else {'json': {'label': i % 3}}
        )
        writer.write({'__key__': f'n/{i:04}', 'png': image(i), **label})


if __name__ == '__main__':
  shutil.rmtree(FOLDER, ignore_errors=True)
  (FOLDER / 'parquet' / 'data').mkdir(parents=True)
  write_huggingface()
  write_webdataset()
