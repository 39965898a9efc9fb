#!/usr/bin/env bash
# Trains on a spot slice of TPU VMs of Google Cloud.
#
#   TPU=v4-train ZONE=us-west4-a TYPE=v5litepod-16 IMAGE=… \
#     launch/tpu_vm.sh configs/inception_v4.py gs://BUCKET/runs/v4 \
#     [FLAGS of main.py, as --config.data.dir=gs://BUCKET/data…]
#
# Requires gcloud, logged in and with a project; quota for spot TPUs; the image
# of launch/Dockerfile in a registry of that project; a bucket that the TPU's
# service account may write to. It requests the slice, waits for it, and runs
# the image on every worker, where jax detects coordinator, process count and
# index. A preempted slice is requested again.
#
# SIGTERM or Ctrl-C: all processes save, and this exits with 75. The slice
# remains and is billed until you delete it:
#   gcloud compute tpus queued-resources delete "$TPU" --zone="$ZONE" --force
# See restart.sh for restarts, RESTARTS and PAUSE.
#
# RUNTIME   software version of the VMs; default v2-alpha-tpuv5-lite
# CACHE     folder of compiled programs; default WORKDIR/compiled
# POLL      seconds between queries of a requested slice; default 30
set -u

here=$(cd "$(dirname "$0")" && pwd)
# restart.sh runs this script again, once for each start of the training.
if [[ -z ${SUPERVISED-} ]]; then
  faults=()
  [[ $# -ge 2 ]] || faults+=('RECIPE and WORKDIR are missing')
  [[ $# -lt 2 || $2 == gs://* ]] ||
    faults+=("WORKDIR=$2 would be lost with the slice: use gs://BUCKET/…")
  for name in TPU ZONE TYPE IMAGE; do
    [[ -n ${!name-} ]] || faults+=("$name is missing")
  done
  command -v gcloud >/dev/null || faults+=('gcloud is missing')
  [[ ${#faults[@]} -eq 0 ]] ||
    { printf 'error: %s\n' "${faults[@]}" >&2; exit 2; }
  # Only who knows it can take part, or claim to be process 0.
  token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  export INCEPTION_JAX_TOKEN=${INCEPTION_JAX_TOKEN:-$token}
  SUPERVISED=1 WORKDIR=$2 exec "$here/restart.sh" "$here/tpu_vm.sh" "$@"
fi

recipe=$1 workdir=$2
shift 2
queue=(gcloud compute tpus queued-resources)
on_workers() {
  gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --quiet \
    --worker=all --ssh-flag=-oServerAliveInterval=30 --command="$1"
}

stopped='' child=''
# docker stop sends SIGTERM, and SIGKILL two minutes later.
stop='sudo docker stop --time=120 inception >/dev/null 2>&1'
trap 'stopped=1; [[ -z $child ]] || on_workers "$stop" &' TERM INT

while [[ -z $stopped ]]; do
  state=$("${queue[@]}" describe "$TPU" --zone="$ZONE" \
    --format='value(state.state)' 2>/dev/null)
  case $state in
    ACTIVE) break ;;
    '')
      echo "requesting $TPU, $TYPE in $ZONE" >&2
      "${queue[@]}" create "$TPU" --node-id="$TPU" --zone="$ZONE" --spot \
        --accelerator-type="$TYPE" \
        --runtime-version="${RUNTIME:-v2-alpha-tpuv5-lite}" >&2 || exit 2
      ;;
    SUSPENDED | FAILED)
      echo "$TPU is $state: deleting it" >&2
      "${queue[@]}" delete "$TPU" --zone="$ZONE" --force --quiet >&2 || exit 1
      continue
      ;;
    *) echo "$TPU is $state" >&2 ;;
  esac
  sleep "${POLL:-30}" &
  wait $!
done
[[ -z $stopped ]] || exit 75

# First stops a container that a lost connection left running.
command="$stop; sudo gcloud auth configure-docker --quiet ${IMAGE%%/*} &&
  sudo docker run --name=inception --rm --privileged --network=host \
  --stop-timeout=120 $(printf '%q ' \
  --env=INCEPTION_JAX_TOKEN="$INCEPTION_JAX_TOKEN" "$IMAGE" --config="$recipe" \
  --workdir="$workdir" --compilation_cache="${CACHE:-$workdir/compiled}" \
  --initialization_timeout=600 "$@")
echo \"exit status: \$?\""
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The log has the workers' statuses: gcloud's own says only that one failed.
{ on_workers "$command"; echo "connections: $?"; } | tee "$log" &
child=$!
while wait "$child"; kill -0 "$child" 2>/dev/null; do :; done

mapfile -t codes < <(sed -n 's/.*exit status: \([0-9]*\)$/\1/p' "$log")
# No worker ended: the connection or the slice is lost.
[[ ${#codes[@]} -gt 0 ]] || exit 255
# A failed worker is the cause; the others exit with 75 because of it, or are
# ended by a signal.
for code in "${codes[@]}"; do
  ((code == 0 || code == 70 || code == 75 || code > 128)) || exit "$code"
done
for code in "${codes[@]}"; do
  [[ $code -eq 0 ]] || exit "$code"
done
grep -q '^connections: 0$' "$log" || exit 255
