"""The exceptions of liverpair, drawn as a tree.

LiverpairError                 anything liverpair raises on purpose
├── Refusal                    a result, not a crash: the input does not allow a number (has a reason code)
│   ├── SuvRefusal             no SUV can be stated without guessing
│   └── GeometryRefusal        no voxel grid can be stated without guessing
└── UsageError                 the caller asked for something that cannot be done (exit code 2)
    └── ConfigError            a settings file holds an unknown key or a value out of range

Every message says what was found, why it is refused and what to do. No message may hold a patient's name,
date of birth or ID: messages end in logs and tables that leave the hospital.
"""

from __future__ import annotations

__all__ = ["ConfigError", "GeometryRefusal", "LiverpairError", "Refusal", "SuvRefusal", "UsageError"]


class LiverpairError(Exception):
    """Base of every error that liverpair raises on purpose."""


class Refusal(LiverpairError):  # noqa: N818 # a refusal is a result, not an error
    """The input does not allow this result; recorded with its reason while the other cases go on.

    ``reason`` is a stable snake_case code that tables and programs rely on; ``detail`` is the sentence for a
    reader: what was found, why it is refused, what to do.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[Refusal], tuple[str, str]]:
        """Survive the trip between worker processes."""
        return type(self), (self.reason, self.detail)


class SuvRefusal(Refusal):
    """No SUV can be stated without guessing."""


class GeometryRefusal(Refusal):
    """No regular voxel grid can be stated without guessing."""


class UsageError(LiverpairError):
    """What was asked cannot be done with this input; the command line answers with exit code 2."""


class ConfigError(UsageError):
    """A settings file holds an unknown key or a value out of range."""
