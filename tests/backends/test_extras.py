"""Missing packages: one sentence with the command that brings them; every other failed import stays what it is."""

from __future__ import annotations

import sys

import pytest

from backends.extras import MissingPackages, check_extra, install_command, missing, missing_packages_named


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Makes packages look as if they were not installed, to `find_spec` and to `import`."""

    for package in packages:
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, name)
    usual = list(sys.meta_path)

    class Without:
        def find_spec(self, name: str, path: object = None, target: object = None) -> object:
            if name.partition(".")[0] in packages:
                return None
            for finder in usual:
                spec = finder.find_spec(name, path, target)  # type: ignore[arg-type]
                if spec is not None:
                    return spec
            return None

    monkeypatch.setattr(sys, "meta_path", [Without()])


def test_what_is_installed_is_not_complained_of() -> None:
    assert not missing("text")
    check_extra("text")


def test_a_check_names_the_packages_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "gguf", "peft")
    with pytest.raises(MissingPackages) as told:
        check_extra("text")
    assert str(told.value) == (
        "Running language models needs packages that are not installed (peft, gguf). "
        "Run `pip install 'unlearnboard[text]'`"
    )


@pytest.mark.parametrize(
    ("package", "module", "extra"),
    [
        ("gguf", "gguf", "text"),
        ("kaleido", "kaleido.scopes", "export"),
        ("diffusers", "diffusers.loaders", "image"),
        ("peft", "peft", "all"),
    ],
)
def test_a_failed_import_says_the_extra(
    package: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, package)
    with pytest.raises(MissingPackages, match=rf"\({package}\)") as told, missing_packages_named():
        __import__(module)
    assert install_command(extra) in str(told.value)


def test_other_failed_imports_stay_defects() -> None:
    with pytest.raises(ModuleNotFoundError), missing_packages_named():
        __import__("backends.no_such_module")
    with (
        pytest.raises(ModuleNotFoundError),
        missing_packages_named(),
    ):  # the package is there, and lacks a part
        __import__("safetensors.no_such_part")
    with pytest.raises(ModuleNotFoundError), missing_packages_named():
        __import__("peft.no_such_part")
