#!/usr/bin/env python3
"""Prints how many tests of meson's last run in BUILD_DIRECTORY passed, failed and were skipped: single cases where the
test is a gtest or a unittest program, one for each other test.

usage: count_tests.py BUILD_DIRECTORY
"""
import json
import pathlib
import re
import sys
import xml.etree.ElementTree

GOOD = {"OK", "EXPECTEDFAIL"}


def gtest_cases(path):
    """(passed, failed, skipped) of a gtest report, or None if the program did not get as far as writing one."""
    try:
        cases = list(xml.etree.ElementTree.parse(path).getroot().iter("testcase"))
    except (OSError, xml.etree.ElementTree.ParseError):
        return None
    failed = sum(case.find("failure") is not None for case in cases)
    skipped = sum(case.get("status") == "notrun" or case.get("result") in ("skipped", "suppressed") for case in cases)
    return len(cases) - failed - skipped, failed, skipped


def count(record, build):
    """(passed, failed, skipped) of one meson test."""
    good = record["result"] in GOOD
    if record["result"] == "SKIP":
        return 0, 0, 1
    counted = None
    unittest = re.search(r"^Ran (\d+) tests? in", record.get("stderr", "") + record.get("stdout", ""), re.MULTILINE)
    report = next((word[len("--gtest_output=xml:"):] for word in record["command"] if word.startswith("--gtest_output=xml:")), None)
    if report is not None:
        counted = gtest_cases(build / report)
    elif unittest is not None and good:
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
        totals = [total + more for total, more in zip(totals, count(json.loads(line), build))]
    print(*totals)


if __name__ == "__main__":
    main()
