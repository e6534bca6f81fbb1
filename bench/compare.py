#!/usr/bin/env python3
"""Runs the comparison: every work, engines alternating, one process per cell, medians of several rounds, ratios to LMDB.

    bench/compare.py BUILD_DIR [--entries N] [--rounds N] [--work W ...] [--csv FILE] [--dir SCRATCH]
"""
import argparse, csv, os, shutil, statistics, subprocess, sys, tempfile

WORKS = ["get", "get-absent", "begin-get-end", "scan", "scan-back", "load-ascending", "load-shuffled", "overwrite-1",
         "overwrite-100", "overwrite-10k", "durable-1", "durable-1-single", "durable-100", "durable-100-single", "delete"]
ENGINES = ["johnny", "lmdb"]


def cell(program, engine, work, entries, scratch):
    directory = tempfile.mkdtemp(dir=scratch)
    try:
        out = subprocess.run([program, engine, work, str(entries), directory], check=True, capture_output=True, text=True)
        operations, seconds, size = out.stdout.split()
        return int(operations) / float(seconds), int(size)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{engine} {work}: {error.stderr.strip()}")
    finally:
        shutil.rmtree(directory)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", nargs="*", default=WORKS)
    parser.add_argument("--csv")
    parser.add_argument("--dir", help="where the databases go (default: beside the build)")
    args = parser.parse_args()
    program = os.path.join(args.build, "bench", "bench_compare")
    rows = []
    print(f"{'work':20} {'JohnnyDB/s':>12} {'LMDB/s':>12} {'ratio':>7} {'JohnnyDB MB':>12} {'LMDB MB':>9}")
    for work in args.work:
        rates = {engine: [] for engine in ENGINES}
        sizes = {}
        for _ in range(args.rounds):
            for engine in ENGINES:
                rate, sizes[engine] = cell(program, engine, work, args.entries, args.dir or args.build)
                rates[engine].append(rate)
        median = {engine: statistics.median(rates[engine]) for engine in ENGINES}
        ratio = statistics.median(a / b for a, b in zip(rates["johnny"], rates["lmdb"]))
        print(f"{work:20} {median['johnny']:12,.0f} {median['lmdb']:12,.0f} {ratio:7.2f} {sizes['johnny'] / 1e6:12.1f} "
              f"{sizes['lmdb'] / 1e6:9.1f}", flush=True)
        rows.append([work, args.entries, median["johnny"], median["lmdb"], ratio, sizes["johnny"], sizes["lmdb"]])
    if args.csv:
        with open(args.csv, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["work", "entries", "johnny_per_s", "lmdb_per_s", "ratio", "johnny_bytes", "lmdb_bytes"])
            writer.writerows(rows)


if __name__ == "__main__":
    main()
