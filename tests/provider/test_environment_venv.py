from tests.provider.asking import changes


def test_an_environment_whose_folder_or_python_is_gone_is_built_again(tmp_path):
    inputs = {
        "name": "e",
        "clone": "",
        "pipPackages": [],
        "triton": True,
        "gpu": False,
        "root": str(tmp_path),
        "curated": {},
        "sources": {},
    }

    def changed():
        return changes("EnvironmentVenv", inputs, {"path": str(tmp_path), "digest": "d", "packages": {}})

    assert changed()
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(tmp_path / "python3.12")
    assert changed()
    (tmp_path / "python3.12").touch()
    assert not changed()
