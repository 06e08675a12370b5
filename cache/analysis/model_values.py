"""Values of every model of a study, as they are asked for: from memory, from the store, or derived from evidence.

A page asks for the same values of all models at every click, so what was read once stays in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from types import MappingProxyType

from backends.checkpoints.resolved import ResolvedModels
from backends.metrics import DRAFT, METRICS
from backends.metrics.key import MetricKey
from backends.study import Study
from backends.study.targets import has_targets, targeted
from cache.analysis import derive, kept_values
from cache.analysis.derive import Asked, Values
from cache.analysis.in_memory import InMemory, in_memory
from cache.analysis.probe_draws import bounds_of, subject_groups
from cache.analysis.resampling import Groups
from cache.analysis.study_rows import Replicates, mean_replicates
from cache.store import Store, features, keys


class ModelValues:
    """Per-probe values of the models of one study, for evidence of one arithmetic and these stamps.

    Attributes:
        numerics: the arithmetic.
        stamps: model -> stamp of its evidence; "" where it has none.

    `under` is everywhere the model whose target says what the prompts are (see `backends.study.targets`); "" is the
    model itself.
    """

    def __init__(self, study: Study, store: Store, numerics: str, stamps: Mapping[str, str]) -> None:
        self._study, self._store, self.numerics = study, store, numerics
        self.stamps = stamps
        self._asked: dict[str, Asked] = {}
        self._groups: dict[str, Mapping[str, Groups]] = {}
        self._keys: dict[tuple[str, str], Hashable] = {}
        # Numbers of a draft may change with every edit: they are kept with this object alone.
        self._memory = InMemory() if drafts() else in_memory(store)

    def asked(self, model: str) -> Asked:
        """What the study asks a model."""
        name = model if has_targets(self._study) else ""
        if name not in self._asked:
            self._asked[name] = Asked.of(targeted(self._study, model))
        return self._asked[name]

    def of(self, model: str, under: str = "") -> Values:
        """All values of a model; none where it has no evidence."""
        if not self.stamps.get(model):
            return {}
        return self._memory.get(self.key(model, under), lambda: self._read(model, under), _bytes)

    def mean(self, model: str, key: str, under: str = "") -> Replicates:
        """Mean of one metric that the model has values of, drawn: shape (1 + RESAMPLES,)."""
        role = MetricKey.parse(key).role
        groups = self.groups(under or model)

        def make() -> Replicates:
            return mean_replicates(self.of(model, under)[key], role, bounds_of(key), groups)

        together = hash(groups.get(role, ()))
        return self._memory.get((self.key(model, under), key, together), make, lambda drawn: drawn.nbytes)

    def groups(self, model: str) -> Mapping[str, Groups]:
        """Probes of one subject by role, as roles are to a model."""
        study = self.asked(model).study
        name = model if has_targets(self._study) else ""
        if name not in self._groups:
            self._groups[name] = subject_groups(study)
        return self._groups[name]

    def key(self, model: str, under: str = "") -> Hashable:
        """What the values of a model are, and which definitions gave them; equal keys are equal values."""
        if (model, under) not in self._keys:
            columns = self.asked(under or model).columns
            versions = tuple((each.key, METRICS[each.metric].version) for each in columns)
            self._keys[model, under] = self.made_of(model, under), hash(versions)
        return self._keys[model, under]

    def made_of(self, model: str, under: str = "") -> str:
        """What the values of a model are made of: evidence, probes, protocol; "" where it has no evidence."""
        if not self.stamps.get(model):
            return ""
        return kept_values.key_of(self.asked(under or model).made_of(self.stamps[model]))

    def _read(self, model: str, under: str) -> Values:
        asked, stamp = self.asked(under or model), self.stamps[model]
        return derive.model_values(asked, self._store, self._study.model(model), self.numerics, stamp)


def values_of(study: Study, store: Store, models: ResolvedModels | None = None) -> ModelValues:
    """Values of single probes alone, of evidence of one arithmetic; arguments as for `scoreboard`."""
    numerics, stamps = _evidence(study, store, models)
    return ModelValues(study, store, numerics, MappingProxyType(stamps))


def _evidence(study: Study, store: Store, models: ResolvedModels | None) -> tuple[str, dict[str, str]]:
    """The arithmetic with the most contexts (float32 where equal), and each model's stamp under it."""
    contexts = {spec.name: derive.contexts_of(study, store, spec, models) for spec in study.models}
    made = Counter(context.numerics for several in contexts.values() for context in several)
    numerics = max(made, key=lambda name: (made[name], name == "float32"), default="")
    chosen = {name: [c for c in several if c.numerics == numerics] for name, several in contexts.items()}
    digests = {probe.digest() for probe_set in study.probe_sets for probe in probe_set.probes}
    stamps = derive.stamps(store, chosen, digests)
    if study.modality == "image":
        # Distances are to the original's images, so a model's numbers change when those do.
        base = stamps[study.original.name]
        seen = features.stamp(study, store)
        also = [seen] if seen else []
        stamps = {name: keys.digest([base, stamp, *also]) if stamp else "" for name, stamp in stamps.items()}
    return numerics, stamps


def drafts() -> bool:
    """Whether a metric is being tried out: nothing that is made with it is kept."""
    return any(metric.version == DRAFT for metric in METRICS.values())


def _bytes(values: Values) -> int:
    return sum(row.nbytes for row in values.values()) + 200 * len(values)
