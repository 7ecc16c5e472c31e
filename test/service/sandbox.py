#!/usr/bin/env python3
"""Runs a command under what a unit file promises, without a systemd: sandbox.py UNIT COMMAND...; with --probe for a command
it tries what has to be refused.

Taken from the unit: SystemCallFilter (names and groups as `systemd-analyze syscall-filter` lists them),
SystemCallErrorNumber, RestrictAddressFamilies, MemoryDenyWriteExecute, SystemCallArchitectures=native, NoNewPrivileges,
CapabilityBoundingSet, LimitMEMLOCK, LimitNOFILE, UMask. As root the command runs as nobody. Filters are seccomp programs as
systemd makes them; what is about mounts and namespaces is left out.
"""
import ctypes
import errno
import mmap
import os
import re
import resource
import socket
import struct
import subprocess
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_CAPBSET_DROP, SECCOMP_MODE_FILTER = 38, 22, 24, 2
LOAD, EQUAL, AND, RETURN = 0x20, 0x15, 0x54, 0x06  # BPF: ld abs, jeq, and, ret
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # struct seccomp_data
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
PROT_WRITE, PROT_EXEC = 2, 4
NOBODY = 65534


def settings(unit):
    """The unit's [Service] values: {name: [value, ...]}."""
    found = {}
    for line in open(unit):
        if re.match(r"\w+=", line):
            name, value = line.rstrip("\n").split("=", 1)
            found.setdefault(name, []).append(value)
    return found


def group_members(group, seen):
    """The system calls of a group, and of the groups in it."""
    printed = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", group], capture_output=True, text=True,
                             check=True).stdout
    names = set()
    for line in printed.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@") and word not in seen:
            seen.add(word)
            names |= group_members(word, seen)
        elif word and not word.startswith(("#", "@")):
            names.add(word)
    return names


def allowed_calls(values):
    """The names that a list of SystemCallFilter= values leaves: the first allows, those with ~ take away."""
    allowed = set()
    for value in values:
        takes_away = value.startswith("~")
        names = set()
        for word in value.lstrip("~").split():
            names |= group_members(word, {word}) if word.startswith("@") else {word}
        allowed = allowed - names if takes_away else allowed | names
    return allowed


def call_numbers():
    """{name: number} on this machine."""
    text = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"], capture_output=True,
                          text=True, check=True).stdout
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", text)}


def instruction(code, value, yes=0, no=0):
    return struct.pack("=HBBI", code, yes, no, value)


def program(unit):
    """The seccomp program of the unit's settings."""
    numbers = call_numbers()
    refused = ERRNO | getattr(errno, unit["SystemCallErrorNumber"][0])
    lines = [instruction(LOAD, ARCHITECTURE), instruction(EQUAL, AUDIT[os.uname().machine], 1, 0), instruction(RETURN, KILL),
             instruction(LOAD, NUMBER)]
    families = [getattr(socket, name) for name in unit["RestrictAddressFamilies"][0].split()]
    check = [instruction(LOAD, ARGUMENTS)]
    for family in families:
        check += [instruction(EQUAL, family, 0, 1), instruction(RETURN, ALLOW)]
    check.append(instruction(RETURN, ERRNO | errno.EAFNOSUPPORT))
    lines += [instruction(EQUAL, numbers["socket"], 0, len(check))] + check
    if unit.get("MemoryDenyWriteExecute") == ["yes"]:
        for name, denied in (("mmap", PROT_WRITE | PROT_EXEC), ("mprotect", PROT_EXEC), ("pkey_mprotect", PROT_EXEC)):
            lines += [instruction(EQUAL, numbers[name], 0, 5), instruction(LOAD, ARGUMENTS + 2 * 8), instruction(AND, denied),
                      instruction(EQUAL, denied, 0, 1), instruction(RETURN, ERRNO | errno.EPERM), instruction(RETURN, ALLOW)]
    for name in sorted(allowed_calls(unit["SystemCallFilter"])):
        if name in numbers:
            lines += [instruction(EQUAL, numbers[name], 0, 1), instruction(RETURN, ALLOW)]
    lines.append(instruction(RETURN, refused))
    return b"".join(lines), len(lines)


def size(text):
    scale = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1], 1)
    return int(text.rstrip("KMG")) * scale


def probe():
    """Prints how the sandbox refuses what it should."""
    attempts = {"netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW), "chroot": lambda: os.chroot("/"),
                "writable code": lambda: mmap.mmap(-1, 4096, prot=PROT_WRITE | PROT_EXEC)}
    for name, attempt in attempts.items():
        try:
            attempt()
            print(name, "allowed")
        except OSError as error:
            print(name, errno.errorcode[error.errno])


def main():
    unit = settings(sys.argv[1])
    code, count = program(unit)
    libc = ctypes.CDLL(None, use_errno=True)

    def prctl(*arguments):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "prctl")

    for name in ("MEMLOCK", "NOFILE"):
        limit = getattr(resource, "RLIMIT_" + name)
        wanted, most = size(unit["Limit" + name][0]), resource.getrlimit(limit)[1]
        wanted = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(limit, (wanted, wanted))
    os.umask(int(unit["UMask"][0], 8))
    if os.geteuid() == 0:
        if unit["CapabilityBoundingSet"] == [""]:
            for capability in range(int(open("/proc/sys/kernel/cap_last_cap").read()) + 1):
                prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    buffer = ctypes.create_string_buffer(code, len(code))
    filter_ = struct.pack("HxxxxxxP", count, ctypes.addressof(buffer))
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_char_p(filter_), 0, 0)
    if sys.argv[2] == "--probe":
        probe()
    else:
        os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
