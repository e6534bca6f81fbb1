#!/usr/bin/env python3
"""House rules that a compiler does not check.

1. A file under lib/LAYER includes headers of its own layer and of those above it in LAYERS only.
2. Tools include the public header and their own ones, nothing of lib.
3. No source file is longer than MAX_LINES.
4. Every source file is named in the meson.build of its part, so that none is forgotten.
5. Every header has an include guard named after its path.

usage: layering_test.py SOURCE_ROOT
"""
import pathlib
import re
import sys

LAYERS = ["base", "os", "format", "node", "pager", "space", "readers", "tree", "cursor", "txn", "env", "verify", "api"]
PARTS = ["lib", "tools", "test", "bench", "fuzz"]
MAX_LINES = 600
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def source_files(root, part, endings):
    return sorted(path for path in (root / part).rglob("*") if path.suffix in endings and path.is_file())


def includes(path):
    return INCLUDE.findall(path.read_text(encoding="utf-8"))


def check_layers(root):
    for path in source_files(root, "lib", {".h", ".cc"}):
        name = path.relative_to(root)
        layer = name.parts[1]
        if layer not in LAYERS:
            yield f"{name}: '{layer}' is not a layer"
            continue
        for included in includes(path):
            other = included.split("/")[0]
            if other in LAYERS and LAYERS.index(other) > LAYERS.index(layer):
                yield f"{name}: {layer} may not include {included}"
            if other == "johnny" and layer != "api" and included != "johnny/version.h":
                yield f"{name}: only api knows the C interface"


def check_tools(root):
    for path in source_files(root, "tools", {".h", ".cc"}):
        for included in includes(path):
            if included.split("/")[0] in LAYERS:
                yield f"{path.relative_to(root)}: tools use the C API only, not {included}"


def check_length(root):
    for part in PARTS + ["include"]:
        for path in source_files(root, part, {".h", ".cc", ".c", ".py", ".sh"}):
            lines = path.read_text(encoding="utf-8").count("\n")
            # The public header is one file on purpose: it is the manual.
            if lines > MAX_LINES and path.name != "johnny.h":
                yield f"{path.relative_to(root)}: {lines} lines, more than {MAX_LINES}"


def check_listed(root):
    for part in PARTS:
        build = root / part / "meson.build"
        if not build.exists():
            continue
        text = build.read_text(encoding="utf-8")
        for path in source_files(root, part, {".cc", ".c"}):
            name = path.relative_to(root / part)
            if not re.search(rf"'({re.escape(str(name))}|{re.escape(path.name)})'", text):
                yield f"{path.relative_to(root)}: not in {part}/meson.build"


def check_guards(root):
    for part in PARTS:
        for path in source_files(root, part, {".h"}):
            name = path.relative_to(root if part != "lib" else root / "lib")
            guard = "JOHNNY_" + re.sub(r"\W", "_", str(name)).upper() + "_"
            if f"#ifndef {guard}\n#define {guard}\n" not in path.read_text(encoding="utf-8"):
                yield f"{path.relative_to(root)}: the include guard is not {guard}"


def main():
    root = pathlib.Path(sys.argv[1])
    findings = []
    for check in (check_layers, check_tools, check_length, check_listed, check_guards):
        findings.extend(check(root))
    print("\n".join(findings) or "nothing to report")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
