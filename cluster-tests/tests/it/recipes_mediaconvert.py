"""Holds settings of a job against AWS's own description of MediaConvert. Run by recipes.rs."""

import json
import re
import sys

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator


def misfits(value, shape, at):
    """The library looks at types and names; values and patterns are described, too."""
    if shape.type_name == "structure":
        for name, member in value.items():
            yield from misfits(member, shape.members[name], f"{at}.{name}")
    elif shape.type_name == "list":
        for item in value:
            yield from misfits(item, shape.member, f"{at}[]")
    elif shape.type_name == "string":
        if shape.enum and value not in shape.enum:
            yield f"{at} is none of {shape.enum}"
        if not re.search(shape.metadata.get("pattern", ""), value):
            yield f"{at} does not match {shape.metadata['pattern']}"


def main(name, path):
    model = ServiceModel(Loader().load_service_model("mediaconvert", "service-2"))
    shape = model.shape_for(name)
    with open(path, encoding="utf-8") as file:
        settings = json.load(file)
    report = ParamValidator().validate(settings, shape)
    assert not report.has_errors(), report.generate_report()
    wrong = list(misfits(settings, shape, name))
    assert not wrong, wrong


if __name__ == "__main__":
    main(*sys.argv[1:])
