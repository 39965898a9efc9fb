#!/usr/bin/env bash
# Runs one process of a training under srun or mpirun, and adapts their signals
# and exit statuses. slurm.sbatch and mpirun.sh call it.
#
# Forwards only the first SIGTERM or SIGUSR1, as SIGTERM, since a second one
# would end the process unsaved: Slurm may signal both the job and srun. mpirun
# forwards no signal but SIGUSR1, and kills a second after SIGTERM.
#
# PATIENCE  seconds to delay exit status 75: mpirun kills the others when one
#           exits, and they may still be saving
# RAISE     is added to statuses 1 and 2: srun exits with the highest status,
#           and processes that lose the failing one exit with 75, or above 128
#           if a signal ends them
set -u

# Open MPI: each process of a host gets an equal share of the cores, so that no
# process reads its images on the cores of another one.
bind=()
if [[ ${OMPI_COMM_WORLD_LOCAL_SIZE:-1} -gt 1 ]]; then
  list=$(taskset -cp $$) cores=()
  list=${list##* } # as 0-3,8
  for range in ${list//,/ }; do
    mapfile -t -O "${#cores[@]}" cores < <(seq "${range%-*}" "${range#*-}")
  done
  share=$((${#cores[@]} / OMPI_COMM_WORLD_LOCAL_SIZE))
  own=("${cores[@]:share * OMPI_COMM_WORLD_LOCAL_RANK:share}")
  [[ $share -eq 0 ]] || bind=(taskset -c "$(IFS=,; echo "${own[*]}")")
fi

# In its own session, so that signals to the group do not reach it; and killed
# together with this script, so that it is not left running.
setsid setpriv --pdeathsig KILL "${bind[@]}" "$@" &
child=$!
trap 'trap : TERM USR1; kill -TERM "$child"' TERM USR1

# A trapped signal interrupts `wait`, not the process.
while wait "$child"; status=$?; kill -0 "$child" 2>/dev/null; do :; done
case $status in
  1 | 2) exit $((status + ${RAISE:-0})) ;;
  75) sleep "${PATIENCE:-0}" ;;
esac
exit "$status"
