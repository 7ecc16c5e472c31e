"""What `odradek docs completion-*` prints, in the shells it is for: commands, options, and the names
of topics and groups there are."""

import os
import shutil
import subprocess

from harness import PROGRAM, check
from screens import Terminal


def installed(shell):
    """Odradek on a PATH of its own, completions where a package puts them; the variables to use it."""
    folder = os.path.join(shell.home, "completions")
    if not os.path.exists(folder):
        os.makedirs(os.path.join(folder, "bin"))
        os.symlink(PROGRAM, os.path.join(folder, "bin", "odradek"))
        for name, file in (("zsh", "_odradek"), ("fish", "odradek.fish")):
            with open(os.path.join(folder, file), "w") as out:
                out.write(shell.bare("docs", f"completion-{name}").out)
        shell.run("topic", "create", "complete-me", "complete-it")
        shell.run("group", "rewind", "complete-us", "--topic", "complete-me", "--to-start")
        shell.bare("context", "set", "here", shell.address, env={"XDG_CONFIG_HOME": folder})
    path = os.path.join(folder, "bin") + ":" + shell.environment["PATH"]
    return folder, {"PATH": path, "XDG_CONFIG_HOME": folder, "ZDOTDIR": folder}


def case_bash(shell):
    """The printed bash completion, asked as bash asks it."""
    installed(shell)
    script = shell.bare("docs", "completion-bash").out
    for line, wanted in (
        (["odradek", "gr"], "group"),
        (["odradek", "group", "re"], "rewind"),
        (["odradek", "cat", "--fr"], "--from"),
        (["odradek", "topic", "info", "-b", shell.address, "comp"], "complete-me"),
        (["odradek", "topic", "ls", "-o", "y"], "yaml"),
    ):
        words = " ".join(f"'{word}'" for word in line)
        test = (
            f"{script}\nodradek() {{ '{PROGRAM}' \"$@\"; }}\n"
            f"COMP_WORDS=({words}); COMP_CWORD={len(line) - 1}; _odradek\n"
            'printf "%s\\n" "${COMPREPLY[@]}"\n'
        )
        done = subprocess.run(
            ["bash", "-c", test], capture_output=True, text=True, timeout=60, env=shell.environment
        )
        check(wanted in done.stdout.split(), f"{line} completes to {done.stdout!r}, {done.stderr!r}")


def typed_and_completed(t, shell):
    t.until(lambda lines: lines[0].startswith("%"), "its prompt")
    for typed, wanted in (
        ("odradek gro\t", "odradek group"),
        ("odradek group rew\t", "odradek group rewind"),
        ("odradek cat --fr\t", "odradek cat --from"),
        (f"odradek topic info -b {shell.address} complete-m\t", f"odradek topic info -b {shell.address} complete-me"),
        (f"odradek group info -b {shell.address} complete-\t", f"odradek group info -b {shell.address} complete-us"),
        ("odradek cat --context here complete-i\t", "odradek cat --context here complete-it"),
        ("odradek topic ls -o ya\t", "odradek topic ls -o yaml"),
    ):
        t.type(typed)
        t.until(lambda lines, w=wanted: any(line.endswith(w) for line in lines), f"{typed!r} becomes {wanted!r}")
        t.type("\x15")  # an empty line again
        t.until(lambda lines: lines[t.screen.cursor.y] == "%", "an empty line")
    t.type("exit\r")
    t.ends()


def case_bash_typed(shell):
    """As somebody types it: bash cuts HOST:PORT into words of its own."""
    folder, variables = installed(shell)
    with open(os.path.join(folder, "bashrc"), "w") as file:
        file.write("PS1='% '\nsource <(odradek docs completion-bash)\nbind 'set bell-style none'\n")
    words = ("--noprofile", "--rcfile", os.path.join(folder, "bashrc"), "-i")
    with Terminal(shell, *words, program=shutil.which("bash"), env=variables, columns=100) as t:
        typed_and_completed(t, shell)


def case_fish(shell):
    folder, variables = installed(shell)
    for line, wanted, unwanted in (
        ("odradek gr", "group", "topic"),
        ("odradek group re", "rewind", "rm"),
        ("odradek cat --fr", "--from", "--to"),
        ("odradek pub --key", "--key-separator", "--rate"),
        ("odradek bench pub --", "--rate", "--key-separator"),
        (f"odradek topic info -b {shell.address} complete-", "complete-me", "complete-us"),
        (f"odradek group info -b {shell.address} complete-", "complete-us", "complete-me"),
        ("odradek cat --context here complete-", "complete-it", "complete-us"),
        ("odradek context use h", "here", "health"),
        ("odradek topic ls -o y", "yaml", "json"),
        ("odradek topic ls --output js", "jsonl", "yaml"),
    ):
        script = f"source {folder}/odradek.fish; complete -C '{line}'"
        done = subprocess.run(
            [shutil.which("fish"), "--no-config", "-c", script], capture_output=True, text=True, timeout=60, env=shell.variables(variables)
        )
        words = [one.split("\t")[0] for one in done.stdout.splitlines()]
        check(wanted in words and unwanted not in words, f"{line}: {done.stdout!r}, {done.stderr!r}")


def case_zsh(shell):
    """Typed, and looked at: zsh completes for nobody but a terminal."""
    folder, variables = installed(shell)
    with open(os.path.join(folder, ".zshrc"), "w") as file:
        file.write(f"fpath=({folder} $fpath)\nautoload -U compinit && compinit -u -D\nPS1='%% '\nunsetopt beep\n")
    with Terminal(shell, "-d", "-i", program=shutil.which("zsh"), env=variables, columns=100) as t:
        typed_and_completed(t, shell)
