"""What a packed study is: a zip file with a study file, its probes, a small cache and its pictures.

A zip, because everything in it can be looked at with what every machine has, the cache in it is read by the code that
reads every cache, of this version or an older one, and pictures, which do not get smaller, need not be copied into a
database and out of it again.

study.toml           the study, every model with its fingerprint; no path of the machine that packed it
pack.json            {"format": 1, "real": {folder as study.toml has it: [what its real pictures are known by]}}
evidence.sqlite      evidence, runs, numbers and imported results
probes/1/NAME        probe files, each in a numbered folder: ids of probes may come from a file's name
judges/1-DOMAIN.json what a judge said of real pictures
images/ab/HASH.png   pictures
"""

from __future__ import annotations

import re

FORMAT = 1
STUDY = "study.toml"
SETTINGS = "pack.json"
PROBES = "probes"
JUDGES = "judges"
WEIGHTS = "./weights"
"""Where the study file says that weights are which are not packed: nowhere."""
NAMES = re.compile(
    r"study\.toml|pack\.json|evidence\.sqlite|judges/[0-9]{1,6}-[\w.=+-]{1,100}\.json"
    r"|probes/[0-9]{1,6}/(?!\.{1,2}$)[^/\\:\x00-\x1f]{1,255}"
    r"|images/[0-9a-f]{2}/[0-9a-f]{64}\.png"
)
"""All names that there are in a pack."""
