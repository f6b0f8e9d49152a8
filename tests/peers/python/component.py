"""A GitLab component as GitLab takes it: its header and its jobs checked by the published schema, its inputs put in.

Takes the component's path and the inputs as JSON, and prints the jobs as JSON. What GitLab would refuse fails here.
"""

import json
import re
import sys
from importlib import resources

import jsonschema
from ruamel.yaml import YAML

INPUT = re.compile(r"\$\[\[ inputs\.([a-z-]+) \]\]")


def put_in(node, values, used):
    if isinstance(node, dict):
        return {put_in(key, values, used): put_in(value, values, used) for key, value in node.items()}
    if isinstance(node, list):
        return [put_in(item, values, used) for item in node]
    if not isinstance(node, str):
        return node
    used.update(INPUT.findall(node))
    filled = INPUT.sub(lambda match: values[match.group(1)], node)
    assert INPUT.search(node) or "$[[" not in filled, f"an input is misspelled in {node!r}"
    return filled


def main(path, given):
    with open(path, encoding="utf-8") as file:
        head, jobs = YAML(typ="safe", pure=True).load_all(file)
    schema = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "gitlab-ci.json"
    schema = json.loads(schema.read_text(encoding="utf-8"))
    declared = head["spec"]["inputs"]
    for name, rule in declared.items():
        assert rule.get("description"), f"{name} is not described"
        if "default" not in rule and name not in given:
            raise SystemExit(f"the input {name} is required")
    unknown = set(given) - set(declared)
    assert not unknown, f"no such inputs: {unknown}"
    used = set()
    values = {name: given.get(name, rule.get("default")) for name, rule in declared.items()}
    jobs = put_in(jobs, values, used)
    assert used == set(declared), f"declared and not used: {set(declared) - used}"
    jsonschema.validate({**head, **jobs}, schema)
    print(json.dumps(jobs))


main(sys.argv[1], json.loads(sys.argv[2]))
