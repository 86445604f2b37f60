"""``ses-gcn import-official`` and ``evaluate-windows``: foreign weights, and errors of any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ses_gcn_ros.commands import terminal
from ses_gcn_ros.resources import check_writable


def import_official(
    state_dict: Annotated[Path, typer.Argument(help="The authors' .pth file.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Weights file to write.")],
    mask_a: Annotated[
        Path | None, typer.Option(help="A student's joint masks (.npy); none for a teacher.")
    ] = None,
    mask_t: Annotated[
        Path | None, typer.Option(help="A student's frame masks (.npy); none for a teacher.")
    ] = None,
    overwrite: terminal.Overwrite = False,
    as_json: terminal.AsJson = False,
) -> None:
    """Turn the authors' SeS-GCN weights (CHICO, Human3.6M) into a weights file.

    So too those of networks for actions: SGN, ST-GCN (Yan, Nagy) and sparse ST-GCN.

    Example: ses-gcn import-official chico_3d_25frames_Student.pth
    --mask-a maskA_25fps.npy --mask-t maskT_25fps.npy -o chico25.safetensors
    """
    from ses_gcn_ros.actions.official import import_actions
    from ses_gcn_ros.forecast.official import import_official as convert
    from ses_gcn_ros.models.shapes import parameter_count

    check_writable(out, overwrite=overwrite, read=[state_dict, mask_a, mask_t])
    if (actions := import_actions(state_dict, out)) is not None:
        told = {"out": str(out), "name": actions.name, "classes": len(actions.labels)}
        print(json.dumps(told) if as_json else f"{out}: {actions.name}, {told['classes']} classes")
        return
    weights = convert(state_dict, out, mask_a, mask_t)
    config = weights.config
    summary = {
        "out": str(out),
        "name": weights.name,
        "layout": config.layout,
        "observed": config.observed,
        "horizon": config.horizon,
        "fps": config.fps,
        "unit": config.unit,
        "parameters": parameter_count(config),
    }
    if as_json:
        print(json.dumps(summary))
    else:
        print(
            f"{out}: {weights.name}, {config.joints} joints ({config.layout}), {config.observed} "
            f"frames in, {config.horizon} out, {summary['parameters']} parameters"
        )
