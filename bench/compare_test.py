#!/usr/bin/env python3
"""Runs the comparison with little of everything, and its driver with a program that makes figures up.

usage: compare_test.py BENCH_COMPARE [unittest arguments]
"""
import csv
import json
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

PROGRAM = os.path.abspath(sys.argv[1])
BUILD = os.path.dirname(os.path.dirname(PROGRAM))
DRIVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "compare.py")

# Two engines whose figures differ from round to round; lmdb fails in the work "bad".
MADE_UP = """#!/usr/bin/env python3
import json, os, sys
if sys.argv[1] == "--list":
    works = [{"name": name, "group": "durable", "data": "", "entries": 0} for name in ("more", "less", "bad")]
    print(json.dumps({"engines": {"johnny": "", "lmdb": ""}, "data": {"i100": 108}, "works": works}))
    sys.exit()
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
work, engine = options["--works"], options["--engine"]
if work == "bad" and engine == "lmdb":
    sys.exit("bad luck")
counter = os.path.join(os.path.dirname(__file__), work + engine)
with open(counter, "a") as file:
    file.write(".")
round_number = os.path.getsize(counter) - 1
value = {"johnny": [30, 10, 80], "lmdb": [10, 10, 10]}[engine][round_number]
print(json.dumps({"name": work, "value": value, "unit": "u", "more_is_better": work == "more", "operations": 1, "seconds": 1,
                  "file_bytes": 4096}))
"""


def drive(*arguments):
    return subprocess.run([sys.executable, "-B", DRIVER, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=850)


class CompareTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="johnny-compare-")
        self.addCleanup(directory.cleanup)
        self.out = directory.name

    def results(self):
        with open(os.path.join(self.out, "results.csv"), encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        with open(os.path.join(self.out, "results.json"), encoding="utf-8") as file:
            return rows, json.load(file)

    def make_up(self):
        build = os.path.join(self.out, "build")
        os.makedirs(os.path.join(build, "bench"))
        with open(os.path.join(build, "bench", "bench_compare"), "w", encoding="utf-8") as file:
            file.write(MADE_UP)
        os.chmod(file.name, 0o755)
        return build

    def test_every_engine_does_every_work(self):
        result = drive(BUILD, "--quick", "--entries", "2000", "--operations", "50", "--data", "i100", "--dir", self.out, "--out",
                       self.out)
        self.assertEqual(result.returncode, 0, result.stderr)
        rows, everything = self.results()
        listed = json.loads(subprocess.run([PROGRAM, "--list"], stdout=subprocess.PIPE, check=True).stdout)
        expected = {work["name"] for work in listed["works"] if work["group"] not in ("prepare", "limited", "redb")}
        everywhere = set(listed["engines"]) - {"lmdb-nordahead"}
        for engine in everywhere:
            self.assertLessEqual(expected, {row["work"] for row in rows if row["engine"] == engine}, engine)
            self.assertIn("redb-random-reads", {row["work"] for row in rows if row["engine"] == engine}, engine)
        self.assertEqual(set(everything["engines"]), set(listed["engines"]))
        if "lmdb" in everywhere:
            charts = [name for name in os.listdir(self.out) if name.endswith(".svg")]
            self.assertTrue(charts)
            for name in charts:
                xml.etree.ElementTree.parse(os.path.join(self.out, name))

    def test_every_data_set_can_be_read_and_loaded(self):
        result = drive(BUILD, "--quick", "--entries", "2000", "--operations", "50", "--works", "reads", "loads", "--data", "s100",
                       "k16v8", "url100", "--dir", self.out, "--out", self.out)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_medians_and_ratios(self):
        build = self.make_up()
        result = drive(build, "--works", "more", "less", "--out", self.out)
        self.assertEqual(result.returncode, 0, result.stderr)
        rows, _ = self.results()
        found = {(row["work"], row["engine"]): (float(row["median"]), float(row["ratio"])) for row in rows}
        self.assertEqual(found, {("more", "johnny"): (30, 3), ("more", "lmdb"): (10, 1), ("less", "johnny"): (30, 1 / 3),
                                 ("less", "lmdb"): (10, 1)})
        self.assertIn("| more | u | 30.0 (3.00) | 10.0 |", result.stdout)

    def test_a_cell_that_fails_does_not_end_the_run(self):
        build = self.make_up()
        result = drive(build, "--works", "bad", "more", "--out", self.out)
        self.assertEqual(result.returncode, 1)
        self.assertIn("bad luck", result.stderr)
        rows, everything = self.results()
        self.assertEqual({(row["work"], row["engine"]) for row in rows}, {("bad", "johnny"), ("more", "johnny"), ("more", "lmdb")})
        self.assertEqual(len(everything["failures"]), 3)

    def test_what_is_not_there_is_refused(self):
        for arguments, words in (([self.out], "there is no"), ([BUILD, "--engines", "oracle"], "no engine oracle"),
                                 ([BUILD, "--data", "tape"], "no data set tape"), ([BUILD, "--works", "rest"], "no work rest"),
                                 ([BUILD, "--rounds", "2"], "at least 3")):
            result = drive(*arguments)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(words, result.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
