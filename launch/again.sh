#!/usr/bin/env bash
# Runs a command, and again while a new start may cure what ended it: exit
# status 75 (preempted: it has saved), 70 (it hung) or 255 (ssh lost a host).
# Any other status is the end: 0 done, 1 run error, 2 a mistake of the user's.
#
#   launch/again.sh COMMAND…
#
# RESTARTS  how often at most; 20 unless it is set
# PAUSE     seconds before a new start, 10: a host that went may come back
#
# SIGTERM and SIGINT go to the command, which saves; there is no new start.
# mpirun.sh, ssh.sh and tpu_vm.sh are started by this one.
set -u

restarts=${RESTARTS:-20}
[[ $# -gt 0 ]] || { echo 'error: again.sh runs a command: none' >&2; exit 2; }
[[ $restarts =~ ^[0-9]+$ ]] ||
  { echo "error: RESTARTS=$restarts is no number" >&2; exit 2; }

stopped=
child=
trap 'stopped=1; [[ -z $child ]] || kill -TERM "$child" 2>/dev/null' TERM INT

for ((start = 0; ; start++)); do
  "$@" &
  child=$!
  # A trapped signal ends `wait`, not the command.
  while wait "$child"; status=$?; kill -0 "$child" 2>/dev/null; do :; done
  child=
  case $status in 70 | 75 | 255) ;; *) exit "$status" ;; esac
  [[ -z $stopped ]] || exit "$status"
  if ((start == restarts)); then
    echo "exit status $status after $restarts new starts: the last" >&2
    exit "$status"
  fi
  echo "exit status $status: new start $((start + 1)) of $restarts" >&2
  sleep "${PAUSE:-10}" &
  wait $!
  [[ -z $stopped ]] || exit "$status"
done
