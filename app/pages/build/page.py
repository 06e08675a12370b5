"""Build: make unlearned versions of the original, watch them forget, and go on to what it cost."""

from __future__ import annotations

import streamlit as st

from app.looks.safe_text import literal
from app.pages.build.form import build_form
from app.pages.build.runs import runs_panel
from app.shared import state
from app.shared.resources import studies
from backends.checkpoints.identity import available, missing_model_packages
from backends.errors import BoardError
from backends.extras import check_extra
from backends.unlearning.image_prompts import check_family


def page() -> None:
    """The form, and the runs that were made of this study."""
    st.title("Build", anchor=False)
    st.caption("Unlearn the original here, and watch what it forgets and what that costs.")
    study = studies()[state.study_name()]
    if not available(study.original):
        sentence = "The original's weights are not on this machine, so it cannot be unlearned here."
        ways = missing_model_packages([study.original])
        st.info(literal(" ".join([sentence, *ways])), icon=":material/construction:")
        return
    try:
        check_extra(study.modality)
        if study.modality == "image":
            check_family(study.original)
    except BoardError as error:  # before anybody fills in a form
        st.info(literal(str(error)), icon=":material/construction:")
        return
    build_form(study)
    runs_panel(study)


page()
