"""The topologies of config/examples that have ipvlans, as they are but for devices and memory."""
import pathlib

import pytest
import yaml

EXAMPLES = pathlib.Path(__file__).parents[2] / "config/examples"


@pytest.mark.parametrize("name", ["ipvlan-l3s", "ipvlan-tenants", "flannel-ipvlan"])
def test_examples_of_ipvlans_start_and_are_what_they_say(lab, name):
    topology = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    topology["system"] = {}
    for port in topology["ports"].values():
        if port["role"] == "underlay":
            port["device"] = "net_tap9,iface=und0"
    for ipvlan in topology["ipvlans"].values():  # `on` is a word here, and true to this reader of YAML
        if "conntrack" in ipvlan:
            ipvlan["conntrack"] = {"on" if key is True else key: value for key, value in ipvlan["conntrack"].items()}
    host = lab.namespace("host")
    daemon = lab.daemon(topology, host).start()
    said = {f"{ipvlan}/{slave}": words for ipvlan, one in topology["ipvlans"].items()
            for slave, words in one["slaves"].items()}
    shown = {f"{row['ipvlan']}/{row['name']}": row for row in daemon.rpc("slaves")}
    assert set(shown) == set(said)
    for slave, words in said.items():
        assert shown[slave]["addresses"] == words["addresses"]
        assert host.has(words["port"])
    rules = daemon.rpc("rules")
    named = [rule["name"] for one in topology["ipvlans"].values() for rule in one.get("rules", ())]
    assert [row["name"] for row in rules if row["name"] in named] == named
    assert daemon.rpc("reload")["changes"] == []
    listed = daemon.ctl("ipvlan").stdout
    assert all(f"\n{ipvlan} " in listed for ipvlan in topology["ipvlans"]), listed
