#!/usr/bin/env python3
"""Writes what the program is made of, as a CycloneDX document, from what cargo knows of the locked build."""

import json
import subprocess
import tomllib

ROOT = "keymoot"


def metadata():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", host()]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def host():
    said = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    return next(line.removeprefix("host: ") for line in said.splitlines() if line.startswith("host: "))


def checksums():
    with open("Cargo.lock", "rb") as file:
        packages = tomllib.load(file)["package"]
    return {(package["name"], package["version"]): package.get("checksum") for package in packages}


def linked(nodes, root):
    """What is built into the program or builds it: not what only its tests need."""
    found, waiting = set(), [root]
    while waiting:
        id = waiting.pop()
        if id in found:
            continue
        found.add(id)
        for dependency in nodes[id]["deps"]:
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return found


def component(package, sums):
    name, version = package["name"], package["version"]
    purl = f"pkg:cargo/{name}@{version}"
    made = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if package["license"]:
        made["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if sums.get((name, version)):
        made["hashes"] = [{"alg": "SHA-256", "content": sums[name, version]}]
    return made


def main():
    known = metadata()
    packages = {package["id"]: package for package in known["packages"]}
    nodes = {node["id"]: node for node in known["resolve"]["nodes"]}
    root = next(id for id, package in packages.items() if package["name"] == ROOT and package["source"] is None)
    parts, sums = linked(nodes, root), checksums()
    reference = lambda id: f"pkg:cargo/{packages[id]['name']}@{packages[id]['version']}"
    components = [component(packages[id], sums) for id in sorted(parts, key=reference) if id != root]
    needs = lambda id: sorted({reference(dep["pkg"]) for dep in nodes[id]["deps"] if dep["pkg"] in parts})
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {**component(packages[root], sums), "type": "application"}},
        "components": components,
        "dependencies": [{"ref": reference(id), "dependsOn": needs(id)} for id in sorted(parts, key=reference)],
    }
    print(json.dumps(document, indent=1))


main()
