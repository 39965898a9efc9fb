"""Trains a network, or evaluates one.

python main.py --config=configs/digits.py --workdir=runs/digits
python main.py --config=configs/digits.py --workdir=runs/digits --mode=eval
"""

from absl import flags

from inception_jax.runtime import cli
from inception_jax.tools import train

# So that --help lists them.
flags.adopt_module_key_flags(train)

if __name__ == '__main__':
  cli.run(train.main)
