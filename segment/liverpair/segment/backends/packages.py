"""Load optional packages only when they are asked for, and keep their side effects inside the call."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from liverpair.core.errors import Refusal, UsageError

__all__ = ["environment", "file_digest", "guarded", "mend_torchvision", "require", "steady_torch", "version_of"]

LOGGER = logging.getLogger(__name__)
#: Read a checkpoint in pieces: it may be larger than the memory to spare.
CHUNK_BYTES = 1 << 20
#: The operators that torchvision describes to torch before it looks whether its compiled part was loaded.
NMS_SCHEMAS = tuple(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms"))


def require(module: str, package: str, extra: str) -> Any:
    """Import ``module`` of the optional ``package``; UsageError says how to install what is missing.

    A package that is there but broken (a torchvision of another torch, a missing system library) is said so too:
    installing it once more would not help.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = package if (error.name or "").split(".")[0] == module.split(".")[0] else f"{package}'s {error.name}"
        raise UsageError(
            f"the liver backend {extra!r} needs {missing}, which is not installed here: "
            f"pip install 'liverpair[{extra}]' (for a machine without CUDA, install a CPU build of torch first; see "
            "docs/development.md)"
        ) from error
    except (ImportError, OSError, RuntimeError) as error:
        raise UsageError(
            f"the liver backend {extra!r} found {package}, but it cannot be loaded ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no message'}); its packages do not fit each other, most "
            "often torchvision and torch of different versions: install them anew together"
        ) from error


def mend_torchvision(torch: Any) -> None:
    """Let a torchvision built for CUDA be imported beside a CPU build of torch.

    PyPI has only the CUDA build of torchvision for Linux; beside a CPU torch its compiled operators do not load, and
    its import stops with "operator torchvision::nms does not exist". nnU-Net's search for a trainer imports it (by way
    of timm) and never calls those operators, so their signatures alone mend the import. Where torchvision loads, is
    absent or fails otherwise, nothing is done.
    """
    try:
        importlib.import_module("torchvision")
        return
    except ImportError:
        return
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            return
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    schema = torch.library.Library("torchvision", "DEF")
    for operator in NMS_SCHEMAS:
        schema.define(operator)
    mended: Any = importlib.import_module("torchvision")
    mended.liverpair_schema = schema  # torch forgets the signatures with this object


def version_of(package: str) -> str:
    """The installed version of a distribution, "" where it is unknown."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


@contextlib.contextmanager
def environment(values: Mapping[str, str], also_restored: tuple[str, ...] = ()) -> Iterator[None]:
    """Set environment variables for the time of the call; they, and those a package sets itself, come back after."""
    names = (*values, *also_restored)
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def guarded(what: str) -> Iterator[None]:
    """Run a package: its prints and warnings go to the log, its failures become Refusal("backend_failed").

    Standard output belongs to the command line's answer, and a package that calls sys.exit must not end a study.
    """
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (Refusal, UsageError):
        raise
    except (Exception, SystemExit) as error:
        reason = (str(error).splitlines() or ["no message"])[0][:200]
        raise Refusal(
            "backend_failed",
            f"{what} ended with {type(error).__name__}: {reason}; use the classical backend or a given mask",
        ) from error
    finally:
        if printed.getvalue().strip():
            LOGGER.debug("%s printed: %s", what, printed.getvalue().strip())


@contextlib.contextmanager
def steady_torch(torch: Any, threads: int) -> Iterator[None]:
    """torch set so that the same input gives the same mask: fixed threads, no timing-chosen algorithms."""
    before = (
        torch.get_num_threads(),
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
    )
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = before[1], before[2]
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before[3], before[4]


def file_digest(path: Path) -> str:
    """SHA-256 of a file: which weights a mask was made with."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(CHUNK_BYTES):
            digest.update(block)
    return digest.hexdigest()
