#!/usr/bin/env python3
"""Proves the open jobs of a run folder on Ray (pip install ray): on the cluster that RAY_ADDRESS names, else on one that
this script starts here.

    python3 deploy/on_ray.py run/ [--nanozk PATH] [--workers N] [--kill]

Ray repeats the tasks of a worker that dies. `--kill` makes one die: SIGKILL for it and its prover as soon as some job is
done.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time

import ray

from run_folder import open_jobs, parser

RETRIES = 5


@ray.remote(num_cpus=1, max_retries=RETRIES)
def prove(nanozk, run, job, pids):
    """Proves one job. The worker's and the prover's process ids stand in a file of `pids` meanwhile."""
    env = dict(os.environ, RAYON_NUM_THREADS="1")
    prover = subprocess.Popen([nanozk, "jobs", "prove", run, "--job", str(job)], env=env, stdout=subprocess.DEVNULL)
    note = os.path.join(pids, str(job))
    with open(note, "w", encoding="utf-8") as file:
        file.write(f"{os.getpid()} {prover.pid}")
    code = prover.wait()
    os.remove(note)
    if code != 0:
        raise RuntimeError(f"job {job}: exit code {code}")


def kill_one(pids):
    """Kills a worker and its prover, if one is at work."""
    for note in os.listdir(pids):
        try:
            with open(os.path.join(pids, note), encoding="utf-8") as file:
                victims = [int(pid) for pid in file.read().split()]
        except OSError:
            continue
        if len(victims) == 2:
            worker, prover = victims
            try:
                os.kill(prover, signal.SIGKILL)
                os.kill(worker, signal.SIGKILL)
            except ProcessLookupError:
                continue
            print(f"SIGKILL for worker {worker} and its prover, at job {note}", flush=True)
            return True
    return False


def main():
    args = parser(__doc__, "workers of one core each, of a cluster started here", "kill one worker").parse_args()
    if "RAY_ADDRESS" in os.environ:
        ray.init()
    else:
        ray.init(num_cpus=args.workers, include_dashboard=False, log_to_driver=False, object_store_memory=80_000_000)
    todo = open_jobs(args)
    with tempfile.TemporaryDirectory() as pids:
        tasks = [prove.remote(args.nanozk, args.run, job, pids) for job in todo]
        left, to_kill = tasks, args.kill
        while left:
            done, left = ray.wait(left, timeout=0.02)
            ray.get(done)
            if to_kill and 0 < len(left) < len(tasks) and kill_one(pids):
                to_kill = False
            time.sleep(0 if done else 0.01)
    if to_kill:
        return "the run was over before a worker was killed"
    print(f"{len(todo)} jobs proven, {'one worker killed on the way' if args.kill else 'nothing killed'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
