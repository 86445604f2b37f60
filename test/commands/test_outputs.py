"""No command replaces a file that is there, unless it is told to, or ever what it reads."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
from command_line import commands
from typer.testing import CliRunner

from ses_gcn_ros.bags.rosbag2 import BagWriter
from ses_gcn_ros.bringup import fresh_recording
from ses_gcn_ros.cli import app
from ses_gcn_ros.errors import BagError, ConfigError, SesGcnError
from ses_gcn_ros.resources import check_folder, check_writable, write_atomically

FILES = ("out", "csv", "plot", "curves", "curve", "save", "markdown", "overlay", "launch")
FOLDERS = {
    (name, "out")
    for name in (
        *("demo", "report", "evaluate", "ablate", "braking-study", "attack"),
        *("commission", "commission-study", "obedience"),
    )
}
KIND = {"convert": ".mcap", "render": ".png", "adapt": ".safetensors"}
GIVEN = {
    "convert": ["npz", "INPUT"],
    "calibrate": ["--camera", "a=INPUT", "--intrinsics", "a=INPUT"],
    "render": ["INPUT"],
}


def outputs() -> list[tuple[str, str]]:
    """Every command with every option of a file that it writes."""
    return [
        (name, option.name)
        for name, command in commands().items()
        for option in command.params
        if option.name in FILES and not option.is_flag and (name, option.name) not in FOLDERS
    ]


def line(name: str, option: str, path: Path, source: Path) -> list[str]:
    """Command line that writes to `path` and reads `source` wherever something is to be read."""
    words = [word.replace("INPUT", str(source)) for word in GIVEN.get(name, [])]
    for parameter in commands()[name].params:
        if parameter.name == option:
            words += [parameter.opts[0], str(path)]
        elif parameter.name == "out" and parameter.required:
            words += [parameter.opts[0], str(source.parent / f"fresh{path.suffix}")]
        elif parameter.required and name not in GIVEN:
            flag = parameter.opts[:1] if parameter.param_type_name == "option" else []
            words += [*flag, str(source)]
    return [*name.split(), *words]


@pytest.mark.parametrize(("name", "option"), outputs())
def test_what_is_there_stays(name, option, tmp_path):
    source, path = tmp_path / "source.npz", tmp_path / f"mine{KIND.get(name, '.csv')}"
    source.write_text("source")
    path.write_text("mine")
    failed = CliRunner().invoke(app, line(name, option, path, source)).exception
    assert isinstance(failed, SesGcnError), failed
    assert f"'{path}' exists; choose another name" in str(failed)
    assert path.read_text() == "mine"
    assert sorted(tmp_path.iterdir()) == [path, source]


def test_what_is_read_is_never_replaced(tmp_path):
    path, link = tmp_path / "teacher.safetensors", tmp_path / "link"
    path.write_text("weights")
    link.symlink_to(path)
    for overwrite in (True, False):
        with pytest.raises(ConfigError, match="is to be read and written"):
            check_writable(link, overwrite=overwrite, read=[None, path])


@pytest.mark.parametrize(
    ("name", "kept"), [("metadata.yaml", True), ("part_0.mcap", True), ("actions.csv", False)]
)
def test_no_part_of_a_folder_that_is_read_is_replaced_but_what_commands_add(tmp_path, name, kept):
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / name).write_text("mine")
    if kept:
        with pytest.raises(ConfigError, match="is to be read and written"):
            check_writable(tmp_path / "bag" / name, overwrite=True, read=[tmp_path / "bag"])
    else:
        check_writable(tmp_path / "bag" / name, overwrite=True, read=[tmp_path / "bag"])


def test_what_a_killed_run_left_is_its_own(tmp_path):
    out, checkpoint = tmp_path / "out.safetensors", tmp_path / "out.checkpoint"
    out.write_text("weights")
    checkpoint.write_text("step 3")
    check_writable(out, resumed=checkpoint)


def test_results_go_to_no_folder_of_something_else(tmp_path):
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(ConfigError, match="which holds other results"):
        check_folder(tmp_path, "metrics.csv")
    (tmp_path / "metrics.csv").touch()
    check_folder(tmp_path, "metrics.csv")
    (tmp_path / "part_0.mcap").touch()
    with pytest.raises(ConfigError, match="which holds a bag"):
        check_folder(tmp_path, "metrics.csv")


def test_a_demo_removes_no_recording_but_a_demos(tmp_path):
    mine = tmp_path / "mine" / "bag"
    mine.mkdir(parents=True)
    with pytest.raises(ConfigError, match="not from an earlier demo"):
        fresh_recording(mine.parent)
    assert mine.exists()


def test_names_that_are_no_text_are_written_as_they_are(tmp_path):
    """As in a locale without UTF-8, where the bytes of a name beyond ASCII are no text."""
    write_atomically(tmp_path / "metrics.csv", "bag,shift \udcfc\n")
    assert (tmp_path / "metrics.csv").read_bytes() == b"bag,shift \xfc\n"


def test_a_file_that_does_not_fit_is_named_and_the_old_one_stays(tmp_path):
    """A file may be no larger than 4096 bytes, which fails as a full disk does."""
    file = tmp_path / "network.checkpoint"
    write_atomically(file, "old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match=rf"File too large: '{file}'"):
            write_atomically(file, bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_two_files_do_not_go_to_one_name(tmp_path):
    with pytest.raises(ConfigError, match="is to be written twice"):
        check_writable(tmp_path / "a.csv", None, tmp_path / "b.csv", tmp_path / "a.csv")


@pytest.mark.parametrize("place", ["/dev/null", "folder"])
def test_neither_devices_nor_folders_are_replaced(place, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="exists and is no file"):
        check_writable(tmp_path / place, overwrite=True)


@pytest.mark.parametrize("name", ["actions.csv", "holiday.jpg"])
def test_what_is_more_than_a_bag_is_never_replaced_by_one(name, tmp_path):
    file = tmp_path / "mine" / name
    file.parent.mkdir()
    file.write_text("mine")
    (tmp_path / "mine" / "mine_0.mcap").write_text("a bag")
    with pytest.raises(BagError, match=f"is not replaced, for it holds '{name}', too"):
        BagWriter(tmp_path / "mine", overwrite=True)
    with pytest.raises(BagError, match="is not replaced, for it is no bag"):
        BagWriter(file, overwrite=True)
    assert file.read_text() == "mine"


def kind_of(parameter: Any) -> str:
    """Type of a parameter in words, which versions of typer keep in different places."""
    return repr(getattr(parameter, "type_descriptor", None) or parameter.type).lower()


def floats() -> list[tuple[str, str]]:
    """Every command with every option that takes a number with a point."""
    return [
        (name, option.opts[0])
        for name, command in commands().items()
        for option in command.params
        if "float" in kind_of(option)
    ]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(("name", "option"), floats())
def test_no_number_is_nan_or_infinite(name, option, value):
    required = [
        word
        for parameter in commands()[name].params
        if parameter.required and parameter.opts[0] != option
        for word in (*parameter.opts[: parameter.param_type_name == "option"], "x")
    ]
    run = CliRunner().invoke(app, [*name.split(), *required, f"{option}={value}"])
    said = f"{option} is {value}; it takes a finite number"
    refused = isinstance(run.exception, ConfigError) and said in str(run.exception)
    assert refused or run.exit_code == 2, run.output  # 2: out of the range of the option


@pytest.mark.parametrize("form", [("{}", ""), ("{}=",)])
def test_no_path_is_empty(form):
    """It would be the folder that somebody happens to be in."""
    options = [
        (name, option)
        for name, command in commands().items()
        for parameter in command.params
        if "path" in kind_of(parameter) and parameter.param_type_name == "option"
        for option in parameter.opts
    ]
    assert ("evaluate", "-o") in options
    for name, option in options:
        words = [part.format(option) for part in form]
        run = CliRunner().invoke(app, [*name.split(), *words, "x"])
        assert str(run.exception).startswith(f"{option} is empty"), (name, option, run.output)


@pytest.mark.parametrize("option", ["seed", "every", "jobs", "stride", "runs", "steps"])
def test_a_count_is_not_negative(option):
    for name, command in commands().items():
        for parameter in command.params:
            if parameter.name == option and name != "evaluate":  # whose -1 means all cores
                run = CliRunner().invoke(app, [*name.split(), f"{parameter.opts[0]}=-1", "x", "x"])
                assert run.exit_code == 2, (name, run.output)
