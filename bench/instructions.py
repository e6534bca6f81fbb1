#!/usr/bin/env python3
"""Counts the instructions that the library's hot paths execute, with callgrind, which gives the same figure in every run.

    bench/instructions.py BUILD_DIR                 prints them beside those in bench/instructions.json
    bench/instructions.py BUILD_DIR --record        keeps them there
    bench/instructions.py BUILD_DIR --profile PATH  where they are: the functions of one path, with all that they call
    bench/instructions.py BUILD_DIR get next        these paths only

Exit code 1: a path takes more than TOLERANCE times what is recorded; CI runs it. What is recorded holds for the default build type
(-O2), g++ 12 and Debian 12's C library, whose copying and comparing depend on the processor a little; what is looked for is a change
that makes one path much dearer. BUILD_DIR has been made by: meson setup BUILD_DIR -Dbench=true
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOLERANCE = 1.4
RECORDED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.json")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"instructions.py: {' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout + done.stderr


def count(program, path, prepared, scratch, out):
    """Instructions of one path in all."""
    directory = os.path.join(scratch, "work")
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(prepared, directory)
    said = run("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--toggle-collect=Measured", program, path, directory)
    found = re.search(r"Collected : (\d+)", said)
    if not found or int(found[1]) == 0:
        sys.exit(f"instructions.py: {path}: callgrind counted nothing: {said.strip()[-300:]}")
    return int(found[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--profile", metavar="PATH")
    parser.add_argument("--tree", action="store_true", help="with --profile: callers and callees, too")
    args = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("instructions.py: skipped: valgrind is not installed")
        return 0
    program = os.path.join(args.build, "bench", "bench_instructions")
    operations = dict(line.split() for line in run(program, "list").splitlines())
    wanted = [args.profile] if args.profile else args.paths or list(operations)
    for path in wanted:
        if path not in operations:
            sys.exit(f"instructions.py: there is no path {path}; there are {', '.join(operations)}")
    recorded = {}
    if os.path.exists(RECORDED):
        with open(RECORDED, encoding="utf-8") as file:
            recorded = json.load(file)
    scratch = tempfile.mkdtemp(prefix="instructions-")
    try:
        prepared = os.path.join(scratch, "prepared")
        os.mkdir(prepared)
        run(program, "prepare", prepared)
        counted, dearer = {}, []
        print(f"{'path':<16}{'instructions':>14}{'recorded':>12}")
        for path in wanted:
            out = os.path.join(scratch, "callgrind.out")
            counted[path] = round(count(program, path, prepared, scratch, out) / int(operations[path]), 1)
            before = recorded.get(path)
            worse = before is not None and counted[path] > TOLERANCE * before
            dearer += [path] if worse else []
            print(f"{path:<16}{counted[path]:>14,}{before if before is not None else '-':>12}{'  DEARER' if worse else ''}", flush=True)
        if args.profile:
            print(run("callgrind_annotate", "--inclusive=yes", "--auto=no", *(["--tree=both"] if args.tree else []), out))
    finally:
        shutil.rmtree(scratch)
    if args.record:
        recorded.update(counted)
        with open(RECORDED, "w", encoding="utf-8") as file:
            json.dump(recorded, file, indent=2)
            file.write("\n")
        return 0
    return 1 if dearer else 0


if __name__ == "__main__":
    sys.exit(main())
