import pytest

from components.triton_environment import TritonEnvironment
from settings.errors import SettingsError


def test_a_clone_is_what_a_stacks_file_would_say(declare):
    def declared():
        made = TritonEnvironment(
            "My-Triton", clone="AzureML-Triton", pip_packages=["nltk"], variables={"WORKER_COUNT": "2"}
        )
        return {"name": made.name, "setting": made.setting}

    values = declare(declared).values
    assert values["name"] == "My-Triton"
    assert values["setting"] == {
        "name": "My-Triton",
        "clone": "AzureML-Triton",
        "pipPackages": ["nltk"],
        "variables": {"WORKER_COUNT": "2"},
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"clone": "AzureML-Tritn"}, r"clone has the value 'AzureML-Tritn': .*did you mean 'AzureML-Triton'\?"),
        ({}, r"name has the value 'My-Triton': .*not a curated environment"),
        ({"clone": "AzureML-Triton", "pip_packages": ["not a package"]}, r"pip_?[pP]ackages\[0\]"),
        ({"clone": "AzureML-Triton", "pip_packages": "nltk"}, "pip_packages has the value 'nltk': expected a list"),
        (
            {"clone": "AzureML-Triton", "requirements_file": "none.txt"},
            "requirements_?[fF]ile has the value 'none.txt'",
        ),
    ],
)
def test_a_mistake_ends_it_before_anything_is_declared(declare, arguments, told):
    def declared():
        with pytest.raises(SettingsError, match=f"(?s)TritonEnvironment 'My-Triton' has 1 mistake.*{told}"):
            TritonEnvironment("My-Triton", **arguments)

    assert "My-Triton" not in declare(declared).resources
