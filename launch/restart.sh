#!/usr/bin/env bash
# Runs a command, and restarts it after exit status 75 (preempted and saved, or
# another process was lost), 70 (hung), 255 (ssh lost a host) or another above
# 128 (ended by a signal). Any other status ends it: 0 done, 1 run error, 2
# mistake of the user.
#
#   launch/restart.sh COMMAND…
#
# RESTARTS  maximum number of restarts without progress; default 20
# WORKDIR   a new checkpoint in it is progress; without it, or where it cannot
#           be listed here, every restart counts
# PAUSE     seconds before a restart, for a lost host to return; default 10
#
# SIGTERM and SIGINT are forwarded to the command, which saves; it is not
# restarted. mpirun.sh, ssh.sh and tpu_vm.sh start themselves through this
# script.
set -u

restarts=${RESTARTS:-20}
[[ $# -gt 0 ]] || { echo 'error: COMMAND is missing' >&2; exit 2; }
[[ $restarts =~ ^[0-9]+$ ]] ||
  { echo "error: RESTARTS=$restarts is not a number" >&2; exit 2; }

stopped='' child=''
trap 'stopped=1; [[ -z $child ]] || kill -TERM "$child" 2>/dev/null' TERM INT

newest() {
  local path step newest=0
  for path in "${WORKDIR-}"/checkpoints/*; do
    step=${path##*/}
    [[ ! $step =~ ^[0-9]{1,15}$ ]] || ((10#$step <= newest)) ||
      newest=$((10#$step))
  done
  echo "$newest"
}

furthest=$(newest)
for ((start = 0; ; start++)); do
  "$@" &
  child=$!
  # A trapped signal interrupts `wait`, not the command.
  while wait "$child"; status=$?; kill -0 "$child" 2>/dev/null; do :; done
  child=
  ((status == 70 || status == 75 || status > 128)) || exit "$status"
  [[ -z $stopped ]] || exit "$status"
  step=$(newest)
  ((step <= furthest)) || { furthest=$step start=0; }
  if ((start == restarts)); then
    echo "exit status $status after $restarts restarts: giving up" >&2
    exit "$status"
  fi
  echo "exit status $status: restart $((start + 1)) of $restarts" >&2
  sleep "${PAUSE:-10}" &
  wait $!
  [[ -z $stopped ]] || exit "$status"
done
