#!/usr/bin/env python3
"""Prints how many tests of meson's last run in BUILD_DIRECTORY passed, failed and were skipped: single cases where the
test is a gtest or a unittest program, one for each other test.

usage: count_tests.py BUILD_DIRECTORY
"""
import json
import pathlib
import re
import sys

GOOD = {"OK", "EXPECTEDFAIL"}
FAILURE = r"^\[  FAILED  \]|: Failure$|^(FAIL|ERROR): |(Address|Leak|Thread)Sanitizer: |: runtime error: "


def gtest_cases(output):
    """(passed, failed, skipped) as a gtest program sums up, or None if it did not get that far."""
    summary = re.search(r"^\[==========\] \d+ tests? from .* ran\.", output, re.MULTILINE)
    if summary is None:
        return None
    def number(pattern):
        found = re.search(pattern, output[summary.end():], re.MULTILINE)
        return int(found.group(1)) if found else 0
    return number(r"^\[  PASSED  \] (\d+) test"), number(r"^ ?(\d+) FAILED TEST"), number(r"^\[  SKIPPED \] (\d+) test")


def count(record):
    """(passed, failed, skipped) of one meson test."""
    good = record["result"] in GOOD
    said = record.get("stderr", "") + record.get("stdout", "")
    if record["result"] == "SKIP":
        return 0, 0, 1
    if record["result"] == "INTERRUPT":  # the time was up; what went wrong until then did go wrong
        return (0, 1, 0) if re.search(FAILURE, said, re.MULTILINE) else (0, 0, 1)
    counted = gtest_cases(record.get("stdout", ""))
    unittest = re.search(r"^Ran (\d+) tests? in", said, re.MULTILINE)
    if counted is None and unittest is not None and good:
        counted = int(unittest.group(1)), 0, 0
    if counted is None:
        return (1, 0, 0) if good else (0, 1, 0)
    if not good and counted[1] == 0:  # it crashed at its end, or a sanitizer reported something
        counted = counted[0], 1, counted[2]
    return counted


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    totals = [0, 0, 0]
    for line in (build / "meson-logs" / "testlog.json").read_text(encoding="utf-8").splitlines():
        totals = [total + more for total, more in zip(totals, count(json.loads(line)))]
    print(*totals)


if __name__ == "__main__":
    main()
