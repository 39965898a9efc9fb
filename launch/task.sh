#!/usr/bin/env bash
# Runs one process of a training under srun or mpirun, and stands between it
# and their ways with signals and statuses. slurm.sbatch and mpirun.sh call it.
#
# Only the first SIGTERM or SIGUSR1 comes through, as SIGTERM: the second would
# end it unsaved, and Slurm may send one to the job and one through srun, while
# mpirun passes on no signal but SIGUSR1, and kills a second after a SIGTERM.
#
# PATIENCE  seconds between its exit status 75 and this one's: mpirun kills the
#           others when one ends, and they may be saving still
# RAISE     is added to statuses 1 and 2: srun's own is the highest of all, and
#           those who lose the process that failed end in 75
set -u

# In a session of its own, or signals to the group would reach it as well; and
# killed when this is, or it would stay behind.
setsid setpriv --pdeathsig KILL "$@" &
child=$!
trap 'trap : TERM USR1; kill -TERM "$child"' TERM USR1

# A trapped signal ends `wait`, not the process.
while wait "$child"; status=$?; kill -0 "$child" 2>/dev/null; do :; done
case $status in
  1 | 2) exit $((status + ${RAISE:-0})) ;;
  75) sleep "${PATIENCE:-0}" ;;
esac
exit "$status"
