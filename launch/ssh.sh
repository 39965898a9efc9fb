#!/usr/bin/env bash
# One training on several hosts, by nothing but ssh: a process for each host,
# with all of its accelerators.
#
#   HOSTS='node1 node2' launch/ssh.sh \
#     configs/inception_v4.py /shared/runs/v4 [FLAGS of main.py…]
#
# It needs bash 5.1; ssh without a password from here to every host; on each, at
# the same paths, this folder, its .venv (in it jax of requirements.txt's
# version with what the accelerators need, as jax[cuda13]), data and workdir,
# the last on a file system that they share. Process 0, the first host's, is the
# coordinator: the others must reach that host by that name, at PORT.
#
# SIGTERM or Ctrl-C: all save, and it ends in 75. So do they when this ends or a
# connection breaks. When one has ended, so must the others: at once where it
# failed, after PATIENCE seconds where it was done or saved. See again.sh for
# new starts.
#
# PORT      55527 unless it is set
# PATIENCE  60 unless it is set
# GRACE     seconds from SIGTERM to SIGKILL; 120 unless it is set
# RESTARTS  how often it starts anew by itself; 20 unless it is set
# PYTHON    .venv/bin/python unless it is set
set -u

here=$(cd "$(dirname "$0")" && pwd)
# again.sh starts this file a second time, for each start of the training.
if [[ -z ${AGAIN-} ]]; then
  faults=()
  [[ $# -ge 2 ]] || faults+=('RECIPE and WORKDIR are missing')
  [[ -n ${HOSTS-} ]] || faults+=("HOSTS is missing, as 'node1 node2'")
  ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)) ||
    faults+=("bash 5.1 is needed, not $BASH_VERSION")
  command -v ssh >/dev/null || faults+=('ssh is missing')
  if [[ ${#faults[@]} -gt 0 ]]; then
    printf 'error: %s\n' "${faults[@]}" >&2
    exit 2
  fi
  AGAIN=1 exec "$here/again.sh" "$here/ssh.sh" "$@"
fi

read -ra hosts <<<"$HOSTS"
recipe=$1 workdir=$2
shift 2

# On a host. ssh passes on no signal, but its end closes stdin over there. In
# one line, which any login shell can quote.
# shellcheck disable=SC2016  # it expands there
remote='exec 3<&0;
"$@" </dev/null 3<&- & child=$!;
{ read -r _ <&3;
  kill -TERM $child && sleep $grace && kill -KILL $child;
} >/dev/null 2>&1 & watch=$!;
wait $child; status=$?;
kill $watch; exit $status'
remote=${remote//$'\n'/ }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkfifo "$folder/open"
# Read by every ssh, written to by none: closed, it tells them all to end.
exec 3<>"$folder/open"
trap 'exec 3>&-' TERM INT

processes=()
for i in "${!hosts[@]}"; do
  command=(
    "${PYTHON:-.venv/bin/python}" main.py --config="$recipe"
    --workdir="$workdir" --coordinator_address="${hosts[0]}:${PORT:-55527}"
    --num_processes="${#hosts[@]}" --process_id="$i" "$@"
  )
  line="cd $(printf %q "${here%/*}") && grace=${GRACE:-120} &&"
  line+=" set -- $(printf '%q ' "${command[@]}") && $remote"
  ssh -o BatchMode=yes -o ServerAliveInterval=30 "${hosts[i]}" \
    "bash -c $(printf %q "$line")" <"$folder/open" 3>&- &
  processes+=($!)
done

# The first that fails is the cause; the others' statuses are consequences.
status=0
alarm=
while [[ ${#processes[@]} -gt 0 ]]; do
  wait -n -p ended "${processes[@]}" $alarm
  code=$?
  [[ -n ${ended-} ]] || continue # a signal
  if [[ $ended == "$alarm" ]]; then
    exec 3>&-
    alarm=
    continue
  fi
  for i in "${!processes[@]}"; do
    [[ ${processes[i]} != "$ended" ]] || unset 'processes[i]'
  done
  [[ $status -ne 0 ]] || status=$code
  case $code in
    0 | 75) ;;
    *) exec 3>&- ;;
  esac
  if [[ -z $alarm ]]; then
    sleep "${PATIENCE:-60}" 3>&- &
    alarm=$!
  fi
done
[[ -z $alarm ]] || kill "$alarm" 2>/dev/null
exit "$status"
