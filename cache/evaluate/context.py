"""What a piece of work with models goes by: the study, where evidence is kept, what runs models, what they are."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from backends.checkpoints.identity import ModelIdentity
from backends.checkpoints.resolved import ResolvedModel, ResolvedModels
from backends.interfaces import ImageModels, Stop, TextModels
from backends.pool import ModelPool
from backends.study import ModelSpec, Study
from backends.text.precision import dtype_for, stored_in_halves
from cache.store import Store, keys
from cache.store.identities import identity_in


def never() -> bool:
    """The `Stop` of work that nobody stops."""
    return False


def numerics_of(pool: ModelPool, study: Study) -> str:
    """Name of the arithmetic in which the pool runs a study's models, as evidence is keyed by it.

    Imports torch only where the device matters: CPU and CUDA share a name in float32, other systems than Apple's have
    no third device, and half precision is for models that are stored in it.
    """
    halves = study.modality == "text" and stored_in_halves(study)
    if pool.dtype == "float32" and sys.platform != "darwin" and not halves:
        return keys.numerics("cpu", pool.dtype)
    return keys.numerics(pool.device, dtype_for(study, pool.device, pool.dtype))


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """Made once by who starts the work, and passed on.

    Attributes:
        study: what is compared.
        store: where evidence goes.
        pool: loads and runs models.
        models: the study's models as their files are, each looked at once for all of the work.
        stop: checked between steps; True ends the work.
    """

    study: Study
    store: Store
    pool: ModelPool
    models: ResolvedModels
    stop: Stop = never

    @classmethod
    def of(cls, study: Study, store: Store, pool: ModelPool, stop: Stop = never) -> EvaluationContext:
        """The context of work that begins now."""
        return cls(study, store, pool, ResolvedModels(study), stop)

    @property
    def dtype(self) -> str:
        """Name in torch of the number format that the study's models run in."""
        return dtype_for(self.study, self.pool.device, self.pool.dtype)

    @property
    def numerics(self) -> str:
        """Name of that arithmetic, as evidence is keyed by it."""
        return numerics_of(self.pool, self.study)

    def identity(self, name: str) -> ModelIdentity:
        """Identity of a model as the study asks it.

        Raises:
            CheckpointError: it is not available.
        """
        return identity_in(self.study, self.models[name].spec, self.models)

    def text(self, specs: Sequence[ModelSpec]) -> TextModels:
        """Language models, loaded; of files that changed since they were loaded, as they are now."""
        self._expect(specs)
        return self.pool.text(specs, self.dtype)

    def image(self, specs: Sequence[ModelSpec]) -> ImageModels:
        """Image models, loaded; of files that changed since they were loaded, as they are now."""
        self._expect(specs)
        return self.pool.image(specs)

    def _expect(self, specs: Sequence[ModelSpec]) -> None:
        # Models share what they are loaded from, so one that changed makes the others doubtful, too.
        names = {*(spec.name for spec in specs), *self.pool.loaded()}
        known = {name: self.models[name].located.identity for name in names if name in self.models}
        self.pool.expect({name: each.declared() if each else None for name, each in known.items()})

    def again(self, name: str) -> ResolvedModel:
        """A model as its files are now: its turn may come hours after the work began."""
        return self.models.again(name)
