#!/usr/bin/env bash
# Trains on several hosts with Open MPI.
#
#   HOSTS=node1:8,node2:8 launch/mpirun.sh \
#     configs/inception_v4.py /shared/runs/v4 [FLAGS of main.py…]
#
# Requires Open MPI 4 (5 no longer sets the variables that jax reads: use
# ssh.sh); ssh without a password from here to every host; on each host, at the
# same paths, this folder, its .venv (with jax[cuda13] in the version of
# requirements.txt), data and workdir, the last on a shared file system. The
# number after a host's colon is its number of GPUs, since jax gives each
# process the GPU of its local index. jax reads coordinator, process count and
# index from Open MPI's environment; the coordinator is the host where this
# runs, so it must be the first of HOSTS.
#
# The processes of a host share its cores equally, each bound to its own.
#
# SIGTERM or Ctrl-C: all processes save, and this exits with 75. See restart.sh
# for restarts, RESTARTS and PAUSE.
#
# PATIENCE  seconds for the others to save after the first has; default 30
# PYTHON    default .venv/bin/python
set -u

python=${PYTHON:-.venv/bin/python} here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.." || exit 2
# restart.sh runs this script again, once for each start of the training.
if [[ -z ${SUPERVISED-} ]]; then
  faults=()
  [[ $# -ge 2 ]] || faults+=('RECIPE and WORKDIR are missing')
  [[ -n ${HOSTS-} ]] || faults+=('HOSTS is missing, as node1:8,node2:8')
  command -v "$python" >/dev/null || faults+=("PYTHON=$python was not found")
  if ! version=$(mpirun --version 2>&1); then
    faults+=('mpirun is missing: install Open MPI 4')
  elif [[ $version != *'(Open MPI) 4.'* ]]; then
    faults+=("Open MPI 4 is needed, not ${version%%$'\n'*}")
  fi
  [[ ${#faults[@]} -eq 0 ]] ||
    { printf 'error: %s\n' "${faults[@]}" >&2; exit 2; }
  # Only who knows it can take part, or claim to be process 0.
  token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  export INCEPTION_JAX_TOKEN=${INCEPTION_JAX_TOKEN:-$token}
  SUPERVISED=1 WORKDIR=$2 exec "$here/restart.sh" "$here/mpirun.sh" "$@"
fi

recipe=$1 workdir=$2
shift 2
export PATIENCE=${PATIENCE:-30}
# setsid: mpirun must not receive Ctrl-C itself, or it kills without waiting.
# task.sh binds: Open MPI would give one of two processes a single core.
setsid mpirun --host "$HOSTS" --bind-to none -x INCEPTION_JAX_TOKEN -x PATIENCE \
  launch/task.sh \
  "$python" main.py --config="$recipe" --workdir="$workdir" "$@" &
child=$!
trap 'kill -USR1 "$child"' TERM INT
while wait "$child"; status=$?; kill -0 "$child" 2>/dev/null; do :; done
exit "$status"
