from environment.uv_command import readable


def test_uvs_causes_become_one_line() -> None:
    said = """\
warning: Indexes specified via `--index` have no name
error: No solution found when resolving dependencies
  cause: Because nltkk was not found in the package registry and you require nltkk,
         we can conclude that your requirements are unsatisfiable.
hint: Did you mean nltk?
"""
    assert readable(said.splitlines()) == (
        "No solution found when resolving dependencies: Because nltkk was not found in the package registry and you "
        "require nltkk, we can conclude that your requirements are unsatisfiable. Hint: Did you mean nltk?"
    )


def test_of_a_failed_builds_output_the_last_line_stays() -> None:
    said = """\
error: Failed to build `thing==1.0`
  cause: The build backend returned an error
  cause: Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)
         [stdout]
         running bdist_wheel
         [stderr]
         Traceback (most recent call last):
           File "<string>", line 11, in <module>
         error: command 'gcc' failed: No such file or directory
hint: Build failures usually indicate a problem with the package
"""
    assert readable(said.splitlines()) == (
        "Failed to build `thing==1.0`: The build backend returned an error: "
        "Call to `setuptools.build_meta.build_wheel` failed (exit status: 1): "
        "error: command 'gcc' failed: No such file or directory "
        "Hint: Build failures usually indicate a problem with the package"
    )
