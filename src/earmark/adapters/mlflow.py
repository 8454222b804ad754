"""MLflow: what was tried, what is better, which version is champion. The one door to it for flows, service and command.

`recording` logs the runs, `registry` moves the aliases, `shipping` fetches models, `gate` compares.
"""

from earmark.adapters.gate import compare
from earmark.adapters.recording import record
from earmark.adapters.registry import champion_version, fetch_champion, promote, register_challenger, rollback
from earmark.adapters.shipping import ChampionInfo

__all__ = [
    "ChampionInfo",
    "champion_version",
    "compare",
    "fetch_champion",
    "promote",
    "record",
    "register_challenger",
    "rollback",
]
