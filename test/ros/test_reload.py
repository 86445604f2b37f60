"""Weights are taken anew without a restart, and a file that can't be used changes nothing."""

from __future__ import annotations

import dataclasses
import shutil

from std_srvs.srv import Trigger
from stream import PersonStream

from ses_gcn_ros.forecast import read_weights, write_weights
from ses_gcn_ros.forecast.weights import DEFAULT_WEIGHTS
from ses_gcn_ros.msg import ForecastArray
from ses_gcn_ros.nodes import qos


def test_a_reload_takes_the_file_as_it_is_and_refuses_a_damaged_one(cell, tmp_path):
    path = tmp_path / "cell.safetensors"
    shutil.copy(DEFAULT_WEIGHTS, path)
    forecasts = cell.listen(ForecastArray, "forecasts", qos.STREAM)
    cell.start("forecaster_node", weights=str(path), adaptive_state="none")
    person = PersonStream(cell.node)
    cell.wait_for_listeners(person.publisher)
    person.start()

    def models() -> set[str]:
        return {made.model for message in forecasts[-3:] for made in message.forecasts}

    shipped = read_weights(DEFAULT_WEIGHTS)
    cell.wait_for(lambda: models() == {shipped.name}, "forecasts by the network")
    client = cell.node.create_client(Trigger, "forecaster_node/reload")
    cell.wait_for_services(client.service_is_ready, what="the service")

    def reload() -> Trigger.Response:
        answer = client.call_async(Trigger.Request())
        cell.wait_for(answer.done, "an answer")
        return answer.result()

    path.write_bytes(b"damaged")
    refused = reload()
    assert not refused.success
    assert refused.message.startswith(f"'{shipped.name}' goes on: ")
    assert len(refused.message) <= 400

    write_weights(path, dataclasses.replace(shipped, name="of_this_cell"))
    taken = reload()
    assert taken.success, taken.message
    cell.wait_for(lambda: models() == {"of_this_cell"}, "forecasts by the new weights")
    person.stop()
