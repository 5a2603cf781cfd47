"""The file system behind a URI, set up for many small files and for servers that fail now and then."""

import os

from pyarrow import fs

# Of a request to S3: the waits between them double from 25 ms, and are 25 s in all. pyarrow's own 3
# are gone in 2 s, which is less than a busy server asks for.
S3_ATTEMPTS = 10
# Its client for Google Cloud Storage, left alone, repeats a request for a quarter of an hour.
GCS_RETRY_S = 30


def connect(uri: str) -> tuple[fs.FileSystem, str, str]:
    """Return the file system of a local path or an `s3://`, `gs://` URI, the path within it, and the URI made
    absolute.

    Raises OSError or pyarrow.ArrowException when there is no such file system.
    """
    if "://" not in uri:
        path = os.path.abspath(os.path.expanduser(uri))
        return fs.LocalFileSystem(), path, path
    filesystem, root = fs.FileSystem.from_uri(_with_retry_limit(uri))
    if isinstance(filesystem, fs.S3FileSystem):
        filesystem = _patient(filesystem)
    return filesystem, root, uri


def has_folders(filesystem: fs.FileSystem) -> bool:
    """Say whether a file needs a folder to lie in; in an object store the folder is a part of its name."""
    return not isinstance(filesystem, fs.S3FileSystem | fs.GcsFileSystem)


def _with_retry_limit(uri: str) -> str:
    """Return a URI of Google Cloud Storage with a limit, unless it has one; any other as it is."""
    if not uri.startswith(("gs://", "gcs://")) or "retry_limit_seconds=" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}retry_limit_seconds={GCS_RETRY_S}"


def _patient(filesystem: fs.S3FileSystem) -> fs.S3FileSystem:
    """Return the file system with what a URI has no parameters for."""
    _, (settings,) = filesystem.__reduce__()  # it has no other way to tell its settings
    return fs.S3FileSystem(
        **settings
        | {
            # Not the standard one: it repeats a hundred requests in the life of a client, and then none.
            "retry_strategy": fs.AwsDefaultS3RetryStrategy(max_attempts=S3_ATTEMPTS),
            "allow_delayed_open": True,  # a small file is one request, not three
        }
    )
