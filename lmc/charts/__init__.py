"""Tables in, Altair charts out. Charts know no page: `describe(chart)` says in words what one shows.

`lmc.charts.export` turns them into files.
"""

from lmc.charts.barrier import barrier_bars, path_chart
from lmc.charts.curves import curves_chart
from lmc.charts.layers import layers_chart, similarity_chart
from lmc.charts.style import CONNECTED, describe, method_color, method_label
from lmc.charts.toy import toy_chart

__all__ = [
    "CONNECTED",
    "barrier_bars",
    "curves_chart",
    "describe",
    "layers_chart",
    "method_color",
    "method_label",
    "path_chart",
    "similarity_chart",
    "toy_chart",
]
