"""The nodes' core in the nodes' order, on the messages of a bag, as fast as the machine goes.

Events of a bag (`events`) → forecasts (`forecasting`) → states (`monitoring`), each a stream, with
scores taken on the way (`forecast_scores`, `collision_scores`, `safety_scores`, `health`).
"""
