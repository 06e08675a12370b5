"""Another scheduler in a pipeline's place, by name: made from the settings that its model was trained with."""

from __future__ import annotations

import copy
from typing import Any

import diffusers

from backends.errors import StudyError
from backends.study.inference import SCHEDULERS, fitting_schedulers


def with_scheduler(pipe: Any, name: str) -> Any:
    """The pipeline with the scheduler of that name; the pipeline itself for "".

    Clean latents beyond 1 are never clipped where there is a VAE, whose latents are larger; DDIM would do so where the
    pipeline's own settings do not speak of it.

    Raises:
        StudyError: the pipeline's model was trained for schedulers of another kind.
    """
    if not name:
        return pipe
    own = type(pipe.scheduler).__name__
    fitting = fitting_schedulers({**pipe.scheduler.config, "_class_name": own})
    if name not in fitting:
        raise StudyError(
            f"the scheduler {name} cannot take the place of this {type(pipe).__name__}'s {own}",
            where="[sampling] scheduler",
            how=f"Choose one of {', '.join(fitting)}" if fitting else "Leave it out for models of this kind",
        )
    class_name, settings = SCHEDULERS[name]
    wanted: dict[str, Any] = dict(settings)
    if getattr(pipe, "vae", None) is not None and "clip_sample" not in pipe.scheduler.config:
        wanted["clip_sample"] = False
    other = copy.copy(pipe)
    other.scheduler = getattr(diffusers, class_name).from_config(pipe.scheduler.config, **wanted)
    return other
