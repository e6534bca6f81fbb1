#!/usr/bin/env python3
"""Runs the three tools as a user would: small inputs, wrong inputs, damaged files, usage errors, JSON, exit codes.

usage: tools_test.py JOHNNY_STAT JOHNNY_LOAD JOHNNY_LEDGER KEEP_SNAPSHOT [unittest arguments]

With sanitizers built in, a crash is an exit code of none of the documented ones, and fails the test.
"""
import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

STAT, LOAD, LEDGER, KEEP = (os.path.abspath(path) for path in sys.argv[1:5])
FORMS = ["--tables", "--free", "--readers", "--snapshots", "--map", "--page=16", "--path=key 0000100", "--verify"]
FORM_NAMES = {"tables", "free", "readers", "snapshots", "map", "page", "path_to_key", "verify"}


def run(*command, stdin=b"", timeout=120, env=None):
    return subprocess.run([str(word) for word in command], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, env={**os.environ, **(env or {})})


def pairs(count, size=100):
    return b"".join(b"key %07d\n%s\n" % (i, b"v" * size) for i in range(count))


class ToolTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="johnny-tools-")
        self.addCleanup(self.directory.cleanup)
        self.path = os.path.join(self.directory.name, "test.johnny")

    def check(self, result, code=0, stderr=None):
        """The exit code is `code`, or one of them; standard error is empty, or matches `stderr`."""
        codes = code if isinstance(code, (tuple, list)) else (code,)
        self.assertIn(result.returncode, codes, (result.args, result.stdout[-2000:], result.stderr[-2000:]))
        if stderr is not None:
            self.assertRegex(result.stderr.decode(), stderr)
        elif codes == (0,):
            self.assertEqual(b"", result.stderr)
        return result.stdout.decode()

    def load(self, data, *options, code=0, stderr=None):
        return self.check(run(LOAD, *options, self.path, stdin=data), code, stderr)

    def stat_json(self, *options, code=0):
        return json.loads(self.check(run(STAT, "--json", *options, self.path), code))

    def main_entries(self):
        return self.stat_json()["summary"]["main_entries"]


class UsageTest(ToolTest):
    def test_help_and_version_succeed(self):
        for tool in (STAT, LOAD, LEDGER):
            name = os.path.basename(tool)
            help_text = self.check(run(tool, "--help"))
            self.assertIn("--version", help_text)
            self.assertIn("Exit codes", help_text)
            self.assertRegex(self.check(run(tool, "--version")), r"^%s \d+\.\d+\.\d+\n$" % re.escape(name))

    def test_wrong_command_lines_exit_2(self):
        for tool in (STAT, LOAD, LEDGER):
            for options in ([], ["--no-such-option", self.path], [self.path, "second"]):
                self.check(run(tool, *options), 2, ".+")
        for options in (["--page", "x"], ["--page", "-1"], ["--watch", "0"], ["--color", "red"], ["--path", "\\x"],
                        ["--path", "a\\0"], ["--table", "t"], ["--table", "\\00", "--path", "k"]):
            self.check(run(STAT, *options, self.path), 2, ".+")
        for options in (["--batch", "0"], ["--durability", "eager"], ["--page-size", "5000"], ["--page-size", ""], ["--no-create=" + 20 * "9"],
                        ["--append", "--no-overwrite"], ["--readers", "-1"]):
            self.check(run(LOAD, *options, self.path), 2, ".+")
        for options in (["--accounts", "1"], ["--threads", "x"], ["--seconds", "-1"], ["--durability", "x"]):
            self.check(run(LEDGER, *options, self.path), 2, ".+")
        self.assertFalse(os.path.exists(self.path))


class SnapshotsTest(ToolTest):
    def test_no_snapshots(self):
        self.load(b"")
        self.assertEqual("0 named snapshots\n", self.check(run(STAT, "--snapshots", self.path)))
        self.assertEqual([], self.stat_json("--snapshots")["snapshots"]["snapshots"])

    def test_snapshots_and_what_they_hold_back(self):
        self.load(pairs(5000))
        for name in ("before", "with\nnewline"):
            self.check(run(KEEP, self.path, name))
        self.load(pairs(5000, 60))
        text = self.check(run(STAT, "--snapshots", self.path))
        self.assertRegex(text, r"^2 named snapshots\n")
        self.assertRegex(text, r"before +[\d,]+ +[\d,]+ +5,000 +0 +[\d.]+ \w+")
        self.assertIn("with\\0anewline", text)
        before, other = self.stat_json("--snapshots")["snapshots"]["snapshots"]
        self.assertEqual(("before", 5000, 0), (before["name"], before["entries"], before["tables"]))
        self.assertEqual("with\\0anewline", other["name"])
        self.assertGreater(other["snapshot"], before["snapshot"])
        self.assertEqual(before["lag"] - other["lag"], other["snapshot"] - before["snapshot"])
        self.assertEqual(before["bytes_held_back"], before["pages_held_back"] * 4096)
        # What both see is held back by neither alone; the first saw the catalog without names.
        self.assertLess(before["pages_held_back"], 20)
        self.check(run(STAT, "--verify", self.path))


class LoadTest(ToolTest):
    def test_loads_pairs_and_says_so(self):
        text = self.load(pairs(1000))
        self.assertRegex(text, r"^loaded 1,000 entries, .*entries/s, 1 commit\n$")
        self.assertEqual(1000, self.main_entries())

    def test_empty_input_makes_an_empty_database(self):
        self.assertRegex(self.load(b""), r"^loaded 0 entries")
        self.assertEqual(0, self.main_entries())

    def test_batches_are_commits(self):
        self.assertIn(", 10 commits", self.load(pairs(1000), "--batch", "100"))
        self.assertIn(", 11 commits", self.load(pairs(1001), "--batch", "100"))

    def test_every_durability_and_page_size_loads(self):
        for mode in ("two-phase", "single-sync", "lazy"):
            for size in (4096, 8192, 16384, 32768):
                self.path = os.path.join(self.directory.name, "%s-%d" % (mode, size))
                self.load(pairs(300), "--durability", mode, "--page-size", size, "--batch", 50)
                summary = self.stat_json()["summary"]
                self.assertEqual((300, size), (summary["main_entries"], summary["page_size"]))
                self.check(run(STAT, "--verify", self.path))

    def test_raw_lines_are_taken_as_they_are(self):
        self.load(b"a\\00\tb\n\xff\\\n" + b"\n\n")  # the second key and value are empty
        self.check(run(STAT, "--path", "a\\\\00\\09b", self.path))
        self.check(run(STAT, "--path", "", self.path))
        self.assertEqual(2, self.main_entries())

    def test_last_line_may_lack_its_newline(self):
        self.load(b"k\nvalue")
        self.assertIn("value of 5 bytes", self.check(run(STAT, "--path", "k", self.path)))

    def test_text_escapes(self):
        self.load(b"a\\00\\ffz\\\\\nv\\0a\n", "-T")
        self.assertIn("value of 2 bytes: v\\0a", self.check(run(STAT, "--path", "a\\00\\ffz\\\\", self.path)))

    def test_bad_escapes_name_the_line(self):
        for line in (b"a\\", b"a\\z0", b"a\\0", b"\\0\\\\"):
            self.load(b"k\nv\n" + line + b"\nv\n", "-T", code=1, stderr=r"^johnny-load: line 3: column")
        self.load(b"k\n\\\n", "-T", code=1, stderr=r"^johnny-load: line 2: column")

    def test_odd_number_of_lines_keeps_what_was_committed(self):
        self.load(pairs(25) + b"alone\n", "--batch", "10", code=1, stderr=r"line 51: .*odd.*20 entries committed")
        self.assertEqual(20, self.main_entries())

    def test_too_large_keys_name_the_line(self):
        self.load(b"k\nv\n" + b"x" * 40000 + b"\nv\n", code=1, stderr=r"^johnny-load: line 3: ")

    def test_append_wants_ascending_keys(self):
        self.load(pairs(1000), "--append")
        self.load(b"zz\n1\nzy\n2\n", "--append", code=1, stderr="line 3: ")
        self.assertEqual(1000, self.main_entries())

    def test_no_overwrite_skips(self):
        self.load(b"a\nold\n")
        self.assertIn("skipped 1 key already there", self.load(b"a\nnew\nb\n1\n", "--no-overwrite"))
        self.assertIn("old", self.check(run(STAT, "--path", "a", self.path)))
        self.load(b"a\nnew\n")
        self.assertIn("new", self.check(run(STAT, "--path", "a", self.path)))

    def test_named_tables(self):
        self.load(pairs(10), "--table", "fruit\\01")
        self.load(pairs(20))
        tables = {table["name"]: table for table in self.stat_json("--tables")["tables"]["tables"]}
        self.assertEqual({"": 20, "fruit\\01": 10}, {name: table["entries"] for name, table in tables.items()})
        self.check(run(STAT, "--table", "fruit\\01", "--path", "key 0000009", self.path))
        self.check(run(STAT, "--table", "fruit\\01", "--path", "key 0000010", self.path), 1)
        self.check(run(STAT, "--table", "vegetables", "--path", "a", self.path), 2, "vegetables")

    def test_readers_check_snapshots_meanwhile(self):
        text = self.load(pairs(5000), "--readers", "2", "--batch", "100", "--durability", "lazy")
        self.assertRegex(text, r"2 readers checked [\d,]+ snapshots: all consistent")

    def test_large_values(self):
        self.load(b"big\n" + b"x" * 3_000_000 + b"\nsmall\ny\n")
        table = self.stat_json("--tables")["tables"]["tables"][0]
        self.assertEqual((1, 3_000_000), (table["large_values"], table["largest_value"]))
        self.assertIn("value of 3,000,000 bytes", self.check(run(STAT, "--path", "big", self.path)))
        self.check(run(STAT, "--verify", "--map", self.path))

    def test_no_create(self):
        self.load(b"", "--no-create", code=3, stderr=".+")
        self.assertFalse(os.path.exists(self.path))

    def test_interrupt_commits_what_was_read(self):
        process = subprocess.Popen([LOAD, self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(b"a\n1\nb\n2\nc\n")
        process.stdin.flush()
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        process.wait(60)  # before its input ends
        stdout, stderr = process.communicate()
        self.assertEqual(1, process.returncode, (stdout, stderr))
        self.assertIn(b"interrupted", stderr)
        self.assertEqual(2, self.main_entries())


class StatTest(ToolTest):
    def setUp(self):
        super().setUp()
        self.load(pairs(2000), "--batch", "300")

    def test_summary_is_short_and_clean(self):
        text = self.check(run(STAT, self.path))
        for word in ("closed cleanly", "used", "free", "pending", "transactions", "durability", "4,096 bytes", "2,000 in the main"):
            self.assertIn(word, text)
        self.assertLessEqual(len(text.splitlines()), 20)

    def test_every_form_in_text_and_json(self):
        for form in FORMS:
            self.assertTrue(self.check(run(STAT, form, self.path)))
            document = self.stat_json(form)
            self.assertEqual(3, len(document))
        document = self.stat_json(*FORMS)
        self.assertEqual(FORM_NAMES | {"path", "exit_code"}, set(document))
        self.assertEqual(2000, document["verify"]["entries_checked"])

    def test_space_adds_up(self):
        document = self.stat_json()["summary"]
        self.assertEqual(document["pages"], document["used_pages"] + document["free_pages"] + document["pending_pages"])
        free = self.stat_json("--free")["free"]
        self.assertEqual(document["free_pages"], free["reusable"]["pages"])
        self.assertEqual(document["pending_pages"], free["pending"]["pages"])

    def test_map_covers_the_file_without_colours_in_a_pipe(self):
        page_map = self.stat_json("--map")["map"]
        self.assertEqual(page_map["pages"], sum(page_map["pages_by_kind"].values()))
        self.assertEqual(0, page_map["pages_by_kind"]["unknown"])
        self.assertEqual(-(-page_map["pages"] // page_map["pages_per_cell"]), len(page_map["cells"]))
        text = self.check(run(STAT, "--map", self.path, env={"COLUMNS": "60"}))
        self.assertNotIn("\x1b", text)
        self.assertLessEqual(max(map(len, text.splitlines())), 60)
        self.assertIn("\x1b", self.check(run(STAT, "--map", "--color", "always", self.path)))

    def test_path_leads_to_a_leaf_page_that_holds_the_key(self):
        steps = self.stat_json("--path", "key 0001000")["path_to_key"]["steps"]
        leaf = self.stat_json("--page", steps[-1]["page"])["page"]
        self.assertEqual(("leaf", True), (leaf["kind"], leaf["sound"]))
        self.assertEqual("key 0001000", leaf["entries"][steps[-1]["index"]]["key"])
        root = self.stat_json("--page", steps[0]["page"])["page"]
        self.assertEqual("branch", root["kind"])
        self.assertEqual(steps[1]["page"], root["entries"][steps[0]["index"]]["child_page"])
        text = self.check(run(STAT, "--page", steps[-1]["page"], self.path))
        self.assertIn("leaf of level 0 of table main", text)
        self.assertIn("|", text)  # the hex dump

    def test_a_missing_key_exits_1(self):
        self.assertFalse(self.stat_json("--path", "nothing", code=1)["path_to_key"]["found"])

    def test_a_page_past_the_end_exits_2(self):
        self.check(run(STAT, "--page", 2 ** 40, self.path), 2, ".+")

    def test_every_page_can_be_shown(self):
        for page in range(self.stat_json()["summary"]["pages"]):
            self.check(run(STAT, "--page", page, self.path))

    def test_what_cannot_be_opened_exits_3(self):
        self.check(run(STAT, self.path + ".none"), 3, "^johnny-stat: .*none")
        self.check(run(STAT, self.directory.name), 3, ".+")
        for content in (b"", b"hello", os.urandom(100_000)):
            with open(self.path, "wb") as file:
                file.write(content)
            self.check(run(STAT, self.path), (3, 4), "^johnny-stat: ")
            document = self.stat_json("--verify", code=(3, 4))
            self.assertTrue(document["error"]["code"].startswith("JOHNNY_"))
            self.assertTrue(document["error"]["message"])

    def test_read_only_file(self):
        os.chmod(self.path, 0o444)
        self.check(run(STAT, *FORMS, self.path))

    def test_stat_changes_nothing(self):
        with open(self.path, "rb") as file:
            before = file.read()
        self.check(run(STAT, *FORMS, self.path))
        with open(self.path, "rb") as file:
            self.assertEqual(before, file.read())

    def test_watch_repeats_until_interrupted(self):
        process = subprocess.Popen([STAT, "--watch", "0.1", "--json", self.path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(0, process.returncode)
        for line in lines:
            self.assertEqual(2000, json.loads(line)["summary"]["main_entries"])

    def test_a_closed_pipe_ends_it_quietly(self):
        process = subprocess.Popen([STAT, "--watch", "0.05", self.path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(b"", process.stderr.read())
        process.stderr.close()
        self.assertEqual(0, process.wait(60))

    def test_a_full_output_is_an_error(self):
        with open("/dev/full", "wb") as full:
            result = subprocess.run([STAT, self.path], stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(3, result.returncode)
        self.assertIn(b"standard output", result.stderr)

    def test_colours_and_progress_on_a_terminal(self):
        parent, child = pty.openpty()
        process = subprocess.Popen([STAT, "--map", "--verify", self.path], stdout=child, stderr=child,
                                   env={key: value for key, value in os.environ.items() if key != "NO_COLOR"})
        os.close(child)
        output = b""
        try:
            while chunk := os.read(parent, 65536):
                output += chunk
        except OSError:
            pass  # how a terminal ends
        os.close(parent)
        self.assertEqual(0, process.wait(60))
        self.assertIn(b"\x1b[30;", output)
        self.assertIn(b"nothing wrong found", output)


class DamageTest(ToolTest):
    """Whatever is done to a file, the tools end with a documented exit code."""

    def setUp(self):
        super().setUp()
        self.load(pairs(1500) + b"big\n" + b"x" * 300_000 + b"\n")
        self.load(pairs(300), "--table", "other")
        with open(self.path, "rb") as file:
            self.content = file.read()
        self.pages = self.stat_json()["summary"]["pages"]

    def damage(self, content):
        with open(self.path, "wb") as file:
            file.write(content)

    def try_all_forms(self, codes=(0, 1, 3, 4)):
        self.check(run(STAT, self.path), codes)
        result = run(STAT, "--json", *FORMS, self.path)
        self.check(result, codes)
        self.assertEqual(result.returncode, json.loads(result.stdout)["exit_code"])
        self.check(run(STAT, *FORMS, self.path), result.returncode)
        return result.returncode

    def test_a_flipped_bit_in_a_leaf_is_found(self):
        leaf = self.stat_json("--path", "key 0001000")["path_to_key"]["steps"][-1]["page"]
        damaged = bytearray(self.content)
        damaged[leaf * 4096 + 2000] ^= 1
        self.damage(damaged)
        self.assertRegex(self.check(run(STAT, "--verify", self.path), 4), "page %d: " % leaf)
        document = self.stat_json("--verify", "--path=key 0001000", "--tables", "--page", leaf, code=4)
        self.assertGreater(document["verify"]["findings"], 0)
        self.assertEqual("JOHNNY_CORRUPT", document["path_to_key"]["error"]["code"])
        self.assertFalse(document["page"]["sound"])
        self.check(run(STAT, "--page", leaf, self.path), 4)
        self.check(run(STAT, "--path=key 0001000", self.path), 4, "page")
        self.check(run(STAT, "--path=key 0000001", self.path), 0)

    def test_a_flipped_bit_in_a_large_value_is_found(self):
        position = self.content.index(b"x" * 4096)
        damaged = bytearray(self.content)
        damaged[position + 5000] ^= 0x80
        self.damage(damaged)
        self.check(run(STAT, "--verify", self.path), 4)

    def test_truncated_files(self):
        for size in (1, 100, 4095, 4096, 32768, 65536, 65537, 70000, len(self.content) // 2, self.pages * 4096 - 4096):
            self.damage(self.content[:size])
            with self.subTest(size=size):
                self.assertIn(self.try_all_forms(), (3, 4))

    def test_random_damage(self):
        generator = random.Random(2004)
        for case in range(12):
            damaged = bytearray(self.content)
            for _ in range(generator.choice((1, 3, 30))):
                position = generator.randrange(self.pages * 4096)
                if case % 3 == 0:
                    position = generator.randrange(65536)
                length = generator.choice((1, 8, 4096))
                damaged[position:position + length] = generator.randbytes(length)
            self.damage(damaged[:len(self.content)])
            with self.subTest(case=case):
                self.try_all_forms()

    def test_salvage(self):
        out = os.path.join(self.directory.name, "salvaged")
        branch = self.stat_json("--path=key 0001000")["path_to_key"]["steps"][0]["page"]
        leaf = self.stat_json("--path=key 0001000")["path_to_key"]["steps"][-1]["page"]
        sound = json.loads(run(STAT, "--salvage", out, "--json", self.path).stdout)["salvage"]
        self.assertEqual((0, []), (sound["losses"], sound["loss_list"]))
        os.remove(out)
        damaged = bytearray(self.content)
        for page in (branch, leaf):
            damaged[page * 4096 + 100] ^= 1
        self.damage(damaged)
        text = self.check(run(STAT, "--salvage", out, self.path), 4)
        self.assertRegex(text, "page %d: .*table main, all keys: at most [0-9]+ entries lost" % branch)
        self.assertRegex(text, "Wrote [0-9,]+ entries .*, to .*salvaged: 1 loss, at most [0-9]+ entries\n$")
        self.check(run(STAT, "--verify", out))
        self.assertIn(b"exists", run(STAT, "--salvage", out, self.path).stderr)
        os.remove(out)
        document = json.loads(run(STAT, "--salvage", out, "--json", self.path).stdout)["salvage"]
        self.assertGreater(document["entries_lost"], 0)
        self.assertEqual(sound["entries"] - document["entries_lost"], document["entries"])
        self.assertEqual(1, len(document["loss_list"]))
        self.check(run(STAT, "--salvage", out, "--verify", self.path), 2)

    def test_zeroed_pages(self):
        for page in (0, 8, 16, 17, self.pages - 1):
            damaged = bytearray(self.content)
            damaged[page * 4096:(page + 1) * 4096] = bytes(4096)
            self.damage(damaged)
            with self.subTest(page=page):
                self.try_all_forms()

    def test_the_writing_tools_do_not_crash_either(self):
        generator = random.Random(42)
        for case in range(6):
            damaged = bytearray(self.content)
            for _ in range(20):
                damaged[generator.randrange(self.pages * 4096)] ^= 1 << generator.randrange(8)
            self.damage(damaged)
            with self.subTest(case=case):
                self.check(run(LOAD, self.path, stdin=pairs(1500)), (0, 3, 4))
                self.check(run(LEDGER, "--seconds", "0.1", self.path), (0, 3, 4))


class LedgerTest(ToolTest):
    def test_coins_are_kept(self):
        for mode in ("two-phase", "single-sync", "lazy"):
            text = self.check(run(LEDGER, "--seconds", "0.5", "--durability", mode, self.path))
            self.assertIn("every sum was 2004", text)
            self.assertIn("100 accounts, 2004 coins", text)
            self.assertIn(mode, text)
        self.check(run(STAT, "--verify", self.path))

    def test_an_existing_ledger_keeps_its_accounts(self):
        self.check(run(LEDGER, "--seconds", "0.1", "--accounts", "7", self.path))
        self.assertIn("7 accounts", self.check(run(LEDGER, "--seconds", "0.1", "--accounts", "50", self.path)))
        self.assertEqual(7, self.stat_json("--tables", "--table", "ledger")["tables"]["tables"][0]["entries"])

    def test_more_accounts_than_coins(self):
        self.assertIn("3,000 accounts", self.check(run(LEDGER, "--seconds", "0.2", "--accounts", "3000", self.path)))

    def test_a_wrong_sum_is_loud(self):
        self.load(b"account 0000000\n2000\naccount 0000001\n5\n", "--table", "ledger")
        self.check(run(LEDGER, "--seconds", "0.1", self.path), 4, "THE LEDGER IS WRONG: .* 2005 coins")

    def test_nonsense_in_an_account_is_loud(self):
        for value in (b"", b"-1", b"12x", b"99999999999999999999"):
            self.load(b"account 0000000\n2003\naccount 0000001\n" + value + b"\n", "--table", "ledger")
            self.check(run(LEDGER, "--seconds", "0.1", self.path), 4, "THE LEDGER IS WRONG")

    def test_signals_end_it_with_the_report(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = subprocess.Popen([LEDGER, "--seconds", "0", self.path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            time.sleep(1)
            process.send_signal(number)
            stdout, stderr = process.communicate(timeout=60)
            self.assertEqual((0, b""), (process.returncode, stderr))
            self.assertIn(b"interrupted", stdout)
            self.assertIn(b"every sum was 2004", stdout)

    def test_a_killed_ledger_keeps_its_coins(self):
        for mode in ("two-phase", "single-sync", "lazy"):
            process = subprocess.Popen([LEDGER, "--seconds", "0", "--durability", mode, self.path], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE)
            time.sleep(0.7)
            process.kill()
            process.communicate()
            self.check(run(STAT, self.path), (1,))  # not closed cleanly
            self.check(run(STAT, "--verify", self.path))
            self.assertIn("every sum was 2004", self.check(run(LEDGER, "--seconds", "0.1", self.path)))
            self.check(run(STAT, self.path), 0)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[5:]])
