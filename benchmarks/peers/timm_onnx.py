"""Peer of `benchmarks.run --what=export`: timm's own ONNX export.

python timm_onnx.py NETWORK OUTPUT

Runs in an environment with torch and timm, and prints their versions as a line
of JSON. The weights are random, which does not affect the speed.
"""

import json
import sys
import warnings


def main(name: str, path: str) -> None:
  """Writes timm's network with torch's exporter: any batch size, opset 18."""
  import timm
  import torch

  model = timm.create_model(name, exportable=True).eval()
  size = model.pretrained_cfg['input_size']
  with warnings.catch_warnings():
    # The TorchScript exporter is deprecated; dynamo's needs onnxscript.
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
