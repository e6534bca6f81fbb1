"""Runs a command with little memory: in a scope of systemd, or in a control group of its own, of either version."""
import contextlib
import os
import shutil

LEAST = 64 << 20  # bytes; with less, the program itself has no room


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def _parent_group_v2():
    """A control group that may have children with limited memory, at or right above our own; None if there is none."""
    mount = next((line.split()[4] for line in _read("/proc/self/mountinfo").splitlines() if " - cgroup2 " in line), None)
    own = next((line[3:] for line in _read("/proc/self/cgroup").splitlines() if line.startswith("0::")), None)
    if mount is None or own is None:
        return None
    path = os.path.join(mount, own.lstrip("/"))
    for group in (path, os.path.dirname(path.rstrip("/"))):
        if "memory" in _read(os.path.join(group, "cgroup.subtree_control")).split() and os.access(group, os.W_OK):
            return group
    return None


def _parent_group_v1():
    """The same of version 1, where the memory controller has a mount of its own."""
    mount = next((line.split()[4] for line in _read("/proc/self/mountinfo").splitlines()
                  if " - cgroup " in line and "memory" in line.split()[-1].split(",")), None)
    own = next((line.split(":", 2)[2] for line in _read("/proc/self/cgroup").splitlines()
                if "memory" in line.split(":", 2)[1].split(",")), None)
    if mount is None or own is None:
        return None
    path = os.path.join(mount, own.lstrip("/"))
    return path if os.path.exists(os.path.join(path, "memory.limit_in_bytes")) and os.access(path, os.W_OK) else None


def _parent_group():
    return _parent_group_v2() or _parent_group_v1()


def method():
    """How it can be done here; "" if not at all."""
    if os.path.isdir("/run/systemd/system") and shutil.which("systemd-run"):
        return "systemd"
    return "cgroup" if _parent_group() else ""


@contextlib.contextmanager
def apply(limit, command):
    """The command to run, and what is to be called in the child before it does; without a limit (None), as it is."""
    if limit is None:
        yield command, None
    elif method() == "systemd":
        user = [] if os.geteuid() == 0 else ["--user"]
        yield ["systemd-run", *user, "--scope", "--quiet", "-p", f"MemoryMax={limit}", "-p", "MemorySwapMax=0", "--", *command], None
    else:
        group = os.path.join(_parent_group(), f"johnny-bench-{os.getpid()}")
        os.mkdir(group)
        try:
            for name, value in (("memory.max", limit), ("memory.swap.max", 0), ("memory.limit_in_bytes", limit),
                                ("memory.swappiness", 0)):
                if os.path.exists(os.path.join(group, name)):
                    with open(os.path.join(group, name), "w", encoding="utf-8") as file:
                        file.write(str(value))

            def enter():
                with open(os.path.join(group, "cgroup.procs"), "w", encoding="utf-8") as file:
                    file.write(str(os.getpid()))

            yield command, enter
        finally:
            os.rmdir(group)
