#!/usr/bin/env bash
# Trains on a TPU slice of a GKE cluster that xpk made, in its Kueue queue.
#
#   CLUSTER=tpus TYPE=v5litepod-16 IMAGE=… \
#     launch/xpk.sh configs/inception_v4.py gs://BUCKET/runs/v4 \
#     [FLAGS of main.py, as --config.data.dir=gs://BUCKET/data…]
#
# Requires xpk 1.16, logged in and with a project and zone (xpk config); the
# image of launch/Dockerfile in a registry; a bucket that the pods may write to.
# It submits the job and returns. jax reads coordinator, process count and index
# from GKE.
#
# WORKLOAD  name of the job; default inception
# RESTARTS  the most restarts, after every status but 1 and 2; default 20
set -u

faults=()
[[ $# -ge 2 ]] || faults+=('RECIPE and WORKDIR are missing')
[[ $# -lt 2 || $2 == gs://* ]] ||
  faults+=("WORKDIR=$2 would be lost with the pods: use gs://BUCKET/…")
for name in CLUSTER TYPE IMAGE; do
  [[ -n ${!name-} ]] || faults+=("$name is missing")
done
command -v xpk >/dev/null || faults+=('xpk is missing')
[[ ${#faults[@]} -eq 0 ]] ||
  { printf 'error: %s\n' "${faults[@]}" >&2; exit 2; }

recipe=$1 workdir=$2
shift 2
# Only who knows it can take part, or claim to be process 0.
token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
# A command for a shell in the pod.
printf -v command '%q ' exec python main.py "--config=$recipe" \
  "--workdir=$workdir" "--compilation_cache=${CACHE:-$workdir/compiled}" \
  --initialization_timeout=600 "$@"
# Preempted (75), no step for half an hour (70); after a signal it does anyway.
exec xpk workload create --cluster="$CLUSTER" --tpu-type="$TYPE" \
  --workload="${WORKLOAD:-inception}" --docker-image="$IMAGE" \
  --env="INCEPTION_JAX_TOKEN=${INCEPTION_JAX_TOKEN:-$token}" \
  --max-restarts="${RESTARTS:-20}" --restart-on-exit-codes=70,75 \
  --termination-grace-period-seconds=120 --command="$command"
