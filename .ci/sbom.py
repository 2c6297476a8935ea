"""The packages in requirements.lock as a CycloneDX bill of materials: python .ci/sbom.py requirements.lock > sbom.json

Needs no network. Packages that only some systems install are listed too, with the condition. make sbom
"""

import sys

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from pip_requirements_parser import RequirementsFile


def main(lock: str) -> str:
    bom = Bom()
    for package in RequirementsFile.from_file(lock).requirements:
        version = str(package.get_pinned_version)
        url = PackageURL("pypi", name=package.name, version=version)
        bom.components.add(
            Component(
                type=ComponentType.LIBRARY,
                name=package.name,
                version=version,
                bom_ref=str(url),
                purl=url,
                hashes=[
                    HashType(alg=HashAlgorithm.SHA_256, content=text.split(":")[-1]) for text in package.hash_options
                ],
                properties=[Property(name="marker", value=str(package.marker))] if package.marker else (),
            )
        )
    return JsonV1Dot6(bom).output_as_string(indent=2)


if __name__ == "__main__":
    print(main(*sys.argv[1:]))
