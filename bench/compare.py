#!/usr/bin/env python3
"""Compares JohnnyDB with other engines, side by side on this machine.

    bench/compare.py BUILD_DIR                              everything, which takes many hours
    bench/compare.py BUILD_DIR --works get scan 'load-*' --data i100 --entries 1000000 --engines johnny lmdb
    bench/compare.py BUILD_DIR --quick                      does it work at all? (minutes; the figures mean nothing)
    bench/compare.py BUILD_DIR --list                       which engines, data sets and works there are

Each work runs in a process of its own (bench_compare; its opening comment says which works share one, and why), all engines one
after the other, in each round another one first. Figures are medians of the rounds; the ratio to LMDB is the median of the rounds'
ratios, above 1: better than LMDB. Writes results.csv, results.json and charts, ratios-*.svg, to the directory of --out, after
every work, so that a run can be interrupted; prints a table in Markdown. Exit code 1: some cells failed, which are listed at the end.

BUILD_DIR has been made by: meson setup BUILD_DIR -Dbuildtype=release -Dbench=true && ninja -C BUILD_DIR
"""
import argparse
import dataclasses
import fnmatch
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import memory_limit
import report

BASE = "lmdb"  # what ratios are to
SHARED = {"reads", "aged", "limited"}  # groups whose works follow each other in one process
HIDDEN = {"prepare"}
PRIMARY_DATA = ["i100", "s100", "k16v8", "url100"]
ON_ALL_DATA = {"reads", "small", "loads"}  # groups that run on all of these by default, the others on the first
ENTRIES = {"reads": 10_000_000, "limited": 10_000_000, "cold": 10_000_000, "redb": 5_000_000}
OPEN_ENTRIES = 1_000_000
OTHER_ENTRIES = 1_000_000
# Of "limited" works, the same for all engines: bytes of memory for each of keys and values. A quarter of LMDB's file after a shuffled
# load, which is 2.33 times its data.
LIMIT = 2.33 / 4
# Contenders that are of interest only where the page cache is cold.
ONLY_COLD = {"lmdb-nordahead"}
COLD_GROUPS = {"cold", "limited"}


@dataclasses.dataclass
class Cell:
    """What one process measures, whatever the engine."""
    data: str
    entries: int
    group: str
    works: list

    def __str__(self):
        names = self.works[0] if len(self.works) == 1 else f"{self.group} ({len(self.works)} works)"
        return f"{names}, {self.data}, {self.entries:,} entries"


class Skipped(Exception):
    """The cell makes no sense here, and why."""


def selected(works, patterns):
    if not patterns:
        return [work for work in works if work["group"] not in HIDDEN]
    chosen = []
    for pattern in patterns:
        # "redb-*" means the one work whose figures are called so.
        found = [work for work in works if fnmatch.fnmatchcase(work["name"], pattern) or
                 fnmatch.fnmatchcase(work["group"], pattern) or fnmatch.fnmatchcase(work["name"] + "-", pattern)]
        if not found:
            sys.exit(f"compare.py: there is no work {pattern}; --list tells which there are")
        chosen += [work for work in found if work not in chosen and work["group"] not in HIDDEN]
    return [work for work in works if work in chosen]


def make_cells(works, args):
    cells = []
    for work in works:
        group = work["group"]
        if work["data"]:
            data_sets = [work["data"]]
        else:
            every = group in ON_ALL_DATA or work["name"] == "file-size"
            data_sets = args.data or (PRIMARY_DATA if every else PRIMARY_DATA[:1])
        usual = OPEN_ENTRIES if work["name"].startswith("open-") else ENTRIES.get(group, OTHER_ENTRIES)
        entries = work["entries"] or args.entries or usual
        for data in data_sets:
            for cell in cells:
                if group in SHARED and (cell.group, cell.data, cell.entries) == (group, data, entries):
                    cell.works.append(work["name"])
                    break
            else:
                cells.append(Cell(data, entries, group, [work["name"]]))
    return cells


def engines_of(cell, args, available):
    if args.engines:
        return args.engines
    return [name for name in available if name not in ONLY_COLD or cell.group in COLD_GROUPS]


def run_program(command, seconds, limit=None):
    """The figures that it printed, and what went wrong, if anything."""
    with memory_limit.apply(limit, command) as (limited_command, prepare):
        # A session of its own, so that a child of the program ends with it.
        process = subprocess.Popen(limited_command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   start_new_session=True, preexec_fn=prepare)
        try:
            out, err = process.communicate(timeout=seconds)
            problem = None
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            problem = f"took longer than {seconds} s"
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
    if problem is None and process.returncode != 0:
        problem = err.strip() or f"ended with {process.returncode}"
    figures = [json.loads(line) for line in out.splitlines() if line.startswith("{") and line.endswith("}")]
    return figures, problem


class Runner:
    def __init__(self, program, args, entry_bytes):
        self.program, self.args, self.entry_bytes = program, args, entry_bytes
        self.figures, self.failures, self.skipped = [], [], []

    def run_cell(self, cell, engine, round_number):
        directory = tempfile.mkdtemp(prefix="johnny-bench-", dir=self.args.dir)
        begin = time.monotonic()
        try:
            figures, problem = self.measure(cell, engine, directory)
        except Skipped as skipped:
            self.skip(cell, f"{engine}: {skipped}")
            return
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        for figure in figures:
            self.figures.append({"work": figure.pop("name"), "group": cell.group, "data": cell.data, "entries": cell.entries,
                                 "engine": engine, "round": round_number, **figure})
        if problem:
            self.failures.append({"cell": str(cell), "engine": engine, "round": round_number, "problem": problem})
            print(f"    {engine}: FAILED: {problem}", file=sys.stderr, flush=True)
        else:
            print(f"    {engine}: {time.monotonic() - begin:.1f} s", file=sys.stderr, flush=True)

    def measure(self, cell, engine, directory):
        command = [self.program, "--engine", engine, "--dir", directory, "--data", cell.data, "--entries", str(cell.entries),
                   "--ageing", str(self.args.ageing)]
        if self.args.operations:
            command += ["--operations", str(self.args.operations)]
        works = ["--works", ",".join(cell.works)]
        if cell.group != "limited":
            return run_program(command + works, self.args.timeout)
        problem = run_program(command + ["--works", "load"], self.args.timeout)[1]
        if problem:
            return [], problem
        limit = int(self.entry_bytes[cell.data] * cell.entries * LIMIT)
        if limit < memory_limit.LEAST:
            raise Skipped(f"{limit:,} bytes are too little for a process; more --entries")
        # Half of it for the caches of engines that have one, as their users would.
        return run_program(command + works + ["--loaded", "--cache", str(limit // 2)], self.args.timeout, limit)

    def run(self, cells, available, save):
        for number, cell in enumerate(cells, 1):
            if cell.group == "limited" and not memory_limit.method():
                self.skip(cell, "the memory of a process cannot be limited here: no systemd, and no control group with the memory "
                          "controller that could be written to")
                continue
            engines = engines_of(cell, self.args, available)
            for round_number in range(self.args.rounds):
                print(f"[{number}/{len(cells)}] {cell}, round {round_number + 1}", file=sys.stderr, flush=True)
                first = round_number % len(engines)
                for engine in engines[first:] + engines[:first]:
                    self.run_cell(cell, engine, round_number)
            save()

    def skip(self, cell, why):
        self.skipped.append({"cell": str(cell), "why": why})
        print(f"SKIPPED: {cell}: {why}", file=sys.stderr, flush=True)


def find_program(build):
    program = os.path.join(build, "bench", "bench_compare")
    if not os.access(program, os.X_OK):
        sys.exit(f"compare.py: there is no {program}. Build it:\n"
                 f"    meson setup {build} -Dbuildtype=release -Dbench=true && ninja -C {build}")
    return program


def check(names, available, what):
    for name in names or []:
        if name not in available:
            sys.exit(f"compare.py: there is no {what} {name} in this build, but: {', '.join(available)}")


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", help="the build directory")
    parser.add_argument("--engines", nargs="+", metavar="NAME", help="default: all that the program was built with")
    parser.add_argument("--works", nargs="+", metavar="PATTERN", help="works or groups, with * and ?; default: all")
    parser.add_argument("--data", nargs="+", metavar="SET",
                        help="default: all for reads, loads and file sizes, else i100; redb and ycsb have their own")
    parser.add_argument("--entries", type=positive, help="default: 10M for reads, 5M for redb, else 1M")
    parser.add_argument("--rounds", type=positive, help="default 3, which is also the least; with --quick 1")
    parser.add_argument("--operations", type=positive, help="at most so many in any work; default: each work's own number")
    parser.add_argument("--ageing", type=positive, help="overwrites of everything before a work that is called aged; default 20")
    parser.add_argument("--dir", help="where the databases go, for a while; default: the build directory")
    parser.add_argument("--out", help="where the results go; default: BUILD/bench/results")
    parser.add_argument("--timeout", type=positive, default=7200, metavar="SECONDS", help="of one process; default 7200")
    parser.add_argument("--quick", action="store_true", help="few entries and operations, one round, two rounds of ageing")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    args.rounds = args.rounds or (1 if args.quick else 3)
    if args.rounds < 3 and not args.quick:
        parser.error("--rounds: at least 3, or the figures mean nothing")
    if args.quick:
        args.entries = args.entries or 20_000
        args.operations = args.operations or 2_000
    args.ageing = args.ageing or (2 if args.quick else 20)
    args.dir = args.dir or args.build
    args.out = args.out or os.path.join(args.build, "bench", "results")
    return args


def main():
    args = parse_arguments()
    program = find_program(args.build)
    there = json.loads(subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout)
    if args.list:
        print("\n".join(f"engine {name}: {what}" for name, what in there["engines"].items()))
        print("data sets: " + ", ".join(there["data"]))
        print("\n".join(f"{work['group']:12} {work['name']}" for work in there["works"] if work["group"] not in HIDDEN))
        return 0
    check(args.engines, list(there["engines"]), "engine")
    check(args.data, there["data"], "data set")
    cells = make_cells(selected(there["works"], args.works), args)
    os.makedirs(args.dir, exist_ok=True)
    os.makedirs(args.out, exist_ok=True)
    about = report.describe(args.build, args.dir)
    about["engines"] = {name: there["engines"][name] for name in args.engines or there["engines"]}
    about["settings"] = {key: value for key, value in vars(args).items() if key not in ("list", "build")}
    if about["build_type"] != "release":
        print(f"compare.py: {args.build} is not a release build, the figures mean little", file=sys.stderr)
    runner = Runner(program, args, there["data"])

    def save():
        rows = report.summarize(runner.figures, BASE)
        report.write(args.out, about, rows, runner.figures, runner.failures, runner.skipped, BASE)
        return rows

    try:
        runner.run(cells, list(there["engines"]), save)
    except KeyboardInterrupt:
        print("compare.py: interrupted; what there is is reported", file=sys.stderr)
    print(report.markdown(save(), BASE))
    print(f"\nresults.csv, results.json and charts are in {args.out}", file=sys.stderr)
    for skipped in runner.skipped:
        print(f"SKIPPED: {skipped['cell']}: {skipped['why']}", file=sys.stderr)
    for failure in runner.failures:
        print(f"FAILED: {failure['cell']}, {failure['engine']}, round {failure['round'] + 1}: {failure['problem']}", file=sys.stderr)
    return 1 if runner.failures else 0


if __name__ == "__main__":
    sys.exit(main())
