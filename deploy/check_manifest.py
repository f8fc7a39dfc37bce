#!/usr/bin/env python3
"""Checks the manifest of an indexed Job by the rules of Kubernetes' batch/v1 that concern it.

    python3 deploy/check_manifest.py deploy/kubernetes.yaml
"""

import re
import sys

QUANTITY = re.compile(r"^\d+(\.\d+)?(m|[kMGT]i?)?$")
KNOWN = {
    "": {"apiVersion", "kind", "metadata", "spec"},
    "spec": {"completionMode", "completions", "parallelism", "backoffLimitPerIndex", "template"},
    "pod": {"restartPolicy", "automountServiceAccountToken", "securityContext", "containers", "volumes"},
    "container": {"name", "image", "command", "env", "resources", "securityContext", "volumeMounts"},
}


def check(job):
    """Refuses what the API would refuse, and what would not prove."""
    spec = job["spec"]
    pod = spec["template"]["spec"]
    parts = [("", job), ("spec", spec), ("pod", pod), *(("container", c) for c in pod["containers"])]
    for kind, part in parts:
        assert set(part) <= KNOWN[kind], f"unknown fields {set(part) - KNOWN[kind]}"
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", job["metadata"]["name"])
    # JOB_COMPLETION_INDEX is set in this mode only, and needs a number of completions.
    assert spec["completionMode"] == "Indexed" and spec["completions"] >= spec["parallelism"] > 0
    # A limit per index is for pods that are never restarted in place.
    assert pod["restartPolicy"] == "Never" and spec["backoffLimitPerIndex"] > 0
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in pod["containers"]:
        paths = {mount["mountPath"] for mount in container["volumeMounts"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        assert container["command"][:3] == ["nanozk", "jobs", "prove"] and container["command"][3] in paths
        assert all(isinstance(variable["value"], str) for variable in container["env"])
        for amounts in container["resources"].values():
            assert all(QUANTITY.match(str(amount)) for amount in amounts.values()), amounts


def main():
    try:
        import yaml
    except ImportError:
        print("skipped: the Kubernetes manifest (no Python package yaml)")
        return
    with open(sys.argv[1], encoding="utf-8") as file:
        check(yaml.safe_load(file))


if __name__ == "__main__":
    main()
