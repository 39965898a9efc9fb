#!/usr/bin/env bash
# One training on a slice of TPU VMs of Google Cloud, asked for as spot.
#
#   TPU=v4-train ZONE=us-west4-a TYPE=v5litepod-16 IMAGE=… \
#     launch/tpu_vm.sh configs/inception_v4.py gs://BUCKET/runs/v4 \
#     [FLAGS of main.py, as --config.data.dir=gs://BUCKET/data…]
#
# It needs gcloud, logged in and with a project; quota for spot TPUs; the image
# of launch/Dockerfile in a registry of that project; a bucket that the TPU's
# service account may write to. It asks for the slice, waits for it, and has
# every worker run the image; the workers tell jax coordinator, count and
# number. A slice that was taken away is asked for anew.
#
# SIGTERM or Ctrl-C: all save, and it ends in 75. The slice stays, and costs:
#   gcloud compute tpus queued-resources delete "$TPU" --zone="$ZONE" --force
# See again.sh for new starts.
#
# RUNTIME   the VM's system; v2-alpha-tpuv5-lite unless it is set
# CACHE     of compiled programs; WORKDIR/compiled unless it is set
# RESTARTS  how often it starts anew by itself; 20 unless it is set
# POLL      seconds between two looks at a slice to come; 30 unless it is set
set -u

here=$(cd "$(dirname "$0")" && pwd)
# again.sh starts this file a second time, for each start of the training.
if [[ -z ${AGAIN-} ]]; then
  faults=()
  [[ $# -ge 2 ]] || faults+=('RECIPE and WORKDIR are missing')
  [[ $# -lt 2 || $2 == gs://* ]] ||
    faults+=("WORKDIR=$2 would go with the slice: gs://BUCKET/… is needed")
  for name in TPU ZONE TYPE IMAGE; do
    [[ -n ${!name-} ]] || faults+=("$name is missing")
  done
  command -v gcloud >/dev/null || faults+=('gcloud is missing')
  if [[ ${#faults[@]} -gt 0 ]]; then
    printf 'error: %s\n' "${faults[@]}" >&2
    exit 2
  fi
  AGAIN=1 exec "$here/again.sh" "$here/tpu_vm.sh" "$@"
fi

recipe=$1 workdir=$2
shift 2
queue=(gcloud compute tpus queued-resources)
on_workers() {
  gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --quiet \
    --worker=all --ssh-flag=-oServerAliveInterval=30 --command="$1"
}

stopped=
child=
# docker sends SIGTERM, and SIGKILL two minutes later.
stop='sudo docker stop --time=120 inception >/dev/null 2>&1'
trap 'stopped=1; [[ -z $child ]] || on_workers "$stop" &' TERM INT

while [[ -z $stopped ]]; do
  state=$("${queue[@]}" describe "$TPU" --zone="$ZONE" \
    --format='value(state.state)' 2>/dev/null)
  case $state in
    ACTIVE) break ;;
    '')
      echo "asking for $TPU, $TYPE in $ZONE" >&2
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

# What an earlier connection left running is stopped first.
command="$stop; sudo gcloud auth configure-docker --quiet ${IMAGE%%/*} &&
  sudo docker run --name=inception --rm --privileged --network=host \
  --stop-timeout=120 $(printf '%q ' "$IMAGE" --config="$recipe" \
  --workdir="$workdir" --compilation_cache="${CACHE:-$workdir/compiled}" \
  --initialization_timeout=600 "$@")
echo \"ended in \$?\""
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Their statuses are in the log, since gcloud's own says only that one failed.
{ on_workers "$command"; echo "connections: $?"; } | tee "$log" &
child=$!
while wait "$child"; kill -0 "$child" 2>/dev/null; do :; done

mapfile -t codes < <(sed -n 's/.*ended in \([0-9]*\)$/\1/p' "$log")
if [[ ${#codes[@]} -eq 0 ]]; then
  exit 255 # no worker came to its end: connection or slice are lost
fi
# A worker that failed is the cause; the others', 75, are consequences.
for code in "${codes[@]}"; do
  case $code in 0 | 70 | 75) ;; *) exit "$code" ;; esac
done
for code in "${codes[@]}"; do
  [[ $code -eq 0 ]] || exit "$code"
done
grep -q '^connections: 0$' "$log" || exit 255
