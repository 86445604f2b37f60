"""``ses-gcn sample`` and ``ses-gcn report``: make and read recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.resources import check_fresh


def sample(
    motion: Annotated[Path, typer.Argument(help="cmu.npz, with cmu.json beside it.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Bag to write.")] = Path("visitor"),
    minutes: Annotated[
        float, typer.Option(help="Write a synthetic recording of this length instead.", min=0.0)
    ] = 0.0,
    people: Annotated[
        int, typer.Option(help="People of a synthetic recording at a time.", min=1)
    ] = 4,
    seed: Annotated[int, typer.Option(help="Of who comes when in it.")] = 0,
    overwrite: terminal.Overwrite = False,
) -> None:
    """Write the sample recording, or a synthetic one of any length, from the CMU motion data.

    Example: ses-gcn sample cmu.npz --minutes 60 --people 4 -o shift
    """
    check_fresh(out, overwrite)
    if minutes:
        from ses_gcn_ros.studies.synthetic_recording import SyntheticRecording, write_recording

        write_recording(
            motion, out, SyntheticRecording(minutes, people, seed=seed), overwrite=overwrite
        )
        terminal.err().print(f"wrote {out}")
        return
    from ses_gcn_ros.bags.sample import write_sample

    facts = write_sample(motion, out, overwrite=overwrite)
    console = terminal.err()
    for key, value in facts.items():
        console.print(f"{key}: {value}")
    console.print(f"wrote {out}")


def report(
    bag: Annotated[Path, typer.Argument(help="Recording of a run: folder, mcap or db3.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the report.")] = Path(
        "report"
    ),
    robot: Annotated[
        str, typer.Option(help="URDF of the robot; by default the one that was recorded.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Read a recorded run: table, summary.json, pictures and report.html.

    Example: ses-gcn report demo_out/bag -o demo_out
    """
    from ses_gcn_ros.replay.report.files import write_report
    from ses_gcn_ros.replay.summary import summary_table

    summary = write_report(bag, out, robot=robot)
    if as_json:
        print(json.dumps(summary, indent=2))
    else:
        terminal.out().print(summary_table(summary))
        terminal.err().print(f"report: {out / 'report.html'}")
