"""Does this machine let a program be shut in? If not: what it says, and what mends it."""

from __future__ import annotations

import os
import platform
import sys
from functools import cache
from pathlib import Path

from raysgpo.sandbox.limits import Limits
from raysgpo.sandbox.process import SandboxError
from raysgpo.sandbox.running import run_script

MACHINE = "x86_64"
_APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_MOST = Path("/proc/sys/user/max_user_namespaces")
_DEBIAN = Path("/proc/sys/kernel/unprivileged_userns_clone")


class SandboxRefused(ValueError):
    """One line: what this machine does not allow, and the fix."""


@cache
def check_sandbox() -> None:
    """Run one small program in a sandbox, once in a process.

    Raises:
        SandboxRefused: it does not come up here. Programs are never run without.
    """
    if sys.platform != "linux" or platform.machine() != MACHINE:
        raise SandboxRefused(
            f"programs are run in a sandbox of Linux on x86-64, not of {sys.platform} on {platform.machine()}"
        )
    try:
        run = run_script("print(6 * 7)", "", Limits(seconds=60.0))
    except SandboxError as error:
        raise SandboxRefused(f"programs cannot be shut in here: {error}; {_fix(str(error))}") from error
    if run.output != b"42\n":
        raise SandboxRefused("programs cannot be shut in here: a sandbox came up and did not run print(6 * 7)")


def _fix(said: str) -> str:
    """The settings that commonly forbid it, the one that does first."""
    if _says(_DEBIAN, "0"):
        return "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1"
    if _says(_MOST, "0") or "ENOSPC" in said:
        return "allow user namespaces: sysctl user.max_user_namespaces=10000"
    if os.geteuid() != 0 and _says(_APPARMOR, "1"):
        return "allow user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    if "bwrap" in said and any(word in said for word in ("not permitted", "ermission")):
        return (
            "a container must let it make namespaces: docker run --security-opt seccomp=unconfined --security-opt "
            "apparmor=unconfined --cap-add SYS_ADMIN, or in Kubernetes securityContext: {privileged: true}"
        )
    return "see that the interpreter and its standard library can be read by every user"


def _says(setting: Path, value: str) -> bool:
    try:
        return setting.read_text().strip() == value
    except OSError:
        return False
