"""Prints the selectors in the expressions of rules (YAML) or of a dashboard (JSON): promql.py FILE

One JSON list of selectors: the metric and the labels it requires. Exits with 1 and the reason if an
expression is not PromQL or a rule has a field that Prometheus does not know.
"""

import json
import sys
from pathlib import Path

import promql_parser
import yaml

RULE = {"alert", "expr", "for", "keep_firing_for", "labels", "annotations"}

# Grafana substitutes these before it sends the query.
VARIABLES = {"$__rate_interval": "1m", "$service": ".+"}


def expressions_of_rules(document):
    for group in document["groups"]:
        for rule in group["rules"]:
            if unknown := rule.keys() - RULE:
                sys.exit(f"{rule.get('alert')}: unknown field {', '.join(unknown)}")
            yield rule["expr"]


def expressions_of_dashboard(document):
    for panel in document["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            yield expression


def selectors(expression):
    found = []

    def visit(node):
        if isinstance(node, promql_parser.VectorSelector):
            equal = [m for m in node.matchers.matchers if m.op == promql_parser.MatchOp.Equal]
            found.append({"metric": node.name, "labels": {m.name: m.value for m in equal}})
        return True

    try:
        promql_parser.walk(promql_parser.parse(expression), visit)
    except ValueError as error:
        sys.exit(f"{expression}\n{error}")
    return found


file = Path(sys.argv[1])
document = yaml.safe_load(file.read_text())
is_rules = "groups" in document
asked = expressions_of_rules(document) if is_rules else expressions_of_dashboard(document)
json.dump([selector for expression in asked for selector in selectors(expression)], sys.stdout)
