"""Programs that a model wrote, run where they can harm nothing and forge no verdict."""

from raysgpo.sandbox.limits import Limits
from raysgpo.sandbox.process import SandboxError
from raysgpo.sandbox.refusal import SandboxRefused, check_sandbox
from raysgpo.sandbox.running import Run, Verdict, run_script, run_tests

__all__ = ["Limits", "Run", "SandboxError", "SandboxRefused", "Verdict", "check_sandbox", "run_script", "run_tests"]
