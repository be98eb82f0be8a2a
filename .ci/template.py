"""Turns template.yaml into the CloudFormation that AWS makes of it, and looks at what matters there.

cfn-lint knows SAM only roughly: it lets an unknown AuthType or Runtime pass. It knows CloudFormation
exactly, so the gate lints both. Usage: template.py template.yaml > cloudformation.json
"""

import json
import sys

from cfnlint.decode import cfn_yaml
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

NEEDED = {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}


def translated(path):
    template = json.loads(json.dumps(cfn_yaml.load(path), default=str))
    for resource in template["Resources"].values():
        # As `sam package` does: the local folder becomes an uploaded archive.
        if "CodeUri" in resource["Properties"]:
            resource["Properties"]["CodeUri"] = "s3://bucket/function.zip"
    return Translator({}, Parser()).translate(template, {})


def public_actions(template):
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Lambda::Permission" and properties["Principal"] == "*":
            yield properties["Action"]


def main():
    try:
        template = translated(sys.argv[1])
    except InvalidDocumentException as invalid:
        sys.exit("\n".join(cause.message for cause in invalid.causes))
    missing = NEEDED - set(public_actions(template))
    if missing:
        sys.exit(f"The Function URL would answer 403 to everyone: no permission {sorted(missing)}")
    json.dump(template, sys.stdout, indent=1)


main()
