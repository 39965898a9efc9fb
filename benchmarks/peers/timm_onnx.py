"""The other side of `tools.benchmark --what=export`: timm's own ONNX.

python timm_onnx.py NETWORK OUTPUT

It runs in an environment that has torch and timm; prints a line of JSON: the
versions of both. The weights are random, which takes as long as any.
"""

import json
import sys
import warnings


def main(name: str, path: str) -> None:
  """Writes timm's network as torch exports it, any batch, opset 18."""
  import timm
  import torch

  model = timm.create_model(name, exportable=True).eval()
  size = model.pretrained_cfg['input_size']
  with warnings.catch_warnings():
    # The exporter without `dynamo` is deprecated; the other needs onnxscript.
    warnings.simplefilter('ignore')
    torch.onnx.export(
      model,
      torch.zeros(1, *size),
      path,
      dynamo=False,
      opset_version=18,
      input_names=['images'],
      output_names=['logits'],
      dynamic_axes={'images': {0: 'B'}, 'logits': {0: 'B'}},
    )
  versions = {'torch': torch.__version__, 'timm': timm.__version__}
  print(json.dumps(versions))


if __name__ == '__main__':
  main(*sys.argv[1:])
