# make train   trains configs/digits.py into runs/digits, evaluates, reports
# make test    lint, format and tests; `make test-fast` leaves the slow tests out;
#              they look at pages in Chromium, which they install, and run
#              what `make cpp`, `make web` and `make malloc` prepare
# make cpp     builds serving/cpp/build/classify, an exported network without
#              Python; installs Debian's g++, cmake and nlohmann-json3-dev
# make malloc  installs Debian's libtcmalloc-minimal4, with which trainings on
#              CPUs take 15 to 26 % less time
# make web     fetches what the page serving/web runs networks with
# make golden  writes anew what every recipe resolves to: read the diff
# make parity  compares with timm, torchvision, Keras, TF-slim, MindCV and
#              MindSpore, in environments of their own: 12.5 GB, half an hour
# make parity-training  the losses of 30 training steps against PyTorch's
# make parity-evaluation  torchvision's and timm's own evaluation against ours
# make learning  two epochs of Fashion-MNIST here and in PyTorch, six times:
#              an hour and a half
# make soak    kills, signals, damaged files, a full disk: twenty minutes
# make bench   the input pipeline against torchvision's: a minute
# make bench-checkpoint  what saving costs a training of v3: ten minutes
# make bench-evaluation  an evaluation beside its forward step: ten minutes
# make bench-step  training and inference of v3 and v4 beside timm's in
#              PyTorch, with CLONES= of 32×32 v3 beside weiaicunzai's: ten minutes
# make bench-mindcv  the same beside MindCV's: ten minutes
# make bench-compile  the training step of the three networks beside plain
#              flax's, compiled for eight TPUs v5e that are not there: an hour
# make bench-loop  the training of v3 beside its step alone, on synthetic data
#              and JPEGs: a quarter of an hour
# make bench-start  until v3's first step is done, and once more with what the
#              first start has compiled: five minutes
# make bench-export  every format of the three networks, ONNX beside timm's:
#              ten minutes
# make compile-check  every ImageNet recipe compiled for eight TPUs v5e that
#              are not there: two hours
PYTHON  ?= $(shell command -v python3.11 || command -v python3)
CONFIG  ?= configs/digits.py
WORKDIR ?= runs/$(basename $(notdir $(CONFIG)))
ARGS    ?=
CLONES  ?=
VENV    := .venv
RUN     := $(VENV)/bin/python
FASHION := runs/learning/package
PARITY  := tests/parity/requirements
WEB     := serving/web
RUNTIME := ort.wasm.bundle.min.mjs ort-wasm-simd-threaded.wasm
BROWSER := $(shell command -v chromium || command -v chromium-browser || \
  command -v google-chrome)
CPP     := serving/cpp
PACKAGES := $(CURDIR)/$(VENV)/lib/python3.11/site-packages
SUDO    := $(shell test $$(id -u) = 0 || echo sudo)
install  = { $(SUDO) apt-get update && $(SUDO) apt-get install --yes \
  --no-install-recommends $(1); } >&2
TOGETHER := --numprocesses=2 --dist=worksteal
# Keeps what a training step frees for the next one, unlike glibc's malloc.
MALLOC   = $(shell ls /usr/lib/*/libtcmalloc_minimal.so.4 2>/dev/null | head -1)
PIP     := -m pip install --quiet --disable-pip-version-check

.PHONY: train test test-fast golden lint parity parity-training \
  parity-evaluation learning soak bench bench-checkpoint bench-evaluation \
  bench-compile bench-export bench-loop bench-mindcv bench-start bench-step \
  compile-check browser cpp malloc web clean

train bench-step: export LD_PRELOAD = $(MALLOC)
# glibc before 2.40 copies some images at a tenth of the speed on AMD's CPUs.
train bench: export GLIBC_TUNABLES ?= \
  glibc.cpu.x86_rep_movsb_threshold=1000000000

train: $(VENV)/ready
	@$(RUN) main.py --config=$(CONFIG) --workdir=$(WORKDIR) $(ARGS)
	@$(RUN) -m inception_jax.tools.report --workdir=$(WORKDIR) >&2

test: lint browser cpp malloc web
	@LD_PRELOAD=$(MALLOC) $(RUN) -m pytest $(TOGETHER)

test-fast: lint browser cpp malloc web
	@LD_PRELOAD=$(MALLOC) $(RUN) -m pytest $(TOGETHER) -m 'not slow'

golden: $(VENV)/ready
	@$(RUN) -m tests.support.recipes

lint: $(VENV)/ready-test
	@$(RUN) -m ruff check --quiet .
	@$(RUN) -m ruff format --quiet --check .

parity: .venv-torch/ready .venv-mindspore/ready .venv-slim/ready
	@.venv-torch/bin/python -m tests.parity.run --clones=$(CLONES) $(ARGS)

parity-training: .venv-torch/ready
	@.venv-torch/bin/python -m tests.parity.training --clones=$(CLONES) $(ARGS)

parity-evaluation: .venv-torch/ready
	@.venv-torch/bin/python -m tests.parity.evaluation $(ARGS)

learning: .venv-torch/ready $(FASHION)/ready
	@.venv-torch/bin/python -m tests.parity.learning --clones=$(CLONES) \
	  --package=$(FASHION)/usr/share/datasets/fashion-mnist

soak: $(VENV)/ready-test
	@JAX_PLATFORMS=cpu $(RUN) -m tests.system.soak $(ARGS)

bench: $(VENV)/ready .venv-torch/ready
	@$(RUN) -m benchmarks.run --what=input \
	  --torch=.venv-torch/bin/python --ledger=benchmarks/input.csv $(ARGS)

bench-checkpoint: $(VENV)/ready
	@$(RUN) -m benchmarks.run --what=checkpoint \
	  --config=configs/inception_v3.py --config.data.source=synthetic \
	  --config.batch_size=8 --ledger=benchmarks/checkpoint.csv $(ARGS)

# Where it is not: as root, since Debian's Chromium has no other way.
browser:
	@test -n "$(BROWSER)" || { echo 'installing Chromium, a minute' >&2; \
	  $(call install,chromium); }

malloc:
	@test -n "$(MALLOC)" || { echo 'installing libtcmalloc-minimal4' >&2; \
	  $(call install,libtcmalloc-minimal4); }

# With the C library of TensorFlow's package; errors are on stderr.
cpp: $(VENV)/ready
	@{ command -v g++ && command -v cmake && \
	  test -e /usr/include/nlohmann/json.hpp; } >/dev/null || \
	  { echo 'installing g++, cmake and nlohmann-json3-dev' >&2; \
	  $(call install,g++ cmake nlohmann-json3-dev); }
	@test -x $(CPP)/build/classify || \
	  echo 'building $(CPP), half a minute' >&2
	@{ cmake -S $(CPP) -B $(CPP)/build -DTENSORFLOW=$(PACKAGES)/tensorflow && \
	  cmake --build $(CPP)/build; } >/dev/null

web: $(WEB)/vendor/ready

# Of the package's 150 MB two files are used, and served.
$(WEB)/vendor/ready: $(WEB)/package.json $(WEB)/package-lock.json
	@echo 'fetching onnxruntime-web, 30 MB' >&2
	@command -v npm >/dev/null || $(call install,nodejs npm)
	@cd $(WEB) && npm ci --ignore-scripts --no-audit --no-fund >&2
	@mkdir -p $(WEB)/vendor
	@cd $(WEB)/node_modules/onnxruntime-web/dist && \
	  cp $(RUNTIME) $(abspath $(WEB))/vendor
	@rm -r $(WEB)/node_modules
	@touch $@

bench-evaluation: $(VENV)/ready
	@$(RUN) -m benchmarks.run --what=evaluation \
	  --config=configs/inception_v3.py --config.data.image_size=75 \
	  --config.batch_size=32 --ledger=benchmarks/evaluation.csv $(ARGS)

bench-export: $(VENV)/ready .venv-torch/ready .venv-mindspore/ready
	@for network in inception_v3 inception_v4 inception_resnet_v2; do \
	  $(RUN) -m benchmarks.run --what=export --rounds=10 \
	  --torch=.venv-torch/bin/python --config=configs/$$network.py \
	  --mindspore=.venv-mindspore/bin/python \
	  --ledger=benchmarks/export.csv $(ARGS) || exit; done

STEP := $(RUN) -m benchmarks.run --what=step --rounds=4 \
  --torch=.venv-torch/bin/python --ledger=benchmarks/step.csv
bench-step: $(VENV)/ready .venv-torch/ready malloc
	@for network in inception_v3 inception_v4; do \
	  $(STEP) --config=configs/$$network.py --config.batch_size=8 \
	  --config.precision=float32 $(ARGS) || exit; done
	@test -z "$(CLONES)" || $(STEP) \
	  --network=$(CLONES)/pytorch-cifar100/models/inceptionv3.py:inceptionv3 \
	  --config=configs/cifar100_inception_v3.py --config.model.num_classes=100 \
	  --config.batch_size=32 --config.precision=float32 $(ARGS)

bench-mindcv: $(VENV)/ready .venv-mindspore/ready
	@for network in inception_v3 inception_v4; do \
	  $(RUN) -m benchmarks.run --what=step --rounds=2 \
	  --mindspore=.venv-mindspore/bin/python --config=configs/$$network.py \
	  --config.batch_size=8 --config.precision=float32 \
	  --ledger=benchmarks/step.csv $(ARGS) || exit; done

bench-loop: $(VENV)/ready
	@for source in synthetic folder; do \
	  $(RUN) -m benchmarks.run --what=loop \
	  --config=configs/inception_v3.py --config.data.source=$$source \
	  --config.batch_size=8 --config.precision=float32 \
	  --ledger=benchmarks/loop.csv $(ARGS) || exit; done

bench-start: $(VENV)/ready
	@$(RUN) -m benchmarks.run --what=start \
	  --config=configs/inception_v3.py --config.data.source=synthetic \
	  --config.batch_size=8 --config.precision=float32 \
	  --ledger=benchmarks/start.csv $(ARGS)

bench-compile: .venv-tpu/ready
	@for network in inception_v3 inception_v4 inception_resnet_v2; do \
	  .venv-tpu/bin/python -m benchmarks.run --what=compile \
	  --config=configs/$$network.py --ledger=benchmarks/plain.csv \
	  $(ARGS) || exit; done

compile-check: .venv-tpu/ready
	@.venv-tpu/bin/python -m tests.system.compile_check $(ARGS)

# stdout is kept for the command's result, so installers write to stderr.
$(VENV)/ready: requirements.txt constraints.txt
	@echo 'installing into $(VENV), about a minute' >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo 'error: Python 3.11 is needed; name it with PYTHON=' >&2; exit 2; }
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV) >&2
	@$(RUN) $(PIP) -r requirements.txt -c constraints.txt >&2
	@touch $@

$(VENV)/ready-test: $(VENV)/ready requirements-test.txt
	@$(RUN) $(PIP) -r requirements-test.txt -c constraints.txt >&2
	@touch $@

.venv-torch/ready: requirements.txt constraints.txt $(PARITY)-torch.txt
	@echo 'installing into .venv-torch, some minutes' >&2
	@$(PYTHON) -m venv .venv-torch >&2
	@.venv-torch/bin/python $(PIP) -r $(PARITY)-torch.txt -c constraints.txt >&2
	@touch $@

.venv-tpu/ready: requirements.txt constraints.txt requirements-tpu.txt
	@echo 'installing into .venv-tpu, some minutes' >&2
	@$(PYTHON) -m venv .venv-tpu >&2
	@.venv-tpu/bin/python $(PIP) -r requirements-tpu.txt -c constraints.txt >&2
	@touch $@

.venv-%/ready: $(PARITY)-%.txt
	@echo 'installing into .venv-$*, some minutes' >&2
	@$(PYTHON) -m venv .venv-$* >&2
	@.venv-$*/bin/python $(PIP) -r $< >&2
	@touch $@

# Its networks are in a package whose own requirements they do not need.
.venv-slim/ready: $(PARITY)-slim.txt $(PARITY)-slim-nets.txt
	@echo 'installing into .venv-slim, some minutes' >&2
	@$(PYTHON) -m venv .venv-slim >&2
	@.venv-slim/bin/python $(PIP) -r $(PARITY)-slim.txt >&2
	@.venv-slim/bin/python $(PIP) --no-deps -r $(PARITY)-slim-nets.txt >&2
	@touch $@

# Debian's package, unpacked and not installed: that would take root.
$(FASHION)/ready:
	@echo 'fetching dataset-fashion-mnist, 31 MB' >&2
	@mkdir -p $(FASHION)
	@cd $(FASHION) && { apt-get download dataset-fashion-mnist || \
	  { apt-get update && apt-get download dataset-fashion-mnist; }; } >&2
	@dpkg -x $(FASHION)/dataset-fashion-mnist_*.deb $(FASHION)
	@touch $@

clean:
	rm -rf .venv .venv-* runs $(CPP)/build $(WEB)/vendor $(WEB)/node_modules
