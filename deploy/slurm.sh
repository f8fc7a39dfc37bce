#!/bin/bash
# Proves a run folder on a file system that all nodes see. From the folder's place:
#
#   sbatch --array="$(nanozk jobs status run/ --json | python3 -c 'import json, sys; print(*json.load(sys.stdin)["open"], sep=",")')" deploy/slurm.sh run/
#   nanozk jobs join run/ -o proof.nanozk      # when the array is over; it names what is missing
#
# Submitting again proves what is still open: jobs that are done return at once.
#SBATCH --job-name=nanozk
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --output=nanozk-%A_%a.log
set -euo pipefail

run=${1:?usage: sbatch --array=0-LAST deploy/slurm.sh RUN}
export RAYON_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
# The job is SLURM_ARRAY_TASK_ID.
exec "${NANOZK:-nanozk}" jobs prove "$run" --memory 3G
