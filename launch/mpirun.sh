#!/usr/bin/env bash
# One training on several hosts, by Open MPI.
#
#   HOSTS=node1:8,node2:8 launch/mpirun.sh \
#     configs/inception_v4.py /shared/runs/v4 [FLAGS of main.py…]
#
# It needs Open MPI 4 (5 no longer tells what this jax looks for: take ssh.sh);
# ssh without a password from here to every host; on each, at the same paths,
# this folder, its .venv (in it jax[cuda13] of requirements.txt's version), data
# and workdir, the last on a file system that they share. After a host's colon:
# how many GPUs it has, since jax gives a process the GPU of its number there.
# Open MPI itself tells jax coordinator, count and number; the coordinator is
# the host where this runs, so it has to be the first of HOSTS.
#
# SIGTERM or Ctrl-C: all save, and it ends in 75. See again.sh for new starts.
#
# PATIENCE  seconds for the others to save once one has; 30 unless it is set
# RESTARTS  how often it starts anew by itself; 20 unless it is set
# PYTHON    .venv/bin/python unless it is set
set -u

python=${PYTHON:-.venv/bin/python} here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.." || exit 2
# again.sh starts this file a second time, for each start of the training.
if [[ -z ${AGAIN-} ]]; then
  faults=()
  [[ $# -ge 2 ]] || faults+=('RECIPE and WORKDIR are missing')
  [[ -n ${HOSTS-} ]] || faults+=('HOSTS is missing, as node1:8,node2:8')
  command -v "$python" >/dev/null || faults+=("PYTHON: there is no $python")
  if ! version=$(mpirun --version 2>&1); then
    faults+=('mpirun is missing: install Open MPI 4')
  elif [[ $version != *'(Open MPI) 4.'* ]]; then
    faults+=("Open MPI 4 is needed, not ${version%%$'\n'*}")
  fi
  if [[ ${#faults[@]} -gt 0 ]]; then
    printf 'error: %s\n' "${faults[@]}" >&2
    exit 2
  fi
  AGAIN=1 exec "$here/again.sh" "$here/mpirun.sh" "$@"
fi

recipe=$1 workdir=$2
shift 2
export PATIENCE=${PATIENCE:-30}
# setsid: mpirun must not hear Ctrl-C itself, or it kills without waiting.
setsid mpirun --host "$HOSTS" -x PATIENCE launch/task.sh \
  "$python" main.py --config="$recipe" --workdir="$workdir" "$@" &
child=$!
trap 'kill -USR1 "$child"' TERM INT
while wait "$child"; status=$?; kill -0 "$child" 2>/dev/null; do :; done
exit "$status"
