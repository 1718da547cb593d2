"""Elements of FHIR R4 resources: references, codes, times, amounts.

Names are those of the specification, https://hl7.org/fhir/R4/. Nothing here keeps or shows what an element
holds: an element that is not what the specification says is told by its name alone.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any

__all__ = [
    "DIAGNOSIS_SYSTEMS",
    "DRUG_SYSTEMS",
    "OBSERVATION_SYSTEMS",
    "PROCEDURE_SYSTEMS",
    "ElementError",
    "code_in",
    "coded",
    "codings",
    "contained",
    "day",
    "extension",
    "first_code",
    "moment",
    "number",
    "reference",
]

Resource = dict[str, Any]

PARTIAL = re.compile(r"(\d{4})(?:-(\d\d))?$")
HCPCS = (
    "https://bluebutton.cms.gov/resources/codesystem/hcpcs",
    "https://bluebutton.cms.gov/resources/variables/hcpcs_cd",
    "http://www.ama-assn.org/go/cpt",
    "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "http://terminology.hl7.org/CodeSystem/HCPCS",
    "urn:oid:2.16.840.1.113883.6.12",
    "urn:oid:2.16.840.1.113883.6.285",
)
SNOMED, RXNORM = "http://snomed.info/sct", "http://www.nlm.nih.gov/research/umls/rxnorm"
NDC, LOINC = "http://hl7.org/fhir/sid/ndc", "http://loinc.org"
TEN, NINE = "http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-9-cm"
TEN_PLAIN = "http://hl7.org/fhir/sid/icd-10"
# Systems in the order in which one of several codings of a concept is taken; what else there is is local.
DIAGNOSIS_SYSTEMS = {
    TEN: "ICD10CM",
    "urn:oid:2.16.840.1.113883.6.90": "ICD10CM",
    TEN_PLAIN: "ICD10CM",
    NINE: "ICD9CM",
    "http://terminology.hl7.org/CodeSystem/icd9cm": "ICD9CM",
    "urn:oid:2.16.840.1.113883.6.103": "ICD9CM",
    SNOMED: "SNOMED",
}
PROCEDURE_SYSTEMS = {
    **dict.fromkeys(HCPCS, "HCPCS"),
    "http://www.cms.gov/Medicare/Coding/ICD10": "ICD10PCS",
    "https://www.cms.gov/Medicare/Coding/ICD10": "ICD10PCS",
    "urn:oid:2.16.840.1.113883.6.4": "ICD10PCS",
    TEN_PLAIN: "ICD10PCS",
    "http://www.cms.gov/Medicare/Coding/ICD9": "ICD9PCS",
    "https://www.cms.gov/Medicare/Coding/ICD9": "ICD9PCS",
    NINE: "ICD9PCS",
    "urn:oid:2.16.840.1.113883.6.104": "ICD9PCS",
    SNOMED: "SNOMED",
}
DRUG_SYSTEMS = {
    NDC: "NDC",
    "urn:oid:2.16.840.1.113883.6.69": "NDC",
    RXNORM: "RxNorm",
    "http://www.whocc.no/atc": "ATC",
}
OBSERVATION_SYSTEMS = {LOINC: "LOINC", SNOMED: "SNOMED"}


class ElementError(ValueError):
    """An element that is not what the specification says; the text is its name, never what it holds."""


def reference(element: Resource | None) -> str | None:
    """Return the id that a reference names: of ``Patient/1``, ``https://.../Patient/1``, ``urn:uuid:1``.

    A search (``Organization?identifier=system|value``) and a logical reference give the value.
    """
    if not element:
        return None
    text = element.get("reference")
    if not text:
        value = (element.get("identifier") or {}).get("value")
        return str(value) if value else None
    if "?" in text:
        return str(text.rsplit("|", 1)[-1].rsplit("=", 1)[-1])
    name = text.split("/_history/")[0].rsplit("/", 1)[-1].removeprefix("urn:uuid:").removeprefix("urn:oid:")
    return str(name).removeprefix("#") or None


def contained(resource: Resource, element: Resource | None) -> Resource | None:
    """Return the contained resource that a reference names; None if it is not one."""
    text = (element or {}).get("reference") or ""
    if not text.startswith("#"):
        return None
    inside = resource.get("contained") or []
    return next((found for found in inside if found.get("id") == text[1:]), None)


def codings(concept: Resource | None) -> Iterator[tuple[str, str]]:
    """Yield system and code of each coding that has a code."""
    for coding in (concept or {}).get("coding") or []:
        if code := coding.get("code"):
            if not isinstance(code, str):
                raise ElementError("coding.code")
            yield coding.get("system") or "", code.strip()


def coded(concept: Resource | None, systems: dict[str, str]) -> tuple[str, str] | None:
    """Return code system and code of a concept: what a table of systems prefers, else a local one."""
    found = list(codings(concept))
    known = [
        (list(systems).index(system), systems[system], code) for system, code in found if system in systems
    ]
    if known:
        _, name, code = min(known)
        return name, code
    if found:
        system, code = found[0]
        name = system.rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1]
        return "LOCAL", f"{name}:{code}" if name else code
    return None  # free text is no code


def first_code(concept: Resource | None) -> str | None:
    """Return the code of the first coding."""
    return next((code for _, code in codings(concept)), None)


def code_in(concept: Resource | None, known: Sequence[str]) -> str | None:
    """Return the first code that is one of some, in lower case."""
    return next((code.lower() for _, code in codings(concept) if code.lower() in known), None)


def extension(element: Resource, url: str) -> Resource | None:
    """Return the first extension whose URL ends so."""
    found = element.get("extension") or []
    return next((one for one in found if (one.get("url") or "").endswith(url)), None)


def moment(value: Any, element: str) -> datetime | None:
    """Return a date, dateTime or instant without its zone: the times of a history are those of the place.

    A year or a month stands for its first day.

    Raises
    ------
    ElementError
        If it is none.
    """
    if value is None:
        return None
    try:
        return datetime.fromisoformat(value).replace(tzinfo=None)
    except (TypeError, ValueError):
        pass
    found = PARTIAL.match(value) if isinstance(value, str) else None
    try:
        if found:
            return datetime(int(found.group(1)), int(found.group(2) or 1), 1)
    except ValueError:
        pass
    raise ElementError(element)


def day(value: Any, element: str) -> date | None:
    """Return the day of a date, dateTime or instant; see `moment`."""
    found = moment(value, element)
    return found.date() if found else None


def number(value: Any, element: str) -> float | None:
    """Return a decimal.

    Raises
    ------
    ElementError
        If it is none.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ElementError(element)
    return float(value)
