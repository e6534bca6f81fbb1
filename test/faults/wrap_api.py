#!/usr/bin/env python3
"""Writes a wrapper for each function of johnny.h that tells faults/allocations.cc that the thread is inside the library, and the
linker's options that put the wrappers in place.

usage: wrap_api.py johnny.h WRAPPERS.cc OPTIONS.rsp
"""
import pathlib
import re
import sys

DECLARATION = re.compile(r"^JOHNNY_API\s+([^;(]*?)(\w+)\(([^;]*)\);", re.MULTILINE)


def argument_of(parameter):
    return re.search(r"(\w+)\s*$", parameter).group(1)


def wrapper_of(result, name, parameters):
    listed = [] if parameters == "void" else [part.strip() for part in parameters.split(",")]
    arguments = ", ".join(argument_of(part) for part in listed)
    return (f"{result} __real_{name}({parameters});\n{result} __wrap_{name}({parameters}) {{\n"
            f"  johnny::faults::ApiCall call(\"{name}\");\n  return __real_{name}({arguments});\n}}\n")


def main(header, wrappers, options):
    found = [(result.strip(), name, re.sub(r"\s+", " ", parameters))
             for result, name, parameters in DECLARATION.findall(pathlib.Path(header).read_text())]
    names = "".join(f'"{name}", ' for _, name, _ in found)
    pathlib.Path(wrappers).write_text(
        '#include <johnny/johnny.h>\n\n#include "faults/allocations.h"\n\n'
        f"namespace johnny::faults {{\nextern const char* const kApiFunctions[];\nconst char* const kApiFunctions[] = {{{names}nullptr}};\n}}\n\n"
        'extern "C" {\n' + "".join(wrapper_of(*function) for function in found) + "}\n")
    pathlib.Path(options).write_text("".join(f"-Wl,--wrap={name}\n" for _, name, _ in found))


main(*sys.argv[1:])
