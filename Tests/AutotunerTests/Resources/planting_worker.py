#!/usr/bin/env python3
"""Stands in for `tessera tune-worker` and plants faults: see Tests/AutotunerTests/FaultSweepTests.swift.

    planting_worker.py CONFIG JOB

CONFIG holds {"tessera": path, "planted": folder of FAULT.so, "usual": the default's knobs, "percent": {FAULT: n},
"log": path}. A candidate's fault depends on its knobs alone. `build crash` and `build hang` befall the build; the others
are libraries that take the built one's place.
"""
import ctypes
import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time


def fault(candidate, config):
    knobs = candidate["knobs"]["values"]
    if knobs == config["usual"]:
        return None
    text = json.dumps([candidate["template"], knobs], sort_keys=True)
    lot = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % 100
    for name, percent in sorted(config["percent"].items()):
        if lot < percent:
            return name
        lot -= percent
    return None


def build(tessera, job, config):
    # Tells its parent which entry it is at, as the worker does.
    marker = os.open(job["marker"], os.O_RDWR | os.O_CREAT, 0o600)
    for number, entry in enumerate(job["entries"]):
        os.pwrite(marker, struct.pack("=qq", number + 1, number), 0)
        planted = fault(entry["candidate"], config)
        if planted:
            line = json.dumps({"candidate": entry["candidate"], "fault": planted}) + "\n"
            with open(config["log"], "a") as log:
                log.write(line)
        if planted == "build crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if planted == "build hang":
            time.sleep(3600)
        part = {**job, "entries": [entry], "marker": job["marker"] + ".part"}
        path = f"{job['marker']}.part.job"
        with open(path, "w") as file:
            json.dump(part, file)
        answer = subprocess.run([tessera, "tune-worker", path], stdout=subprocess.PIPE, text=True).stdout
        if planted:
            shutil.copy(f"{config['planted']}/{planted}.so", entry["library"])
        for line in answer.splitlines():
            event = json.loads(line)
            for kind in ("built", "failed"):
                if kind in event:
                    event[kind]["_0"] = number
            print(json.dumps(event), flush=True)


def main():
    # Ends with its parent, as the worker does: PR_SET_PDEATHSIG.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    with open(sys.argv[1]) as file:
        config = json.load(file)
    with open(sys.argv[2]) as file:
        job = json.load(file)
    if "build" in job["work"]:
        build(config["tessera"], job, config)
    else:
        os.execv(config["tessera"], [config["tessera"], "tune-worker", sys.argv[2]])


main()
