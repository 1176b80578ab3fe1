"""A place in an object store, ``s3://BUCKET/PREFIX`` or ``gs://BUCKET/PREFIX``, by obstore.

An object is there whole or not at all: an upload that breaks leaves none. Keys, region and endpoint come from the
environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL, or the role of a
pod or an instance; GOOGLE_APPLICATION_CREDENTIALS, or the service account of a pod or an instance.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from raysgpo.output.whole_file import write_parts, writing

BLOCK = 16 * 2**20
"""Bytes of a part that is sent."""
THREADS = 4
"""Objects that travel at a time, and parts of each that is sent."""
CONNECT_SECONDS, REQUEST_SECONDS, RETRY_SECONDS = 5.0, 120.0, 10.0
SLOWEST = 2**20
"""Bytes a second: an object that is fetched has as long, and ``REQUEST_SECONDS``."""
LONGEST_WAIT = 30.0
"""Seconds from one try to the next, at most."""

WRONG = {
    "NoSuchBucket": "there is no such bucket; make it, or correct the name",
    "InvalidAccessKeyId": "the store does not know the key; correct AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret is not the key's; correct AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the credentials have expired; get new ones",
    "PermanentRedirect": "the bucket is in another region; set AWS_REGION to that",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set AWS_REGION to that",
    "169.254.169.254": "there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role",
    "metadata.google.internal": "there are no credentials; set GOOGLE_APPLICATION_CREDENTIALS",
}
"""What an error holds to what a person has to do about it; no later try would help."""
DENIED = "permission denied; let these credentials list, read, write and delete there"

T = TypeVar("T")


class StoreFailed(RuntimeError):
    """An object store did not do what it was asked. It says all in one line, and travels between processes."""

    @classmethod
    def of(cls, error: BaseException, url: str) -> StoreFailed:
        text = " ".join(str(error).partition("Debug source:")[0].split())
        for word, mend in WRONG.items():
            if word in text:
                return cls(url, mend, False)
        if type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError") or "AccessDenied" in text:
            return cls(url, DENIED, False)
        return cls(url, text[:300], True)

    def __init__(self, url: str, why: str, passing: bool) -> None:
        super().__init__(url, why, passing)
        self.url, self.why = url, why
        self.passing = passing
        """Whether a later try may go well."""

    def __str__(self) -> str:
        return f"{self.url}: {self.why}"


class ObjectStore:
    """Names are paths within the place, with ``/`` between folders. Every method may raise StoreFailed."""

    def __init__(self, url: str) -> None:
        self.url = url
        with self._failing(""):
            self._store = _opened(url)

    def at(self, name: str) -> str:
        return f"{self.url}/{name}" if name else self.url

    def names(self, under: str = "") -> dict[str, int]:
        """Size of each object below the folder ``under``, by its name within the place; empty if there is none."""
        return {name: size for name, (size, _) in self.entries(under).items()}

    def entries(self, under: str = "") -> dict[str, tuple[int, str]]:
        """As ``names``: size, and when it was written."""
        with self._failing(under):
            found = [entry for chunk in self._store.list(under or None) for entry in chunk]
        return {entry["path"]: (entry["size"], str(entry["last_modified"])) for entry in found}

    def folders(self, under: str) -> list[str]:
        """Names of the folders directly below ``under``."""
        with self._failing(under):
            found = self._store.list_with_delimiter(under or None)["common_prefixes"]
        return sorted(name.rstrip("/").rpartition("/")[2] for name in found)

    def read(self, name: str) -> bytes | None:
        """None if it is not there."""
        try:
            with self._failing(name):
                return bytes(self._store.get(name).bytes())
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        with self._failing(name):
            self._store.put(name, data)

    def remove(self, names: Iterable[str]) -> None:
        """One after the other; what is not there is no error."""
        for name in names:
            with self._failing(name), suppress(FileNotFoundError):
                self._store.delete(name)

    def upload(self, files: Iterable[tuple[Path, str]]) -> None:
        """Each (file, name), some at a time.

        Raises:
            FileNotFoundError: a file is not there.
        """
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(lambda pair: self.upload_part(pair[0], 0, pair[0].stat().st_size, pair[1]), files):
                pass

    def upload_part(self, file: Path, first: int, size: int, name: str) -> None:
        """An object of ``size`` bytes of a file, from byte ``first`` on."""
        with file.open("rb") as source, self._failing(name):
            source.seek(first)
            if size <= BLOCK:
                self._store.put(name, source.read(size))
            else:
                self._store.put(name, _blocks(source, size), chunk_size=BLOCK, max_concurrency=THREADS)

    def download(self, names: Iterable[tuple[str, Path]]) -> None:
        """Each (name, file), some at a time; a file is there whole or not at all."""
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(lambda pair: self.download_together([pair[0]], pair[1]), names):
                pass

    def download_together(self, names: Iterable[str], file: Path) -> None:
        """One file of these objects, one behind the other; it is there whole or not at all."""
        with writing(file, 0):
            file.parent.mkdir(parents=True, exist_ok=True)
        write_parts(file, (block for name in names for block in self._parts(name)))

    def _parts(self, name: str) -> Iterator[bytes]:
        """Of an object, in one request: not all stores give a part of one."""
        try:
            with self._failing(name):
                size = self._store.head(name)["size"]
                store = _opened(self.url, REQUEST_SECONDS + size / SLOWEST)
                for part in store.get(name).stream(min_chunk_size=BLOCK):
                    yield bytes(part)
        except FileNotFoundError:
            raise StoreFailed(self.at(name), "there is no such object", False) from None

    @contextmanager
    def _failing(self, name: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise StoreFailed.of(error, self.at(name)) from error
            raise
        except BaseError as error:
            raise StoreFailed.of(error, self.at(name)) from error


def patiently(action: Callable[[], T], seconds: float, failed: Callable[[StoreFailed], object]) -> T:
    """Tried again, ever later, while a try may still go well; ``failed`` hears of each that did not.

    Raises:
        StoreFailed: of the last try, ``seconds`` after the first.
    """

    def may_pass(error: BaseException) -> bool:
        if isinstance(error, StoreFailed):
            failed(error)
        return isinstance(error, StoreFailed) and error.passing

    retrying = Retrying(
        retry=retry_if_exception(may_pass),
        wait=wait_exponential(max=LONGEST_WAIT),
        stop=stop_after_delay(seconds),
        reraise=True,
    )
    return retrying(action)


def _opened(url: str, seconds: float = REQUEST_SECONDS) -> Any:
    """obstore's store, a request to which takes at most so long. It is imported where something is in a store alone."""
    from obstore.store import from_url

    plain = re.match("http://", os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "")
    return from_url(
        url,
        client_options={
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "timeout": timedelta(seconds=seconds),
            "allow_http": plain is not None,
        },
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
    )


def _blocks(source: Any, size: int) -> Iterator[bytes]:
    while size and (block := source.read(min(BLOCK, size))):
        size -= len(block)
        yield block
