"""The names that the API takes are those of the settings there are."""

from typing import get_args, get_type_hints

from service.decisions.replicated.commands import CLUSTER_SETTINGS
from service.http.cluster import SettingRequest


def test_every_cluster_setting_and_no_other_can_be_changed() -> None:
    assert get_args(get_type_hints(SettingRequest)["name"]) == tuple(CLUSTER_SETTINGS)
