#!/usr/bin/env bash
# Trains on several hosts with ssh only: one process per host, with all of its
# accelerators.
#
#   HOSTS='node1 node2' launch/ssh.sh \
#     configs/inception_v4.py /shared/runs/v4 [FLAGS of main.py…]
#
# First checks that every host can be reached and has this folder.
#
# Requires bash 5.1; ssh without a password from here to every host; on each
# host, at the same paths, this folder, its .venv (with jax in the version of
# requirements.txt and its accelerator support, as jax[cuda13]), data and
# workdir, the last on a shared file system. Process 0, on the first host, is
# the coordinator: the others must reach that host by that name, at PORT.
#
# SIGTERM or Ctrl-C: all processes save, and this exits with 75. They also save
# when this script ends or a connection breaks. When one process ends, the
# others are ended: at once if it failed, after PATIENCE seconds if it finished
# or saved. See restart.sh for restarts, RESTARTS and PAUSE.
#
# PORT      of the coordinator; default 55527
# PATIENCE  seconds; default 60
# GRACE     seconds from SIGTERM to SIGKILL; default 120
# PYTHON    default .venv/bin/python
set -u

here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-.venv/bin/python}

# Prints an error line for each host that cannot be reached, or where this
# folder or its Python is missing. Only before the first start: a host that is
# lost later may return, so restart.sh tries again.
check_hosts() {
  local host line names pids=() i bad=0
  read -ra names <<<"$HOSTS"
  line="cd $(printf %q "${here%/*}") && command -v $(printf %q "$python")"
  for host in "${names[@]}"; do
    { error=$(ssh -o BatchMode=yes -o ConnectTimeout=20 "$host" \
      "bash -c $(printf %q "$line")" 2>&1 >/dev/null </dev/null) ||
      { error=${error##*$'\n'}
        echo "error: $host: ${error:-$python is not in ${here%/*}}" >&2
        false
      }; } &
    pids+=($!)
  done
  for i in "${pids[@]}"; do wait "$i" || bad=1; done
  return $bad
}

# restart.sh runs this script again, once for each start of the training.
if [[ -z ${SUPERVISED-} ]]; then
  faults=()
  [[ $# -ge 2 ]] || faults+=('RECIPE and WORKDIR are missing')
  [[ -n ${HOSTS-} ]] || faults+=("HOSTS is missing, as 'node1 node2'")
  ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)) ||
    faults+=("bash 5.1 is needed, not $BASH_VERSION")
  command -v ssh >/dev/null || faults+=('ssh is missing')
  [[ ${#faults[@]} -eq 0 ]] ||
    { printf 'error: %s\n' "${faults[@]}" >&2; exit 2; }
  check_hosts || exit 2
  # Only who knows it can take part, or claim to be process 0.
  token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  export INCEPTION_JAX_TOKEN=${INCEPTION_JAX_TOKEN:-$token}
  SUPERVISED=1 WORKDIR=$2 exec "$here/restart.sh" "$here/ssh.sh" "$@"
fi

read -ra hosts <<<"$HOSTS"
recipe=$1 workdir=$2
shift 2

# Runs on each host. Its stdin has the token, which a command line would show to
# everyone there. ssh forwards no signals, but closes stdin when it ends. Joined
# into one line below, which any login shell can quote.
# shellcheck disable=SC2016  # expands on the host
remote='read -r INCEPTION_JAX_TOKEN; export INCEPTION_JAX_TOKEN; exec 3<&0;
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
# Never written to: closing it ends stdin of every ssh.
exec 3<>"$folder/open"
trap 'exec 3>&-' TERM INT

processes=()
for i in "${!hosts[@]}"; do
  command=(
    "$python" main.py --config="$recipe"
    --workdir="$workdir" --coordinator_address="${hosts[0]}:${PORT:-55527}"
    --num_processes="${#hosts[@]}" --process_id="$i" "$@"
  )
  line="cd $(printf %q "${here%/*}") && grace=${GRACE:-120} &&"
  line+=" set -- $(printf '%q ' "${command[@]}") && $remote"
  ssh -o BatchMode=yes -o ServerAliveInterval=30 "${hosts[i]}" \
    "bash -c $(printf %q "$line")" 3>&- \
    < <(echo "$INCEPTION_JAX_TOKEN"; exec cat "$folder/open") &
  processes[$!]=${hosts[i]}
done

# The first failure is the cause; the statuses of the others follow from it.
status=0 alarm=''
while [[ ${#processes[@]} -gt 0 ]]; do
  wait -n -p ended "${!processes[@]}" $alarm
  code=$?
  [[ -n ${ended-} ]] || continue # a signal
  if [[ $ended == "$alarm" ]]; then
    exec 3>&-
    alarm=
    continue
  fi
  if [[ $status -eq 0 && $code -ne 0 ]]; then
    status=$code
    echo "${processes[ended]}: exit status $code" >&2
  fi
  unset "processes[$ended]"
  case $code in 0 | 75) ;; *) exec 3>&- ;; esac
  if [[ -z $alarm ]]; then
    sleep "${PATIENCE:-60}" 3>&- &
    alarm=$!
  fi
done
[[ -z $alarm ]] || kill "$alarm" 2>/dev/null
exit "$status"
