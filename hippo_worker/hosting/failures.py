"""What went wrong in a trainer, in words: whose fault, one line with file and remedy, and the trace."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path

from hippo_core.engine.states import FailureClass
from hippo_core.errors import HippoError


class InvalidTrainer(HippoError):
    """The trainer breaks its contract; trying again cannot help."""

    code = "INVALID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failure in words.

    Attributes:
        failure: Whose fault.
        message: One line, with the place in the user's code and the remedy.
        traceback: The trace, the user's frames first and the innermost first among them.
    """

    failure: FailureClass
    message: str
    traceback: str


def explain(error: BaseException, code: Path) -> Failure:
    """Puts an exception that came out of a trainer into words.

    Args:
        error: The exception.
        code: The folder of the bundle: frames in it are the user's.
    """
    return Failure(failure=_classify(error), message=_one_line(error, code), traceback=_trace(error, code))


def _classify(error: BaseException) -> FailureClass:
    if _is_out_of_memory(error):
        return FailureClass.MEMORY
    if isinstance(error, (HippoError, ImportError, SyntaxError)) or _lacks_deterministic_form(error):
        return FailureClass.INVALID
    return FailureClass.USER


def _is_out_of_memory(error: BaseException) -> bool:
    # torch.OutOfMemoryError is a RuntimeError; it is known by name so that this module needs no torch.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = (
        "can't allocate memory",
        "not enough memory",
        "CUDA out of memory",
        "CUDA error: out of memory",
        "CUBLAS_STATUS_ALLOC_FAILED",
        "CUDNN_STATUS_ALLOC_FAILED",
    )
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def _lacks_deterministic_form(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and "does not have a deterministic implementation" in str(error)


def _one_line(error: BaseException, code: Path) -> str:
    if isinstance(error, HippoError):
        where = place(error, code)
        return " ".join(part for part in (error.message.rstrip(), where and f"({where})", error.hint) if part)
    said = _said(error)
    where = place(error, code)
    line = f"{type(error).__name__}: {said}" if said else type(error).__name__
    if where:
        line = f"{line} in {where}"
    remedy = _remedy(error)
    return f"{line}. {remedy}" if remedy else line


def _said(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return error.name
    if isinstance(error, SyntaxError):
        return error.msg
    if isinstance(error, SystemExit):
        return f"the trainer called sys.exit({error.code!r})"
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], str):
        return error.args[0] if " " in error.args[0] else str(error)
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else ""


def _remedy(error: BaseException) -> str:
    if _is_out_of_memory(error):
        lower = "Out of memory: lower the batch size or the size of the model, accumulate gradients, "
        # How torch says that it was not the device that was full.
        capped = " allowed; " in str(error)
        return lower + (
            "or give a slot more of the GPU by the worker's --slots-per-gpu or --gpu-memory-fraction"
            if capped
            else "or give the worker fewer slots"
        )
    if _lacks_deterministic_form(error):
        return "Use another operation, or write Study(deterministic=False): results then need not be equal bit for bit"
    if isinstance(error, ModuleNotFoundError):
        return "Install it on the workers, or add its folder with Study(code=[...])"
    return ""


def place(error: BaseException, code: Path) -> str:
    """File and line in the bundle: of the error itself where it is one of syntax, else of the innermost frame."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_relative(error.filename, code)}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename, code)]
    return f"{_relative(frames[-1].filename, code)}:{frames[-1].lineno}" if frames else ""


def _trace(error: BaseException, code: Path) -> str:
    parts = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        parts.append(_trace_of_one(current, code))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\ncaused by\n".join(parts)


def _trace_of_one(error: BaseException, code: Path) -> str:
    frames = list(reversed(traceback.extract_tb(error.__traceback__)))
    users = [frame for frame in frames if _is_users(frame.filename, code)]
    others = [frame for frame in frames if not _is_users(frame.filename, code)]
    lines = ["".join(traceback.format_exception_only(error)).rstrip()]
    lines += [_frame_line(frame, code) for frame in users]
    if others:
        lines.append("through")
        lines += [_frame_line(frame, code) for frame in others]
    return "\n".join(lines)


def _frame_line(frame: traceback.FrameSummary, code: Path) -> str:
    where = f"  {_relative(frame.filename, code)}:{frame.lineno} in {frame.name}"
    return f"{where}\n      {frame.line}" if frame.line else where


def _is_users(filename: str, code: Path) -> bool:
    return Path(filename).is_relative_to(code)


def _relative(filename: str, code: Path) -> str:
    return str(Path(filename).relative_to(code)) if _is_users(filename, code) else filename
