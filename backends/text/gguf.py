"""Converting a GGUF file to a transformers folder, once: dequantised, bfloat16, safetensors.

Knows nothing about studies. The quantised model refuses to be saved, so it is dequantised while reading.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from backends.errors import CheckpointError
from backends.extras import check_extra
from backends.files.disk import kept


def convert(file: Path, target: Path) -> None:
    """Writes the model and tokenizer of a GGUF file as a transformers folder; whole or not at all.

    Args:
        file: the .gguf file.
        target: folder to make; it appears only when everything is written.

    Raises:
        CheckpointError: the file lacks tensors or has some that do not fit, or the folder cannot be written.
        MissingPackages: the packages that read it are not installed.
    """
    check_extra("text")
    import torch
    from transformers import AutoTokenizer

    from backends.text.loading import load_gguf

    with kept("the converted model", target.parent, kind=CheckpointError):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=".converting-"))
    try:
        load_gguf(file).to(torch.bfloat16).save_pretrained(temporary)
        AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(temporary)
        if target.exists():
            shutil.rmtree(target)
        temporary.rename(target)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError) as error:
        raise CheckpointError(f"the conversion failed ({error})", where=str(file)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
