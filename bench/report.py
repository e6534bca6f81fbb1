"""What compare.py has measured, as CSV, JSON, Markdown and SVG."""
import csv
import datetime
import json
import math
import os
import platform
import statistics
import subprocess

import chart

COLUMNS = ["work", "data", "entries", "engine", "median", "least", "most", "unit", "more_is_better", "ratio", "ratio_least", "ratio_most",
           "file_bytes", "rounds"]


def ratio(value, base, more_is_better):
    """How much better than the base; None if that cannot be said."""
    if not value or not base:
        return None
    return value / base if more_is_better else base / value


def summarize(figures, base):
    """A row for each work, data set, number of entries and engine, in the order in which they were measured."""
    groups = {}
    for figure in figures:
        key = (figure["work"], figure["data"], figure["entries"])
        groups.setdefault(key, {}).setdefault(figure["engine"], {})[figure["round"]] = figure
    rows = []
    for (work, data, entries), engines in groups.items():
        for engine, rounds in engines.items():
            one = next(iter(rounds.values()))
            values = [figure["value"] for figure in rounds.values()]
            ratios = [ratio(figure["value"], engines[base][number]["value"], one["more_is_better"])
                      for number, figure in rounds.items() if number in engines.get(base, {})]
            ratios = [r for r in ratios if r is not None]
            rows.append({
                "work": work, "group": one["group"], "data": data, "entries": entries, "engine": engine,
                "median": statistics.median(values), "least": min(values), "most": max(values),
                "unit": one["unit"], "more_is_better": one["more_is_better"],
                "ratio": statistics.median(ratios) if ratios else None,
                "ratio_least": min(ratios, default=None), "ratio_most": max(ratios, default=None),
                "file_bytes": statistics.median(figure["file_bytes"] for figure in rounds.values()), "rounds": len(rounds),
            })
    return rows


# ---- The machine ----


def _first(path, key):
    try:
        with open(path, encoding="utf-8") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith(key)), "")
    except OSError:
        return ""


def _output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _build_options(build):
    try:
        with open(os.path.join(build, "meson-info", "intro-buildoptions.json"), encoding="utf-8") as file:
            return {option["name"]: option["value"] for option in json.load(file)}
    except (OSError, ValueError):
        return {}


def _compiler(build):
    try:
        with open(os.path.join(build, "meson-info", "intro-targets.json"), encoding="utf-8") as file:
            targets = json.load(file)
        command = next(source["compiler"] for target in targets for source in target["target_sources"]
                       if source.get("language") == "cpp")
        return _output(*command, "--version").partition("\n")[0]
    except (OSError, ValueError, KeyError, StopIteration):
        return ""


def _file_system(directory):
    """Type, device and options of the mount that the directory is on."""
    path, best = os.path.realpath(directory), ("", "")
    try:
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            for line in file:
                before, _, behind = line.partition(" - ")
                point = before.split()[4]
                if (path + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best[0]):
                    kind, device, options = behind.split()[:3]
                    best = (point, f"{kind} on {device} ({options})")
    except OSError:
        pass
    return best[1]


def describe(build, directory):
    here = os.path.dirname(os.path.abspath(__file__))
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "commit": _output("git", "-C", here, "describe", "--always", "--dirty"),
        "processor": _first("/proc/cpuinfo", "model name") or platform.processor(),
        "processors": os.cpu_count(),
        "memory": _first("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "file_system": _file_system(directory),
        "load_at_start": os.getloadavg()[0],
        "compiler": _compiler(build),
        "build_type": _build_options(build).get("buildtype", ""),
    }


# ---- Output ----


def write(out, about, rows, figures, failures, skipped, base):
    with open(os.path.join(out, "results.csv"), "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    with open(os.path.join(out, "results.json"), "w", encoding="utf-8") as file:
        json.dump({**about, "ratios_to": base, "results": rows, "figures": figures, "failures": failures, "skipped": skipped}, file,
                  indent=1)
    for name, text in charts(rows, base, about).items():
        with open(os.path.join(out, name), "w", encoding="utf-8") as file:
            file.write(text)


def _engines(rows, base):
    """In a fixed order: ours, the base, the others."""
    names = {row["engine"] for row in rows}
    return sorted(names, key=lambda name: (name != "johnny", name != base, not name.startswith(base), name))


def _number(value):
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def markdown(rows, base):
    """A table for each data set and number of entries; in brackets the ratio to the base, above 1: better."""
    lines = []
    tables = {}
    for row in rows:
        tables.setdefault((row["data"], row["entries"]), []).append(row)
    for (data, entries), table in tables.items():
        engines = _engines(table, base)
        lines += [f"**{data}, {entries:,} entries** (in brackets: times as good as {base})", "",
                  "| work | unit | " + " | ".join(engines) + " |", "|---|---|" + "---|" * len(engines)]
        works = {}
        for row in table:
            works.setdefault(row["work"], {})[row["engine"]] = row
        for work, by_engine in works.items():
            cells = []
            for engine in engines:
                row = by_engine.get(engine)
                cells.append("" if row is None else _number(row["median"]) if row["ratio"] is None or engine == base
                             else f"{_number(row['median'])} ({row['ratio']:.2f})")
            unit = next(iter(by_engine.values()))["unit"]
            lines.append(f"| {work} | {unit} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines).rstrip()


def charts(rows, base, about):
    """File name to text: a chart for each group of works and data set."""
    groups = {}
    for row in rows:
        if row["ratio"] is not None and row["engine"] != base:
            groups.setdefault((row["group"], row["data"], row["entries"]), []).append(row)
    texts = {}
    for (group, data, entries), some in groups.items():
        engines = _engines(some, base)
        works = {}
        for row in some:
            works.setdefault(row["work"], {})[row["engine"]] = row["ratio"]
        subtitle = f"times as good as {base} on a log scale; right of the line is better. {about['date'][:10]}, {about['processor']}"
        texts[f"ratios-{group}-{data}-{entries}.svg"] = chart.bars(f"{group}: {data}, {entries:,} entries", subtitle, engines, works)
    return texts
