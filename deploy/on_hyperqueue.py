#!/usr/bin/env python3
"""Proves the open jobs of a run folder on HyperQueue, on a cluster that this script starts here (pip install hyperqueue).

    python3 deploy/on_hyperqueue.py run/ [--nanozk PATH] [--workers N] [--kill]

The cluster is a process of its own. When it dies, whatever the cause, the jobs that are still open go to a new one;
nothing else has to be repaired. `--kill` makes it die: SIGKILL for the server and all workers as soon as some job is done,
and for one prover of the next cluster. On a cluster that runs already, the same is

    hq submit --array 0-LAST --crash-limit 5 nanozk jobs prove run/
"""

import argparse
import os
import signal
import subprocess
import sys
import time

from run_folder import open_jobs, parser

ROUNDS = 20


def serve(args):
    """Starts a cluster and proves what is open; fails when a task does."""
    from hyperqueue.cluster import LocalCluster, WorkerConfig
    from hyperqueue.job import Job

    todo = open_jobs(args)
    with LocalCluster() as cluster:
        for _ in range(args.workers):
            cluster.start_worker(WorkerConfig(cores=1))
        client = cluster.client()
        job = Job(max_fails=None)
        for index in todo:
            # Tasks are numbered from 0: where all jobs are open, HQ_TASK_ID is the job.
            which = [] if todo == list(range(len(todo))) else ["--job", str(index)]
            env = {"RAYON_NUM_THREADS": "1"}
            job.program([args.nanozk, "jobs", "prove", args.run, *which], env=env, stdout=None, stderr=None)
        client.wait_for_jobs([client.submit(job)])


def provers(args):
    """Process ids of provers of this run."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if words[1:4] == ["jobs", "prove", args.run]:
            found.append(int(pid))
    return found


def main():
    arguments = parser(__doc__, "workers of one core each", "kill the cluster once, then one prover")
    arguments.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = arguments.parse_args()
    if args.serve:
        return serve(args)
    jobs = len(open_jobs(args))
    kills = [lambda cluster: [cluster.pid], lambda _: provers(args)[:1]] if args.kill else []
    for _ in range(ROUNDS):
        begun = len(open_jobs(args))
        if not begun:
            print(f"{jobs} jobs proven, {'cluster and prover killed on the way' if args.kill else 'nothing killed'}")
            return "the run was over before everything was killed" if kills else 0
        command = [sys.executable, __file__, "--serve", *sys.argv[1:]]
        cluster = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        kill = kills[0] if kills else None
        while cluster.poll() is None:
            time.sleep(0.02)
            victims = kill(cluster) if kill and provers(args) and 0 < len(open_jobs(args)) < begun else []
            for pid in victims:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                print(f"SIGKILL for process {pid}", flush=True)
                kill, kills = None, kills[1:]
    return f"{len(open_jobs(args))} jobs are still open after {ROUNDS} clusters"


if __name__ == "__main__":
    sys.exit(main())
