"""What the scripts for engines share: their arguments, and which jobs of a run folder are open."""

import argparse
import json
import os
import subprocess


def parser(description, workers, kill):
    """Arguments of such a script: `workers` and `kill` say what these two mean to it."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=os.path.abspath, help="folder made by `nanozk jobs split`")
    parser.add_argument("--nanozk", default="nanozk", help="the program")
    parser.add_argument("--workers", type=int, default=2, help=workers)
    parser.add_argument("--kill", action="store_true", help=kill)
    return parser


def open_jobs(args):
    """Numbers of the jobs without a part."""
    status = subprocess.run([args.nanozk, "jobs", "status", args.run, "--json"], check=True, stdout=subprocess.PIPE)
    return json.loads(status.stdout)["open"]
