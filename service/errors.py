"""The root of every refusal. The classes themselves are made from lua/errors.toml: service/error_registry.py."""

from typing import Any, ClassVar, Literal

Retry = Literal["no", "later", "same-id"]


class SimpulError(Exception):
    """An outcome other than success, in the caller's terms.

    `fields` fill the sentence of the registry and are sent in the problem document beside it.
    """

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]
    detail_template: ClassVar[str]
    action: ClassVar[str]
    retry: ClassVar[Retry]

    def __init__(self, **fields: Any) -> None:
        super().__init__()
        self.fields = fields

    @property
    def detail(self) -> str:
        return self.detail_template.format(**self.fields)

    @property
    def advice(self) -> str:
        """What to do now: the registry's `action` in this case."""
        return self.action.format(**self.fields)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail} {self.advice}"
