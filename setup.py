"""Install the ROS-free core and ses-gcn with pip; CMakeLists.txt builds the ROS package."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def requirements(name: str) -> list[str]:
    """Requirements of requirements/NAME.txt without their comments."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    return [line for line in (line.split("#")[0].strip() for line in lines) if line]


def share(*folders: str) -> list[tuple[str, list[str]]]:
    """Files below FOLDERS, each to the same place below share/ses_gcn_ros."""
    paths = (path for folder in folders for path in sorted((ROOT / folder).rglob("*")))
    files = (path.relative_to(ROOT) for path in paths if path.is_file())
    return [(f"share/ses_gcn_ros/{path.parent}", [str(path)]) for path in files]


setup(
    name="ses_gcn_ros",
    version="0.1.0",
    description="3D human motion forecasts and separation monitoring for collaborative robots",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["ses_gcn_ros", "ses_gcn_ros.*"]),
    package_data={"ses_gcn_ros": ["nodes/*.xml", "weights/*", "*/assets/*"]},
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/ses_gcn_ros"]),
        ("share/ses_gcn_ros", ["package.xml"]),
        *share("config", "launch", "msg"),
    ],
    install_requires=requirements("core"),
    extras_require={
        name: requirements(name) for name in ("replay", "video", "train", "pose", "cluster", "dev")
    },
    entry_points={"console_scripts": ["ses-gcn = ses_gcn_ros.cli:main"]},
)
