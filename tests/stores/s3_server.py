"""A real S3 server on this machine: ``rclone serve s3``, with one bucket that is a folder."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

RCLONE = Path(sys.executable).with_name("rclone")
KEY, SECRET = "AKIDEXAMPLE", "SECRETEXAMPLE"
START_DEADLINE = 30.0


class S3Server:
    """Started at once; ``stop`` and ``start`` are a server that dies and comes back."""

    def __init__(self, folder: Path) -> None:
        self.bucket = folder / "bucket"
        self.bucket.mkdir(parents=True)
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """What finds it, and may use it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
        }

    def start(self, *words: str) -> None:
        address = f"127.0.0.1:{self.port}"
        command = [str(RCLONE), "serve", "s3", str(self._folder), "--addr", address, "--auth-key", f"{KEY},{SECRET}"]
        quiet = ["--config", "", "--log-level", "ERROR"]
        self._process = subprocess.Popen([*command, *quiet, *words], stderr=subprocess.DEVNULL)
        end = time.monotonic() + START_DEADLINE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None and time.monotonic() < end, "rclone does not start"
                time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
